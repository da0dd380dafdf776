"""Each kind of tampering is found by the invariants it breaks, and by no other."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from shared.bookkeeping.invariants import check_books, queries
from tests import builders
from tests.bookkeeping import redeemed, redemption_tampering
from tests.bookkeeping.tampering import CASES, NAMES, Tampering
from tests.builders import DropTerms
from tests.databases import TEMPLATE, CloneDatabase


@pytest_asyncio.fixture(scope="session")
async def sound_database(clone_database: CloneDatabase) -> str:
    """The name of a database with a life of every kind in it, whose books are sound."""
    url = await clone_database(TEMPLATE)
    connection = await asyncpg.connect(url)
    try:
        programme = await builders.make_programme(connection)
        await builders.make_programme(connection)
        await builders.fund(connection, programme, "platform", 900, "J2")
        await builders.fund(connection, programme, "platform", 600, "J3")
        live = await builders.make_drop(connection, programme, DropTerms(limit_per_holder=2))
        closed = await builders.make_drop(connection, programme)
        await builders.make_drop(connection, programme)
        for drop_id in (live, closed):
            await builders.publish(connection, drop_id)
            won = (await builders.issue(connection, drop_id, 4)).won
            await builders.issue(connection, drop_id, 2)
            assert await builders.release(connection, won[3], reopen=drop_id == live) == "released"
        won = (await builders.issue(connection, live, 3)).won
        assert await builders.release(connection, won[2], reopen=False) == "released"
        await builders.change_drop(connection, live, "quota", 20)
        await builders.change_drop(connection, closed, "close")
        await builders.make_persons(connection, programme.city_id, 1)
        await connection.execute(NAMES)
        assert await offenders(connection) == {}
        name: str = await connection.fetchval("SELECT current_database()")
    finally:
        await connection.close()
    return name


@pytest_asyncio.fixture(scope="session")
async def redeemed_database(clone_database: CloneDatabase) -> str:
    """The name of a database whose vouchers met every end there is, and whose books are sound."""
    connection = await asyncpg.connect(await clone_database(TEMPLATE))
    try:
        await redeemed.live(connection)
        await connection.execute(redemption_tampering.NAMES)
        assert await offenders(connection) == {}
        name: str = await connection.fetchval("SELECT current_database()")
    finally:
        await connection.close()
    return name


@contextlib.asynccontextmanager
async def tampering_with(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Log in as a superuser who has switched every trigger and foreign key off."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        yield connection
    finally:
        await connection.close()


async def offenders(connection: asyncpg.Connection) -> dict[str, list[dict[str, Any]]]:
    return {check.name: check.sample for check in await check_books(connection) if check.offenders}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_tampering_is_found_by_the_right_checks(
    sound_database: str, clone_database: CloneDatabase, case: Tampering
) -> None:
    async with tampering_with(await clone_database(sound_database)) as tampered:
        await assert_found(tampered, case)


@pytest.mark.parametrize(
    "case", redemption_tampering.CASES.values(), ids=redemption_tampering.CASES.keys()
)
async def test_tampering_with_redemptions_is_found_by_the_right_checks(
    redeemed_database: str, clone_database: CloneDatabase, case: Tampering
) -> None:
    async with tampering_with(await clone_database(redeemed_database)) as tampered:
        await assert_found(tampered, case)


async def assert_found(tampered: asyncpg.Connection, case: Tampering) -> None:
    await tampered.execute(case.statement)
    found = await offenders(tampered)
    assert found.keys() == case.found_by
    for sample in found.values():
        assert all(row["city_id"] == 1 for row in sample)


def test_every_check_is_proven_by_a_tampering() -> None:
    cases = [*CASES.values(), *redemption_tampering.CASES.values()]
    proven = frozenset[str]().union(*(case.found_by for case in cases))
    assert {query.name for query in queries()} == proven
