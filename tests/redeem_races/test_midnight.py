"""Who waits for whom at the end of a cohort, played on the clock: each order has one right end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from tests import builders, tills
from tests.builders import DropTerms, Kind
from tests.redeem_races.lending import Lent, lending
from tests.redeem_races.lives import make_programme
from tests.tills import Till

# One day: what is claimed today ends at the next midnight, and the drop goes on.
PACK = (Kind("meal", 1001, 2, valid_days=1), Kind("book", 500, 1, valid_days=1))
VOUCHERS = 3
CITY = 1


@pytest_asyncio.fixture
async def owners(database_url: str) -> AsyncIterator[Lent]:
    async with lending(database_url, 4) as lent:
        yield lent


@asynccontextmanager
async def touching(owners: Lent, claim_id: UUID) -> AsyncIterator[None]:
    """Touch a claim's vouchers, in a transaction that ends with the block."""
    async with owners.acquire() as owner, owner.transaction():
        await owner.execute("SELECT claim.share_cohorts($1::smallint, $2)", CITY, [claim_id])
        yield


async def waiting(books: asyncpg.Connection, count: int) -> None:
    """Return once so many wait for the lock of a cohort."""
    for _ in range(200):
        found = await books.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        if found == count:
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"{found} wait, not {count}")


async def next_midnight(books: asyncpg.Connection) -> datetime:
    """Return when the city's day ends, and the vouchers of its claims."""
    now: datetime = await books.fetchval("SELECT campaign.now()")
    today = (now.astimezone(UTC) + timedelta(hours=8)).date()
    return datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(days=1, hours=-8)


async def midnight_comes(books: asyncpg.Connection) -> None:
    """Move the clock to a second after it."""
    over = await next_midnight(books)
    now: datetime = await books.fetchval("SELECT campaign.now()")
    await tills.advance(books, over - now + timedelta(seconds=1))


async def issued(books: asyncpg.Connection, *, claims: int = 1) -> tuple[UUID, list[UUID], Till]:
    programme = await make_programme(books)
    terms = DropTerms(quota=9, pack=PACK, closes_in=timedelta(days=9))
    drop_id = await builders.make_drop(books, programme, terms)
    await builders.publish(books, drop_id)
    till = await tills.enrol_till(books, programme.programme_id)
    return drop_id, (await builders.issue(books, drop_id, claims)).won, till


async def expire(pool: Lent) -> int:
    async with pool.acquire() as connection:
        return await tills.expire_due(connection)


async def expire_meals(pool: Lent, drop_id: UUID, valid_until: datetime) -> int | None:
    """Expire a drop's cohort of meals; it may still have to wait for its end."""
    async with pool.acquire() as connection:
        count: int | None = await connection.fetchval(
            "SELECT redeem.expire_cohort($1, $2, 'meal', $3)", CITY, drop_id, valid_until
        )
    return count


async def test_a_void_that_waited_for_the_expiry_comes_too_late(
    books: asyncpg.Connection, tills_pool: Lent, owners: Lent
) -> None:
    drop_id, (claim_id,), _ = await issued(books)
    ends_at = await next_midnight(books)

    async def void() -> str:
        async with owners.acquire() as owner:
            return await builders.release(owner, claim_id, reopen=True)

    async with asyncio.TaskGroup() as racing, touching(owners, claim_id):
        expiring = racing.create_task(expire_meals(tills_pool, drop_id, ends_at))
        await waiting(books, 1)
        voiding = racing.create_task(void())
        await waiting(books, 2)
        await midnight_comes(books)
    assert (expiring.result(), voiding.result()) == (2, "expired")
    assert await expire(tills_pool) == 1


