"""The operator is killed in the middle and comes back: what it had done it does not do again."""

import asyncio
import signal
from pathlib import Path

import asyncpg
import pytest

from tests.rails.wallets import ANSWERS_WITHIN_S, confirmations, open_market, working
from tests.simulating.running import SimulatorProcess, until

REDEEMED = 120
KILLS = 2
_FELT_WITHIN_S = 20.0


async def test_killed_in_the_middle_and_started_again(
    books: asyncpg.Connection,
    database_url: str,
    operator: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market = await open_market(books, operator, vouchers=REDEEMED)
    await market.fill_wallet()
    async with working(database_url, data_dir, monkeypatch) as instructs:
        asked = await market.redeem(REDEEMED)
        for kill in range(KILLS):
            # Done at once and told late: these are under way when it dies.
            await operator.command({"on": "payments", "do": "delay", "delay_ms": 150, "times": 999})
            for each in asked:
                instructs.nudge(market.programme.city_id, each.redemption_id)
            least = (kill + 1) * REDEEMED // (KILLS + 2)

            async def has_begun(least: int = least) -> bool:
                return await confirmations(books, asked) >= least

            await until(has_begun, within_s=_FELT_WITHIN_S)
            assert await operator.end(signal.SIGKILL) == -signal.SIGKILL
            done = await confirmations(books, asked)
            assert 0 < done < REDEEMED, "it was not killed in the middle"
            await asyncio.sleep(0.5)
            assert await confirmations(books, asked) == done, "confirmed by nobody"
            await operator.start()
        states = await market.settled()
    assert states == {"captured": REDEEMED}
    unknown = await books.fetchval("SELECT count(*) FROM redeem.instructions WHERE attempts > 1")
    assert unknown > 0, "no payment was under way when it was killed"
    await market.assert_operator_agrees()


async def test_a_worker_that_ends_in_the_middle_is_followed_by_another(
    books: asyncpg.Connection,
    database_url: str,
    operator: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The operator had paid, and nobody was left to hear of it."""
    market = await open_market(books, operator, vouchers=8)
    await market.fill_wallet()
    await operator.command({"on": "payments", "do": "delay", "delay_ms": 300, "times": 8})
    async with working(database_url, data_dir, monkeypatch) as instructs:
        asked = await market.redeem(8)
        for each in asked:
            instructs.nudge(market.programme.city_id, each.redemption_id)

        async def all_are_under_way() -> bool:
            return (await operator.hits())["payments:delay"] == 8

        await until(all_are_under_way, within_s=_FELT_WITHIN_S)
    assert await market.states() == {"pending": 8}
    async with working(database_url, data_dir, monkeypatch):
        assert await market.settled() == {"captured": 8}
    await market.assert_operator_agrees()


async def test_without_an_operator_a_till_is_told_at_once_that_it_waits(
    books: asyncpg.Connection,
    database_url: str,
    operator: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither one that was never there nor one that is gone is asked again and again."""
    market = await open_market(books, operator, vouchers=4)
    await market.fill_wallet()
    nowhere = data_dir / "nowhere"
    nowhere.mkdir()
    asked = await market.redeem(4)
    async with working(database_url, nowhere, monkeypatch) as instructs:
        for each in asked:
            assert instructs.nudge(market.programme.city_id, each.redemption_id).done()
        await asyncio.sleep(0.5)
        assert await books.fetchval("SELECT max(attempts) FROM redeem.instructions") == 0
    await operator.end(signal.SIGKILL)
    async with working(database_url, data_dir, monkeypatch) as instructs:
        await asyncio.sleep(2)
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            await instructs.nudge(market.programme.city_id, asked[0].redemption_id)
        # With one in doubt, one question at a time is asked, and ever more seldom.
        assert await books.fetchval("SELECT sum(attempts) FROM redeem.instructions") <= 4 + 4
        await operator.start()
        assert await market.settled() == {"captured": 4}
    await market.assert_operator_agrees()
