"""What a resident may be told instead of a claim, with the contract's codes."""

import random
from datetime import UTC, datetime

from services.claim.outcomes import Refusal, Refused
from shared.clock import rfc3339
from shared.errors import AppError, Busy, Overloaded
from shared.errors import Refusal as RefusedRequest

_BUSY_RETRY_MS = (150, 600)
_OVERLOADED_RETRY_MS = (1_000, 3_000)
_PAUSED_RETRY_MS = (1_000, 3_000)
# The crowd that came early is spread over this long after T-0.
_OPENING_SPREAD_MS = 300
_US_PER_S = 1_000_000
_US_PER_MS = 1_000


class SoldOut(RefusedRequest):
    code = "sold_out"
    status = 409
    title = "Every pack of this drop has been claimed."


class LimitReached(RefusedRequest):
    code = "limit_reached"
    status = 409
    title = "You hold as many packs of this drop as one person may."


class NotOpen(RefusedRequest):
    code = "not_open"
    status = 425
    title = "This drop has not opened yet."
    retryable = True


class Closed(RefusedRequest):
    code = "closed"
    status = 410
    title = "This drop has ended."


class Paused(RefusedRequest):
    code = "paused"
    status = 423
    title = "This drop is paused; what you hold stays good."
    retryable = True


class PassRequired(RefusedRequest):
    code = "pass_required"
    status = 403
    title = "This drop is claimed with a pass; ask for one first."


class BadPass(RefusedRequest):
    code = "bad_pass"
    status = 403
    title = "This pass is not valid here."


class VoucherRedeemed(RefusedRequest):
    code = "already_redeemed"
    status = 409
    title = "This voucher has been redeemed."


class VoucherExpired(RefusedRequest):
    code = "expired"
    status = 410
    title = "This voucher has expired."


class VoucherVoided(RefusedRequest):
    code = "voided"
    status = 410
    title = "The claim behind this voucher was taken back."


_PLAIN: dict[Refusal, type[AppError]] = {
    Refusal.SOLD_OUT: SoldOut,
    Refusal.LIMIT_REACHED: LimitReached,
    Refusal.CLOSED: Closed,
}


def problem_of(refused: Refused, *, now_us: int) -> AppError:
    """Return the problem that tells a resident about a refusal. `now_us` is the drop's clock."""
    match refused.refusal:
        case Refusal.NOT_OPEN:
            return _not_open(refused.opens_us or now_us, now_us)
        case Refusal.BUSY:
            return Busy(retry_after_ms=random.randint(*_BUSY_RETRY_MS))
        case Refusal.OVERLOADED:
            return Overloaded(retry_after_ms=random.randint(*_OVERLOADED_RETRY_MS))
        case Refusal.PAUSED:
            return Paused(retry_after_ms=random.randint(*_PAUSED_RETRY_MS))
        case plain:
            return _PLAIN[plain]()


def _not_open(opens_us: int, now_us: int) -> NotOpen:
    opens_at = datetime.fromtimestamp(opens_us / _US_PER_S, UTC)
    wait_ms = max(0, opens_us - now_us) // _US_PER_MS
    return NotOpen(
        extra={"opens_at": rfc3339(opens_at)},
        retry_after_ms=wait_ms + random.randint(1, _OPENING_SPREAD_MS),
    )