async def test_a_capture_that_waited_for_the_expiry_comes_too_late(
    books: asyncpg.Connection, tills_pool: Lent, owners: Lent
) -> None:
    drop_id, (touched, untouched), till = await issued(books, claims=2)
    held = await tills.redeem(books, till, touched, capture=False)
    ends_at = await next_midnight(books)

    async def capture() -> list[str]:
        async with tills_pool.acquire() as connection:
            told = await tills.decide(connection, [tills.ask(till, untouched)])
        return [one.outcome for one in told]

    async with asyncio.TaskGroup() as racing, touching(owners, untouched):
        expiring = racing.create_task(expire_meals(tills_pool, drop_id, ends_at))
        await waiting(books, 1)
        capturing = racing.create_task(capture())
        await waiting(books, 2)
        await midnight_comes(books)
    assert (expiring.result(), capturing.result()) == (4, ["expired"])
    assert await tills.finish_hold(books, held, "capture") == "hold_ended"


async def test_an_expiry_counts_a_claim_that_was_decided_before_midnight(
    books: asyncpg.Connection, tills_pool: Lent, owners: Lent
) -> None:
    """Its transaction is still open when the clock strikes."""
    drop_id, _, _ = await issued(books)
    async with asyncio.TaskGroup() as racing, owners.acquire() as owner, owner.transaction():
        assert (await builders.issue(owner, drop_id, 1)).outcomes == ["issued"]
        await midnight_comes(books)
        expiring = racing.create_task(expire(tills_pool))
        await waiting(books, 1)
    assert expiring.result() == 2 * VOUCHERS


async def test_a_claim_that_waited_for_the_expiry_is_asked_again(
    books: asyncpg.Connection, tills_pool: Lent, owners: Lent
) -> None:
    """Decided before midnight, it would be born into a cohort that is over."""
    drop_id, (first,), _ = await issued(books)
    ends_at = await next_midnight(books)

    async def issue() -> list[str]:
        async with owners.acquire() as owner:
            return (await builders.issue(owner, drop_id, 1)).outcomes

    async with asyncio.TaskGroup() as racing, touching(owners, first):
        expiring = racing.create_task(expire_meals(tills_pool, drop_id, ends_at))
        await waiting(books, 1)
        issuing = racing.create_task(issue())
        await waiting(books, 2)
        await midnight_comes(books)
    assert (expiring.result(), issuing.result()) == (2, ["busy"])
    assert await issue() == ["issued"]
    assert await expire(tills_pool) == 1


async def test_what_expired_stays_so_when_the_clock_goes_back(
    books: asyncpg.Connection, tills_pool: Lent
) -> None:
    """As on a server that took over with a clock behind that of the one before."""
    drop_id, (touched, untouched), till = await issued(books, claims=2)
    held = await tills.redeem(books, till, touched, capture=False)
    await midnight_comes(books)
    assert await expire(tills_pool) == 2 * VOUCHERS
    await tills.advance(books, timedelta(minutes=-1))

    asked = [tills.ask(till, touched), tills.ask(till, untouched, 1)]
    assert [told.outcome for told in await tills.decide(books, asked)] == ["expired", "expired"]
    assert await tills.finish_hold(books, held, "capture") == "hold_ended"
    assert await builders.release(books, untouched, reopen=True) == "expired"
    assert (await builders.issue(books, drop_id, 1)).outcomes == ["busy"]
    assert await expire(tills_pool) == 0


async def test_what_is_over_is_refused_while_its_expiry_goes_on(
    books: asyncpg.Connection, tills_pool: Lent, owners: Lent
) -> None:
    """An expiry may take seconds; a batch with others in it does not wait for it."""
    _, (claim_id,), till = await issued(books)
    await midnight_comes(books)
    async with tills_pool.acquire() as expiring, expiring.transaction():
        assert await tills.expire_due(expiring) == VOUCHERS
        async with asyncio.timeout(1), owners.acquire() as owner:
            told = await tills.decide(owner, [tills.ask(till, claim_id)])
            assert [one.outcome for one in told] == ["expired"]
            assert await builders.release(owner, claim_id, reopen=True) == "expired"
