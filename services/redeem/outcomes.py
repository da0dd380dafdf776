"""How what a till asks for can end. A refusal is a value, not an exception."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Refusal(StrEnum):
    """Why a till does not get what it asked for. The names are the contract's codes."""

    ALREADY_REDEEMED = "already_redeemed"
    HELD_ELSEWHERE = "held_elsewhere"
    REVERSED = "reversed"
    HOLD_ENDED = "hold_ended"
    NOT_REVERSIBLE = "not_reversible"
    EXPIRED = "expired"
    VOIDED = "voided"
    BELOW_MIN_SPEND = "below_min_spend"
    WRONG_CATEGORY = "wrong_category"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    MERCHANT_NOT_ENROLLED = "merchant_not_enrolled"
    TERMINAL_SUSPENDED = "terminal_suspended"
    BAD_CODE = "bad_code"
    NOT_FOUND = "not_found"
    BUSY = "busy"
    OVERLOADED = "overloaded"

    @classmethod
    def of(cls, outcome: str) -> "Refusal | None":
        """Return the refusal that the ledger's word for an outcome is, None where it is none."""
        try:
            return cls(outcome)
        except ValueError:
            return None


_OF_ANOTHER = frozenset({Refusal.ALREADY_REDEEMED, Refusal.HELD_ELSEWHERE})


@dataclass(frozen=True, slots=True)
class Standing:
    """Whose redemption stands in the way. `request_no` is given where it is the asking till's."""

    by_this_terminal: bool
    at: datetime
    request_no: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not; `detail` where there is more to say than the refusal's own title."""

    refusal: Refusal
    detail: str | None = None
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Redemption:
    """A redemption as its till is told of it: committed, with its journals.

    `replayed` where an earlier request of the same number was told of it. `voucher_state` is given
    once it ended: the voucher is good again (`open`), or expired meanwhile.
    """

    redemption_id: UUID
    claim_id: UUID
    position: int
    state: str
    order_amount_fen: int
    discount_fen: int
    hold_expires_at: datetime | None
    settlement_id: UUID | None
    replayed: bool = False
    voucher_state: str | None = None


@dataclass(frozen=True, slots=True)
class Reversal:
    """What became of the request that was to be reversed, and the redemption that it had made."""

    outcome: str
    redemption_id: UUID | None


BUSY = Refused(Refusal.BUSY)
OVERLOADED = Refused(Refusal.OVERLOADED)


def refused(
    refusal: Refusal,
    *,
    asking: UUID,
    by_terminal: UUID | None,
    by_request_no: str | None,
    by_at: datetime | None,
) -> Refused:
    """Return a refusal as the terminal `asking` may hear it: others keep their request numbers."""
    if refusal not in _OF_ANOTHER or by_at is None:
        return Refused(refusal)
    is_own = by_terminal == asking
    return Refused(refusal, standing=Standing(is_own, by_at, by_request_no if is_own else None))
