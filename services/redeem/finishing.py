"""The end of a hold, as its till asks: the money is taken, or given back."""

from dataclasses import replace

from services.redeem.attempts import Till
from services.redeem.insisting import insist
from services.redeem.outcomes import BUSY, Redemption, Refusal, Refused
from services.redeem.reading_back import read_redemption
from services.redeem.requests import body_hash
from shared.db.calling import Calls
from shared.ids import parse_id

_FINISH = "SELECT * FROM redeem.finish_hold($1, $2, $3, $4, $5, $6)"
_NO_SUCH_HOLD = Refused(Refusal.NOT_FOUND, "This terminal holds no such redemption.")


async def finish_hold(
    calls: Calls,
    till: Till,
    named: str,
    operation: str,
    *,
    request_no: str,
    until_s: float,
) -> Redemption | Refused:
    """Capture or release the hold `named`, once, however often the request arrives.

    `operation` is `capture` or `release`.
    """
    redemption_id = parse_id(named)
    if redemption_id is None:
        return _NO_SUCH_HOLD
    hashed = body_hash(operation, str(redemption_id))

    async def finish() -> Redemption | Refused:
        row = await calls.call(
            "fetchrow",
            _FINISH,
            *(till.city_id, till.terminal_id, request_no, hashed, redemption_id, operation),
        )
        refusal = Refusal.of(row["outcome"])
        if refusal is not None:
            return _NO_SUCH_HOLD if refusal is Refusal.NOT_FOUND else Refused(refusal)
        redemption = await read_redemption(calls, till, redemption_id)
        return replace(redemption, replayed=row["is_replayed"])

    return await insist(finish, until_s=until_s) or BUSY
