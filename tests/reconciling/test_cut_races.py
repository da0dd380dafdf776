"""A reversal and a cut that want the same capture: one of them gets it."""

import asyncio
import random
from collections import Counter
from datetime import date

from shared.db.urls import service_url
from tests import tills
from tests.databases import SECRETS
from tests.reconciling import histories
from tests.reconciling.bureau import Bureau
from tests.reconciling.histories import History
from tests.redeem_races.lending import lending


async def test_reversals_racing_a_cut(desk: Bureau) -> None:
    """Each capture is paid, or was reversed before (J21), or is owed back (J23): never two."""
    chosen = random.Random(22)
    seen: Counter[str] = Counter()
    async with lending(service_url(desk.database_url, "redeem", SECRETS), 8) as tills_pool:
        for _ in range(6):
            history = await histories.begin(desk, "bank", shops=4)
            asked = await histories.redeem(desk, history, 0, 24)
            day = await desk.today()
            await desk.to_noon_of_a_new_day()

            async def reverse(one: tills.Asked) -> None:
                await asyncio.sleep(chosen.uniform(0, 0.06))
                async with tills_pool.acquire() as connection:
                    assert await tills.reverse(connection, one) == "reversed"

            async def cut_it(history: History = history, day: date = day) -> None:
                await asyncio.sleep(0.02)
                answer = await desk.finance.post(
                    "/v1/settlement-batches",
                    {"programme_id": str(history.programme.programme_id), "cut_off": str(day)},
                )
                assert answer.status == 201, answer.body

            await asyncio.gather(cut_it(), *(reverse(one) for one in asked[:16]))
            ended = await desk.owner.fetch(
                "SELECT ended_kind, EXISTS (SELECT 1 FROM ledger.payout_items AS i"
                "   WHERE i.settlement_id = r.settlement_id) AS is_paid"
                " FROM redeem.redemptions AS r WHERE drop_id = $1",
                history.drop_id,
            )
            seen.update(f"{kind} {'paid' if is_paid else 'unpaid'}" for kind, is_paid in ended)
            paid_fen, records_fen = await sums(desk, history)
            assert paid_fen == records_fen
    # Both were really met.
    assert seen["None paid"] == 6 * 8, seen
    assert seen["J23 paid"] > 0, seen
    assert seen["J21 unpaid"] + seen["J21 paid"] > 0, seen
    assert seen["J23 unpaid"] == seen["None unpaid"] == 0, seen


async def sums(desk: Bureau, history: History) -> tuple[int, int]:
    """Return what the payouts pay, and what their records say that they pay."""
    row = await desk.owner.fetchrow(
        "SELECT (SELECT sum(amount_fen + netted_fen) FROM ledger.payouts"
        "     WHERE programme_id = $1)::bigint,"
        " (SELECT sum(CASE s.record_type WHEN 'REDEEM' THEN s.net_fen ELSE -s.net_fen END)"
        "     FROM ledger.payout_items AS i"
        "     JOIN ledger.settlement_records AS s USING (city_id, settlement_id)"
        "     WHERE s.programme_id = $1)::bigint",
        history.programme.programme_id,
    )
    assert row is not None
    return row[0], row[1]
