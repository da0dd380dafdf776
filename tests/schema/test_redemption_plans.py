"""The look-ups of tills, expiry and settlement use their indexes, whoever else the city has.

As for claims (test_plans.py): on tables that are empty, on full ones with the plans of the empty
ones, and on full ones with new plans.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.migrations.migrate import SCHEMAS
from tests import builders, tills
from tests.builders import DropTerms, Kind, Programme
from tests.schema.conftest import Connect
from tests.schema.counters import counted, reads_few
from tests.schema.neighbours import move_in
from tests.schema.played import play
from tests.tills import Till

ASKED = 20
# Per request: what its look-ups and foreign keys read, of a table of which it needs several rows.
ENTRIES_PER_REQUEST_MAX = 12
# The market's own rows, dead ones included: fewer than the neighbours have of each.
OWN_ENTRIES_MAX = 100
PACK = (Kind("meal", 1001, 2, valid_days=1), Kind("book", 500, 1, valid_days=1))
CITY = 1
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Market:
    """A programme on each rail, and the sessions that ask about it."""

    owner: asyncpg.Connection
    programme: Programme
    till: Till
    bank_drop: UUID
    ecny_drop: UUID

    async def reads_few(
        self,
        session: asyncpg.Connection,
        work: Callable[[], Awaitable[Result]],
        *,
        requests: int = ASKED,
    ) -> Result:
        """Do the work in `session`; it may read so much for each request."""
        results = []

        async def done() -> None:
            results.append(await work())

        counters = await counted(self.owner, session, done)
        reads_few(counters, ENTRIES_PER_REQUEST_MAX * requests + OWN_ENTRIES_MAX)
        return results[0]


@pytest_asyncio.fixture(scope="module")
async def empty(owner: asyncpg.Connection) -> Market:
    tables = await owner.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace::regnamespace::text = ANY ($1)",
        SCHEMAS,
    )
    for table in tables:
        await owner.execute(f"ALTER TABLE {table['name']} SET (autovacuum_enabled = false)")
    await owner.execute("ANALYZE")
    programme = await builders.make_programme(
        owner, shares={"city": 6667, "shops": 3333}, pool="shops", funded_fen=10**12
    )
    drops = []
    for rail in ("bank", "ecny"):
        terms = DropTerms(quota=1000, pack=PACK, rail=rail, closes_in=timedelta(days=90))
        drops.append(await builders.make_drop(owner, programme, terms))
        await builders.publish(owner, drops[-1])
    till = await tills.enrol_till(owner, programme.programme_id)
    return Market(owner, programme, till, *drops)


@pytest_asyncio.fixture(scope="module")
async def tilling(connect_as: Connect) -> AsyncIterator[asyncpg.Connection]:
    """One session of the redeem service, which keeps its plans."""
    async with connect_as("redeem") as session:
        yield session


@pytest_asyncio.fixture(scope="module")
async def played(empty: Market, tilling: asyncpg.Connection) -> Market:
    """The market after its first day, on which every plan of that session was made."""
    await _play(empty, tilling)
    return empty


@pytest_asyncio.fixture(scope="module")
async def full(played: Market) -> Market:
    """The same market in a city of many others."""
    await play(played.owner, await builders.make_programme(played.owner))
    await move_in(played.owner)
    await played.owner.execute(
        "UPDATE redeem.instructions SET next_at = now() + interval '1 year' WHERE state = 'open';"
        "UPDATE redeem.redemptions SET hold_expires_at = now() + interval '1 year'"
        " WHERE state = 'held'"
    )
    return played


@pytest.mark.usefixtures("played")
def test_on_empty_tables() -> None:
    """What the first day read was counted as it was played."""


async def test_on_full_tables_with_the_plans_of_empty_ones(
    full: Market, tilling: asyncpg.Connection
) -> None:
    await _play(full, tilling)


async def test_on_full_tables_with_new_plans(full: Market, connect_as: Connect) -> None:
    async with connect_as("redeem") as session:
        await _play(full, session)
    await full.owner.execute("ANALYZE")
    async with connect_as("redeem") as session:
        await _play(full, session)


@pytest.mark.parametrize(
    ("function", "about"),
    [
        ("ledger.due_records($1, $2, $3::date)", date(2100, 1, 1)),
        ("ledger.cash_movements($1, $2, $3)", "bank:main"),
        ("ledger.cash_movements($1, $2, $3)", "wallet:main"),
    ],
    ids=str,
)
async def test_settling_one_programme_reads_no_other(
    full: Market, function: str, about: object
) -> None:
    """These read a book from end to end, so they join by hash: but no book besides."""
    owner, programme_id = full.owner, full.programme.programme_id
    await owner.execute("ANALYZE; SET enable_seqscan = off")  # so few rows would be scanned
    own = {
        table: await owner.fetchval(
            f"SELECT count(*) FROM ledger.{table} WHERE programme_id = $1",  # noqa: S608
            programme_id,
        )
        for table in ("journals", "transfers", "settlement_records")
    }

    async def read() -> None:
        assert await owner.fetch(f"SELECT * FROM {function}", CITY, programme_id, about)  # noqa: S608

    counters = await counted(owner, owner, read)
    await owner.execute("RESET enable_seqscan")
    for table, rows in own.items():
        entries = [
            read for index, read in counters.entries.items() if index.startswith(f"{table}_")
        ]
        assert max(entries, default=0) <= rows, (counters.entries, own)


async def _play(market: Market, session: asyncpg.Connection) -> None:
    """Play a day of the market in `session`, and its end."""
    bank = (await builders.issue(market.owner, market.bank_drop, ASKED)).won
    ecny = (await builders.issue(market.owner, market.ecny_drop, ASKED)).won
    await _redeem(market, session, bank)
    await _hold(market, session, bank)
    await _pay(market, session, ecny)
    await tills.advance(market.owner, timedelta(days=1))
    await _end(market, session)


async def _redeem(market: Market, session: asyncpg.Connection, claims: Sequence[UUID]) -> None:
    asked = [tills.ask(market.till, claim) for claim in claims]
    for outcome in ("captured", "captured"):  # the second time it is replayed
        told = await market.reads_few(session, lambda: tills.decide(session, asked))
        assert [one.outcome for one in told] == [outcome] * ASKED

    async def quote() -> None:
        for claim in claims:
            quoted = await session.fetchval(
                "SELECT outcome FROM redeem.quote($1, $2, $3, 2::smallint, 1, 5000, $4)",
                *(CITY, market.till.terminal_id, claim, tills.CATEGORY),
            )
            assert quoted == "applicable"

    await market.reads_few(session, quote)

    async def reverse() -> None:
        for one in asked[: ASKED // 2]:
            assert await tills.reverse(session, one) == "reversed"
        for claim in claims[ASKED // 2 :]:
            unsent = tills.ask(market.till, claim)
            assert await tills.reverse(session, unsent) == "never_happened"

    await market.reads_few(session, reverse)


async def _hold(market: Market, session: asyncpg.Connection, claims: Sequence[UUID]) -> None:
    held = [tills.ask(market.till, claim, 1, capture=False) for claim in claims]
    told = await market.reads_few(session, lambda: tills.decide(session, held))
    assert [one.outcome for one in told] == ["held"] * ASKED

    async def finish() -> None:
        for one in held[: ASKED // 3]:
            assert await tills.finish_hold(session, one, "capture") == "captured"
        for one in held[ASKED // 3 : ASKED // 2]:
            assert await tills.finish_hold(session, one, "release") == "released"

    await market.reads_few(session, finish)
    overdue = await market.reads_few(
        session, lambda: session.fetch("SELECT * FROM redeem.overdue_holds(1000)"), requests=1
    )
    assert overdue == []


async def _pay(market: Market, session: asyncpg.Connection, claims: Sequence[UUID]) -> None:
    asked = [tills.ask(market.till, claim) for claim in claims]
    told = await market.reads_few(session, lambda: tills.decide(session, asked))
    assert [one.outcome for one in told] == ["pending"] * ASKED

    async def take_one() -> None:
        for one in asked[:3]:
            taken = await session.fetch(
                "SELECT * FROM redeem.take_instructions(1, $1, $2)", CITY, one.redemption_id
            )
            assert len(taken) == 1

    await market.reads_few(session, take_one, requests=3)
    await _answer(market, session, ASKED - 3, ["confirmed", "rejected"])
    await tills.advance(market.owner, timedelta(seconds=2))
    await _answer(market, session, 3, ["confirmed"])

    async def call_back() -> None:
        for one in asked[:3]:
            assert await tills.reverse(session, one) == "pending"

    await market.reads_few(session, call_back, requests=3)
    await _answer(market, session, 3, ["confirmed"])


async def _answer(
    market: Market, session: asyncpg.Connection, due: int, says: Sequence[str]
) -> None:
    """Take what is due, and have the operator say each of these in turn."""
    taken = await market.reads_few(
        session,
        lambda: session.fetch("SELECT * FROM redeem.take_instructions(1000, NULL, NULL)"),
        requests=due,
    )
    assert len(taken) == due

    async def finish() -> None:
        for place, instruction in enumerate(taken):
            await session.fetchval(
                "SELECT redeem.finish_instruction($1, $2, $3, 'op', campaign.now(), NULL)",
                *(CITY, instruction["instruction_id"], says[place % len(says)]),
            )

    await market.reads_few(session, finish, requests=due)


async def _end(market: Market, session: asyncpg.Connection) -> None:
    """Time out what is held, and expire what is over."""
    overdue = await market.reads_few(
        session, lambda: session.fetch("SELECT * FROM redeem.overdue_holds(1000)"), requests=1
    )
    assert len(overdue) == ASKED - ASKED // 2

    async def time_out() -> None:
        for hold in overdue:
            assert await session.fetchval("SELECT redeem.time_out($1, $2)", *hold)

    await market.reads_few(session, time_out)
    due = await market.reads_few(
        session, lambda: session.fetch("SELECT * FROM redeem.due_cohorts(1000)"), requests=1
    )
    own = [cohort for cohort in due if cohort["drop_id"] in {market.bank_drop, market.ecny_drop}]
    assert len(own) == 2 * len(PACK)

    async def expire() -> None:
        for cohort in own:
            assert await session.fetchval("SELECT redeem.expire_cohort($1, $2, $3, $4)", *cohort)

    await market.reads_few(session, expire)
