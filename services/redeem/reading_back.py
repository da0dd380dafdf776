"""What became of a request: a till that heard no answer asks, and changes nothing by it."""

from typing import Any
from uuid import UUID

from services.redeem.attempts import Till
from services.redeem.insisting import insist
from services.redeem.outcomes import BUSY, Redemption, Refusal, Refused, Reversal, refused
from shared.db.calling import Calls

_REDEMPTION = "SELECT * FROM redeem.redemptions WHERE city_id = $1 AND redemption_id = $2"
_REQUEST = """
    SELECT q.operation, q.outcome, q.reversed_at,
        (q.details ->> 'terminal')::uuid AS by_terminal,
        q.details ->> 'request_no' AS by_request_no,
        (q.details ->> 'at')::timestamptz AS by_at,
        r.redemption_id, r.claim_id, r.position, r.state, r.order_amount_fen, r.amount_fen,
        r.hold_expires_at, r.settlement_id, r.ended_at, r.ended_into
    FROM redeem.requests AS q
    LEFT JOIN redeem.redemptions AS r USING (city_id, redemption_id)
    WHERE q.city_id = $1 AND q.terminal_id = $2 AND q.request_no = $3
"""
_NOT_DECIDED = Refused(
    Refusal.NOT_FOUND, "Nothing is decided under this request_no: it has not arrived, or not yet."
)
_AFTERWARDS = {"outstanding": "open", "return": "expired"}


async def read_back(
    calls: Calls, till: Till, request_no: str, *, until_s: float
) -> Redemption | Reversal | Refused:
    """Return the outcome of a request as it stands now.

    A request that was refused is refused again, with the same words.
    """
    rows = await insist(
        lambda: calls.call("fetch", _REQUEST, till.city_id, till.terminal_id, request_no),
        until_s=until_s,
    )
    if rows is None:
        return BUSY
    return _outcome(till, rows[0]) if rows else _NOT_DECIDED


async def read_redemption(calls: Calls, till: Till, redemption_id: UUID) -> Redemption:
    """Return a redemption as it stands now. Raises what asyncpg raises."""
    return _redemption(await calls.call("fetchrow", _REDEMPTION, till.city_id, redemption_id))


def _outcome(till: Till, row: Any) -> Redemption | Reversal | Refused:  # noqa: ANN401
    if row["operation"] == "reverse":
        is_over = row["ended_at"] is not None and row["outcome"] == "pending"
        return Reversal("reversed" if is_over else row["outcome"], row["redemption_id"])
    refusal = Refusal.of(row["outcome"])
    if refusal is None:
        return _redemption(row)
    return refused(
        Refusal.REVERSED if row["reversed_at"] is not None else refusal,
        asking=till.terminal_id,
        by_terminal=row["by_terminal"],
        by_request_no=row["by_request_no"],
        by_at=row["by_at"],
    )


def _redemption(row: Any) -> Redemption:  # noqa: ANN401
    state = row["state"]
    return Redemption(
        redemption_id=row["redemption_id"],
        claim_id=row["claim_id"],
        position=row["position"],
        state=state,
        order_amount_fen=row["order_amount_fen"],
        discount_fen=row["amount_fen"],
        hold_expires_at=row["hold_expires_at"] if state == "held" else None,
        settlement_id=row["settlement_id"],
        voucher_state=_AFTERWARDS.get(row["ended_into"]),
    )
