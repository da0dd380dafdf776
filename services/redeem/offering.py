"""Quotes: what a voucher would take off an order, told before anything changes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.redeem.attempts import Till
from services.redeem.insisting import insist
from services.redeem.outcomes import BUSY, Refusal, Refused
from services.redeem.showing import Shown
from shared.clock import CITY_TIME
from shared.db.calling import Calls

_QUOTE = "SELECT * FROM redeem.quote($1, $2, $3, $4, $5, $6, $7)"
_FEN_PER_YUAN = 100
# These are about the till, or about no voucher at all: there is nothing to offer.
_NOTHING_TO_OFFER = frozenset(
    {Refusal.BAD_CODE, Refusal.TERMINAL_SUSPENDED, Refusal.MERCHANT_NOT_ENROLLED}
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a voucher takes off an order now; `refusal` says why it takes off nothing."""

    refusal: Refusal | None
    discount_fen: int
    explanation: str


async def offer(
    calls: Calls, till: Till, shown: Shown, *, order: tuple[int, str], until_s: float
) -> Offer | Refused:
    """Return what a voucher would take off an order (its amount and category) now."""
    row = await insist(
        lambda: calls.call(
            "fetchrow",
            _QUOTE,
            *(till.city_id, till.terminal_id, shown.claim_id, shown.position, shown.code_step),
            *order,
        ),
        until_s=until_s,
    )
    if row is None:
        return BUSY
    refusal = Refusal.of(row["outcome"])
    if refusal in _NOTHING_TO_OFFER:
        return Refused(refusal)
    if refusal is not None:
        return Offer(refusal, 0, _explain(refusal, row))
    discount_fen = row["discount_fen"]
    return Offer(None, discount_fen, f"The voucher takes {_yuan(discount_fen)} off.")


def _explain(refusal: Refusal, row: Any) -> str:  # noqa: ANN401
    match refusal:
        case Refusal.ALREADY_REDEEMED:
            return f"The voucher was redeemed at {_minute(row['by_at'])}."
        case Refusal.HELD_ELSEWHERE:
            return f"The voucher is held for an order since {_minute(row['by_at'])}."
        case Refusal.EXPIRED:
            return f"The voucher was good until {_minute(row['valid_until'])}."
        case Refusal.WRONG_CATEGORY:
            return f"The voucher is for {row['voucher_category']}, at merchants that are listed so."
        case Refusal.BELOW_MIN_SPEND:
            return f"The voucher needs an order of at least {_yuan(row['min_spend_fen'])}."
        case _:
            return "The voucher's claim was taken back."


def _yuan(amount_fen: int) -> str:
    yuan, fen = divmod(amount_fen, _FEN_PER_YUAN)
    return f"¥{yuan}.{fen:02}"


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(CITY_TIME):%Y-%m-%d %H:%M}"
