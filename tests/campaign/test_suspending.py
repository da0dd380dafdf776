"""A suspension holds at once: when it was answered, no redemption of the till commits any more."""

import asyncio
from collections import Counter
from uuid import UUID

import pytest

from tests import builders, tills
from tests.campaign.desk import Desk
from tests.campaign.terms import CITY, fund, make_drop, make_merchant, make_programme, make_terminal
from tests.redeem_races.lending import Lent
from tests.tills import Till

VOUCHERS = 400
PATIENCE_MS = 10_000
WAITING = """
    SELECT count(*) FROM pg_locks
    JOIN pg_database AS d ON d.oid = database AND d.datname = current_database()
    WHERE locktype = 'advisory' AND NOT granted
"""
REFUSED = {"terminal": "terminal_suspended", "merchant": "merchant_not_enrolled"}


async def _open(desk: Desk, claims: int) -> tuple[Till, list[UUID]]:
    """Return a till of an approved merchant, and claims whose vouchers it may redeem."""
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    for funder in ("city", "platform"):
        await fund(operator, programme_id, funder, 10**7)
    drop_id = await make_drop(operator, programme_id, quota=claims)
    assert (await operator.post(f"/v1/drops/{drop_id}/publish")).status == 200
    merchant_id = await make_merchant(operator, programme_id)
    approved = await desk.approver(CITY).post(f"/v1/merchants/{merchant_id}/approve")
    assert approved.status == 200
    made = await make_terminal(operator, merchant_id)
    till = Till(UUID(merchant_id), UUID(made["terminal_id"]), made["key_id"])
    return till, (await builders.issue(desk.owner, UUID(drop_id), claims)).won


def _suspension(till: Till, what: str) -> str:
    merchant = f"/v1/merchants/{till.merchant_id}"
    if what == "merchant":
        return f"{merchant}/suspend"
    return f"{merchant}/terminals/{till.terminal_id}/suspend"


async def _captured(desk: Desk, till: Till) -> int:
    count: int = await desk.owner.fetchval(
        "SELECT count(*) FROM redeem.redemptions WHERE terminal_id = $1 AND state = 'captured'",
        till.terminal_id,
    )
    return count


@pytest.mark.parametrize("what", ["terminal", "merchant"])
async def test_a_capture_that_has_begun_is_waited_for(
    desk: Desk, tills_pool: Lent, what: str
) -> None:
    till, claims = await _open(desk, 2)
    async with tills_pool.acquire() as connection:
        async with connection.transaction():
            [told] = await tills.decide(connection, [tills.ask(till, claims[0])])
            assert told.outcome == "captured"
            suspending = asyncio.ensure_future(desk.operator(CITY).post(_suspension(till, what)))
            waits = 0
            for _ in range(PATIENCE_MS // 5):
                await asyncio.sleep(0.005)
                waits = await desk.owner.fetchval(WAITING)
                if waits or suspending.done():
                    break
            assert (waits, suspending.done()) == (1, False)
        assert (await suspending).body["state"] == "suspended"
        assert await _captured(desk, till) == 1
        [told] = await tills.decide(connection, [tills.ask(till, claims[1])])
        assert told.outcome == REFUSED[what]
    assert await _captured(desk, till) == 1


@pytest.mark.parametrize("what", ["terminal", "merchant"])
async def test_nothing_commits_after_the_answer(desk: Desk, tills_pool: Lent, what: str) -> None:
    """Eight connections of a till capture without a pause while it is suspended."""
    till, claims = await _open(desk, VOUCHERS)
    told: Counter[str] = Counter()
    begun = asyncio.Event()

    async def capture() -> None:
        async with tills_pool.acquire() as connection:
            while claims:
                [one] = await tills.decide(connection, [tills.ask(till, claims.pop())])
                told[one.outcome] += 1
                if told["captured"] >= 20:
                    begun.set()

    crowd = asyncio.gather(*(capture() for _ in range(8)))
    async with asyncio.timeout(PATIENCE_MS / 1000):
        await begun.wait()
    assert (await desk.operator(CITY).post(_suspension(till, what))).status == 200
    captured = await _captured(desk, till)
    await crowd

    assert await _captured(desk, till) == captured
    assert told == {"captured": captured, REFUSED[what]: VOUCHERS - captured}
    # The suspension fell into the middle, or nothing was shown.
    assert 20 <= captured < VOUCHERS, told


async def test_a_suspended_till_still_gives_back_what_it_holds(
    desk: Desk, tills_pool: Lent
) -> None:
    till, claims = await _open(desk, 2)
    async with tills_pool.acquire() as connection:
        holds = [
            await tills.redeem(connection, till, claim_id, capture=False) for claim_id in claims
        ]
        assert (await desk.operator(CITY).post(_suspension(till, "terminal"))).status == 200
        assert await tills.finish_hold(connection, holds[0], "capture") == "terminal_suspended"
        assert await tills.finish_hold(connection, holds[0], "release") == "released"
        assert await tills.reverse(connection, holds[1]) == "reversed"
    assert await _captured(desk, till) == 0
