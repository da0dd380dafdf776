"""An operator that is silent, loses, repeats, delays, refuses: nothing is lost or done twice."""

from pathlib import Path

import asyncpg
import pytest

from tests.rails.wallets import CASH_FEN, open_market, working
from tests.simulating.running import SimulatorProcess, until

REDEEMED = 90
REJECTED = 6


async def test_every_fault_at_once(
    books: asyncpg.Connection,
    database_url: str,
    operator: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers on one ledger; half of the redemptions are sent at once, as for a till."""
    market = await open_market(books, operator, vouchers=REDEEMED)
    await market.fill_wallet()
    asked = await market.redeem(REDEEMED)
    rejected = [await market.number(each) for each in asked[:: REDEEMED // REJECTED]]
    await operator.command(
        *({"on": "payments", "do": "reject", "match": number} for number in rejected),
        {"on": "payments", "do": "silence", "times": 12, "every": 4},
        {"on": "payments", "do": "lose", "times": 12, "every": 3},
        {"on": "payments", "do": "duplicate", "times": 12, "every": 2},
        {"on": "payments", "do": "delay", "delay_ms": 200, "times": 4},
        {"on": "payments", "do": "process", "delay_ms": 500, "times": 6},
        {"on": "queries", "do": "silence", "times": 3, "every": 3},
        {"on": "queries", "do": "lose", "times": 3, "every": 3},
    )
    async with (
        working(database_url, data_dir, monkeypatch) as instructs,
        working(database_url, data_dir, monkeypatch),
    ):
        for each in asked[::2]:
            instructs.nudge(market.programme.city_id, each.redemption_id)
        states = await market.settled()
    hits = await operator.hits()
    assert hits == {
        "payments:silence": 12,
        "payments:lose": 12,
        "payments:reject": REJECTED,
        "payments:duplicate": 12,
        "payments:delay": 4,
        "payments:process": 6,
        "queries:silence": 3,
        "queries:lose": 3,
    }
    assert states == {"captured": REDEEMED - REJECTED, "failed": REJECTED}
    await market.assert_operator_agrees()
    paid = [key for key in await market.movements() if key[1:] == ("out", CASH_FEN)]
    assert len(paid) == REDEEMED - REJECTED


async def test_a_till_waits_for_what_is_under_way_already(
    books: asyncpg.Connection,
    database_url: str,
    operator: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker had found the instruction by itself just before it was nudged."""
    market = await open_market(books, operator, vouchers=1)
    await market.fill_wallet()
    await operator.command({"on": "payments", "do": "delay", "delay_ms": 250})
    async with working(database_url, data_dir, monkeypatch) as instructs:
        (asked,) = await market.redeem(1)

        async def is_under_way() -> bool:
            return (await operator.hits())["payments:delay"] == 1

        await until(is_under_way, within_s=5)
        assert await market.states() == {"pending": 1}
        await instructs.nudge(market.programme.city_id, asked.redemption_id)
        assert await market.states() == {"captured": 1}
    await market.assert_operator_agrees()
