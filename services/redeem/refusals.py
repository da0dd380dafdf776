"""What a till may be told instead of what it asked for, with the contract's codes."""

import random
from typing import ClassVar

from services.redeem.outcomes import Refusal, Refused, Standing
from services.redeem.signatures import SignatureFault
from shared.clock import rfc3339
from shared.errors import AppError, Busy, IdempotencyKeyReused, Json, NotFound, Overloaded
from shared.errors import Refusal as RefusedRequest

_BUSY_RETRY_MS = (150, 600)
_OVERLOADED_RETRY_MS = (1_000, 3_000)


class BadSignature(RefusedRequest):
    code = "bad_signature"
    status = 401
    title = "The request is not signed by a terminal that is known here."
    headers: ClassVar = {"WWW-Authenticate": "Signature"}

    @classmethod
    def because(cls, fault: SignatureFault) -> "BadSignature":
        return cls(str(fault))


class BadCode(RefusedRequest):
    code = "bad_code"
    status = 400
    title = "This code or quote names no voucher that can be redeemed now; show the next code."


class AlreadyRedeemed(RefusedRequest):
    code = "already_redeemed"
    status = 409
    title = "This voucher has been redeemed."


class HeldElsewhere(RefusedRequest):
    code = "held_elsewhere"
    status = 409
    title = "This voucher is held for another order."


class Reversed(RefusedRequest):
    code = "reversed"
    status = 409
    title = "This request was reversed; what is still wanted needs a new request_no."


class HoldEnded(RefusedRequest):
    code = "hold_ended"
    status = 409
    title = "This hold is over: it was captured, released or reversed, or its time ran out."


class NotReversible(RefusedRequest):
    code = "not_reversible"
    status = 409
    title = "A release or a reversal is not reversed; redeem the voucher again."


class Expired(RefusedRequest):
    code = "expired"
    status = 410
    title = "This voucher has expired."


class Voided(RefusedRequest):
    code = "voided"
    status = 410
    title = "The claim behind this voucher was taken back."


class BelowMinSpend(RefusedRequest):
    code = "below_min_spend"
    status = 422
    title = "The order is smaller than the voucher's minimum; a quote names it."


class WrongCategory(RefusedRequest):
    code = "wrong_category"
    status = 422
    title = "The voucher is for another category; a quote names it."


class MerchantNotEnrolled(RefusedRequest):
    code = "merchant_not_enrolled"
    status = 403
    title = "The merchant takes no part in the voucher's programme."


class TerminalSuspended(RefusedRequest):
    code = "terminal_suspended"
    status = 403
    title = "This terminal is suspended; the programme's operator can say why."


_PLAIN: dict[Refusal, type[AppError]] = {
    Refusal.ALREADY_REDEEMED: AlreadyRedeemed,
    Refusal.HELD_ELSEWHERE: HeldElsewhere,
    Refusal.REVERSED: Reversed,
    Refusal.HOLD_ENDED: HoldEnded,
    Refusal.NOT_REVERSIBLE: NotReversible,
    Refusal.EXPIRED: Expired,
    Refusal.VOIDED: Voided,
    Refusal.BELOW_MIN_SPEND: BelowMinSpend,
    Refusal.WRONG_CATEGORY: WrongCategory,
    Refusal.IDEMPOTENCY_KEY_REUSED: IdempotencyKeyReused,
    Refusal.MERCHANT_NOT_ENROLLED: MerchantNotEnrolled,
    Refusal.TERMINAL_SUSPENDED: TerminalSuspended,
    Refusal.BAD_CODE: BadCode,
    Refusal.NOT_FOUND: NotFound,
}


def problem_of(refused: Refused) -> AppError:
    """Return the problem that tells a till about a refusal."""
    match refused.refusal:
        case Refusal.BUSY:
            return Busy(retry_after_ms=random.randint(*_BUSY_RETRY_MS))
        case Refusal.OVERLOADED:
            return Overloaded(retry_after_ms=random.randint(*_OVERLOADED_RETRY_MS))
        case plain:
            return _PLAIN[plain](refused.detail, extra=_extra(refused.standing))


def _extra(standing: Standing | None) -> dict[str, Json]:
    if standing is None:
        return {}
    told: dict[str, Json] = {
        "by": "this_terminal" if standing.by_this_terminal else "other_terminal",
        "at": rfc3339(standing.at),
    }
    if standing.request_no is not None:
        told["request_no"] = standing.request_no
    return told
