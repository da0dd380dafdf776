"""Reversals: a till that does not know what became of a request makes it not have happened."""

from services.redeem.attempts import Till
from services.redeem.insisting import insist
from services.redeem.outcomes import BUSY, Refusal, Refused, Reversal
from services.redeem.requests import body_hash
from shared.db.calling import Calls

_REVERSE = "SELECT * FROM redeem.reverse($1, $2, $3, $4, $5)"


async def reverse(
    calls: Calls, till: Till, original_no: str, *, request_no: str, until_s: float
) -> Reversal | Refused:
    """Reverse what a till asked under `original_no`; final, whether that arrived or not."""
    hashed = body_hash("reverse", original_no)
    row = await insist(
        lambda: calls.call(
            "fetchrow", _REVERSE, till.city_id, till.terminal_id, request_no, hashed, original_no
        ),
        until_s=until_s,
    )
    if row is None:
        return BUSY
    if row["outcome"] in {"idempotency_key_reused", "not_reversible"}:
        return Refused(Refusal(row["outcome"]))
    return Reversal(row["outcome"], row["redemption_id"])
