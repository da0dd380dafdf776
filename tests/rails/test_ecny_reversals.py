"""Reversals on the e-CNY rail: what was paid comes back, what was not never leaves."""

from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from tests import tills
from tests.rails.wallets import open_market, working
from tests.simulating.running import SimulatorProcess

EACH = 5


async def test_reversals_while_pending_and_after(
    books: asyncpg.Connection,
    database_url: str,
    operator: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refunds meet faults, too, and one that is refused is asked for under a new number."""
    market = await open_market(books, operator, vouchers=3 * EACH)
    await market.fill_wallet()
    await operator.command(
        {"on": "refunds", "do": "silence", "times": 2},
        {"on": "refunds", "do": "lose", "times": 2},
        {"on": "refunds", "do": "reject", "times": 2},
        {"on": "refunds", "do": "duplicate", "times": 2},
        {"on": "refunds", "do": "process", "delay_ms": 300, "times": 2},
    )
    while_pending = await market.redeem(EACH)
    refused = await market.redeem(EACH)
    for each in refused:
        await operator.command(
            {"on": "payments", "do": "reject", "match": await market.number(each)}
        )
    for each in [*while_pending, *refused]:
        assert await tills.reverse(books, each) == "pending"
    async with working(database_url, data_dir, monkeypatch):
        assert await market.settled() == {"reversed": 2 * EACH}
        captured = await market.redeem(EACH)
        assert await market.settled() == {"reversed": 2 * EACH, "captured": EACH}
        for each in captured:
            assert await tills.reverse(books, each) == "pending"
        assert await market.settled() == {"reversed": 3 * EACH}
    for each in [*while_pending, *refused, *captured]:
        assert await tills.reverse(books, each) == "reversed"
    assert await operator.hits() == Counter(
        {
            "refunds:silence": 2,
            "refunds:lose": 2,
            "refunds:reject": 2,
            "refunds:duplicate": 2,
            "refunds:process": 2,
            "payments:reject": EACH,
        }
    )
    # What was refused never left the wallet; everything else left and came back.
    ended = await books.fetch("SELECT ended_kind, count(*) FROM redeem.redemptions GROUP BY 1")
    assert {row["ended_kind"]: row["count"] for row in ended} == {"J9": EACH, "J23e": 2 * EACH}
    await market.assert_operator_agrees()


async def test_a_refund_is_sent_as_soon_as_its_payment_is_confirmed(
    books: asyncpg.Connection,
    database_url: str,
    operator: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    market = await open_market(books, operator, vouchers=1)
    await market.fill_wallet()
    (asked,) = await market.redeem(1)
    assert await tills.reverse(books, asked) == "pending"
    async with working(database_url, data_dir, monkeypatch) as instructs:
        await instructs.nudge(market.programme.city_id, asked.redemption_id)
        assert await market.states() == {"reversed": 1}
    await market.assert_operator_agrees()


async def test_a_wallet_that_holds_too_little_pays_nobody(
    books: asyncpg.Connection,
    database_url: str,
    operator: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The custody move was not carried out: the vouchers are good again."""
    market = await open_market(books, operator, vouchers=3)
    asked = await market.redeem(3)
    async with working(database_url, data_dir, monkeypatch):
        assert await market.settled() == {"failed": 3}
        reasons = await books.fetch("SELECT DISTINCT reason FROM redeem.instructions")
        assert [row["reason"] for row in reasons] == ["insufficient balance"]
        await market.fill_wallet()
        market.claims.extend(each.claim_id for each in asked)
        await market.redeem(3)
        assert await market.settled() == {"failed": 3, "captured": 3}
    await market.assert_operator_agrees()
