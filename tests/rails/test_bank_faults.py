"""A bank that is silent, loses, repeats and refuses: every merchant is paid, and paid once."""

import asyncio
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from services.ledger.payout_files import make_payout_file
from shared.formats import payout_file
from shared.formats.payout_file import PayoutFile
from shared.ids import new_id
from tests import tills
from tests.rails.accounts import CASH_FEN, open_shops, working
from tests.simulating.running import SimulatorProcess, until

MERCHANTS = 12
DUE_FEN = 2 * CASH_FEN


async def test_every_fault_at_once(
    books: asyncpg.Connection,
    database_url: str,
    bank: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers on one ledger; what the bank refuses is paid with the next batch."""
    shops = await open_shops(books, bank, merchants=MERCHANTS)
    batch_id = await shops.approve_batch()
    rejected, lost, *_ = await shops.payouts(batch_id)
    await bank.command(
        {"on": "payout_files", "do": "reject"},
        {"on": "payout_files", "do": "lose"},
        {"on": "payout_files", "do": "silence"},
        {"on": "payout_files", "do": "duplicate"},
        {"on": "payouts", "do": "reject", "match": rejected},
        {"on": "payouts", "do": "lose", "match": lost},
        {"on": "payouts", "do": "process", "delay_ms": 300, "times": 3},
        {"on": "queries", "do": "lose", "times": 2, "every": 3},
        {"on": "queries", "do": "silence", "times": 2, "every": 3},
    )
    async with (
        working(database_url, data_dir, monkeypatch),
        working(database_url, data_dir, monkeypatch),
    ):
        assert await shops.settled() == {"confirmed": MERCHANTS - 1, "rejected": 1}
        assert await bank.hits() == {
            "payout_files:reject": 1,
            "payout_files:lose": 1,
            "payout_files:silence": 1,
            "payout_files:duplicate": 1,
            "payouts:reject": 1,
            "payouts:lose": 1,
            "payouts:process": 3,
            "queries:lose": 2,
            "queries:silence": 2,
        }
        assert await shops.journals() == {"J14": MERCHANTS, "J15": MERCHANTS - 1, "J16": 1}
        await shops.approve_batch()
        assert await shops.settled() == {"confirmed": MERCHANTS, "rejected": 1}
    assert await shops.journals() == {"J14": MERCHANTS + 1, "J15": MERCHANTS, "J16": 1}
    assert await shops.paid_fen() == Counter(
        {redeemed.till.merchant_id: DUE_FEN for redeemed in shops.redeemed}
    )
    await shops.assert_bank_agrees()


async def test_the_file_may_be_given_any_number_of_times(
    books: asyncpg.Connection,
    database_url: str,
    bank: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shops = await open_shops(books, bank, merchants=3)
    batch_id = await shops.approve_batch()
    async with working(database_url, data_dir, monkeypatch) as database:
        await shops.settled()
        async with database.transaction(None) as session:
            file = await make_payout_file(session, batch_id)
            assert await make_payout_file(session, batch_id) == file, "not the same bytes"
            assert await make_payout_file(session, new_id(1)) is None
    assert file is not None
    read = payout_file.parse(file)
    assert isinstance(read, PayoutFile)
    assert (read.batch, read.account) == (str(batch_id), shops.account)
    assert [line.end_to_end_no for line in read.lines] == await shops.payouts(batch_id)
    assert {line.amount_fen for line in read.lines} == {DUE_FEN}
    for _ in range(2):
        status, answer = await bank.send_file(file)
        assert (status, answer["taken"], answer["payouts"]) == (200, 0, 3)
    await shops.assert_bank_agrees()


async def test_a_line_that_the_bank_lost_is_given_again(
    books: asyncpg.Connection,
    database_url: str,
    bank: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had said that it has the file."""
    shops = await open_shops(books, bank, merchants=3)
    await bank.command({"on": "payouts", "do": "lose", "times": 2})
    async with working(database_url, data_dir, monkeypatch):
        await shops.approve_batch()
        assert await shops.settled() == {"confirmed": 3}
    assert await bank.hits() == {"payouts:lose": 2}
    await shops.assert_bank_agrees()


async def test_what_is_netted_whole_is_not_sent(
    books: asyncpg.Connection,
    database_url: str,
    bank: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A merchant that must give back as much as it is owed is paid nothing (J13 alone)."""
    shops = await open_shops(books, bank, merchants=2, vouchers_each=1)
    async with working(database_url, data_dir, monkeypatch) as database:
        await shops.approve_batch()
        assert await shops.settled() == {"confirmed": 2}
        owing, other = shops.redeemed
        assert await tills.reverse(books, owing) == "reversed"
        await shops.take_voucher(owing.till)
        await shops.take_voucher(other.till)
        await tills.advance(books, timedelta(days=1))
        batch_id = await shops.approve_batch()
        assert await shops.settled() == {"confirmed": 4}
        async with database.transaction(None) as session:
            file = await make_payout_file(session, batch_id)
    assert file is not None
    read = payout_file.parse(file)
    assert isinstance(read, PayoutFile)
    assert [(line.merchant_id, line.amount_fen) for line in read.lines] == [
        (str(other.till.merchant_id), CASH_FEN)
    ]
    assert await shops.journals() == {"J13": 1, "J14": 3, "J15": 3}
    await shops.assert_bank_agrees()


async def test_a_payout_that_cannot_be_booked_delays_no_other(
    books: asyncpg.Connection,
    database_url: str,
    bank: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The books lack the money that the bank has paid; once they have it, the rest is booked."""
    shops = await open_shops(books, bank, merchants=3)
    await shops.approve_batch()
    held_fen = await shops.hold_fen(2 * DUE_FEN)
    async with working(database_url, data_dir, monkeypatch):

        async def two_are_booked() -> bool:
            await tills.advance(books, timedelta(seconds=5))
            return (await shops.journals())["J15"] == 2

        await until(two_are_booked, within_s=10)
        await shops.hold_fen(held_fen - 2 * DUE_FEN)
        assert await shops.settled() == {"confirmed": 3}
    await shops.assert_bank_agrees()


async def test_killed_in_the_middle_and_started_again(
    books: asyncpg.Connection,
    database_url: str,
    bank: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It had taken the file, and had paid a part of it, when it died."""
    shops = await open_shops(books, bank, merchants=MERCHANTS)
    await bank.command(
        {"on": "payouts", "do": "process", "delay_ms": 60_000, "times": MERCHANTS // 2}
    )
    async with working(database_url, data_dir, monkeypatch):
        await shops.approve_batch()

        async def paid_a_part() -> bool:
            return (await shops.journals())["J15"] == MERCHANTS - MERCHANTS // 2

        await until(paid_a_part, within_s=10)
        assert await bank.end(signal.SIGKILL) == -signal.SIGKILL
        await asyncio.sleep(0.5)
        assert await paid_a_part(), "paid by nobody"
        await bank.start()
        await bank.advance(timedelta(minutes=2))
        assert await shops.settled() == {"confirmed": MERCHANTS}
    assert await shops.journals() == {"J14": MERCHANTS, "J15": MERCHANTS}
    await shops.assert_bank_agrees()


async def test_an_account_that_holds_too_little_pays_what_it_can(
    books: asyncpg.Connection,
    database_url: str,
    bank: SimulatorProcess,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody took money from the account that the books do not know of."""
    shops = await open_shops(books, bank, merchants=3)
    held = await bank.get(f"/v1/accounts/{shops.account}")
    taken = {
        "account": shops.account,
        "reference": "bank fee",
        "amount_fen": held["balance_fen"] - DUE_FEN,
    }
    await bank.post("/v1/transfers", taken)
    async with working(database_url, data_dir, monkeypatch):
        await shops.approve_batch()
        assert await shops.settled() == {"confirmed": 1, "rejected": 2}
        reasons = await books.fetch("SELECT DISTINCT reason FROM ledger.payouts WHERE reason > ''")
        assert [row["reason"] for row in reasons] == ["insufficient balance"]
