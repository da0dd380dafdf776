"""Staff see and write the cities that their transaction names, and no others."""

import contextlib

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from shared.db.database import Database
from shared.db.urls import service_url
from shared.migrations.migrate import SCHEMAS
from tests.databases import SECRETS
from tests.schema.conftest import Connect
from tests.schema.privileges import INSERTS, READS, READS_IN_PART
from tests.schema.rows import Populated, insertion, populate
from tests.schema.undoing import undone

HERE, THERE = 1, 2
COUNT = text("SELECT count(*), pg_backend_pid() FROM campaign.programmes")
# Not of one city: they are shared by all, and say nothing about any.
SHARED = {"campaign.cities", "campaign.clock", "ledger.account_families"}


@pytest_asyncio.fixture(scope="module")
async def populated(owner: asyncpg.Connection) -> dict[int, Populated]:
    return {HERE: await populate(owner, "330100"), THERE: await populate(owner, "310000")}


async def test_every_table_of_a_city_is_secured(owner: asyncpg.Connection) -> None:
    open_tables = await owner.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND NOT relrowsecurity"
        " AND relnamespace::regnamespace::text = ANY ($1)",
        SCHEMAS,
    )
    assert {row[0] for row in open_tables} == SHARED


@pytest.mark.parametrize("service", ["campaign", "ledger"])
@pytest.mark.parametrize(
    ("named", "seen"),
    [
        (None, set()),
        ("", set()),
        ("1", {HERE}),
        ("2", {THERE}),
        ("12", set()),
        ("1,2", {HERE, THERE}),
        ("*", {HERE, THERE}),
    ],
)
async def test_staff_see_the_cities_they_name(
    connect_as: Connect,
    populated: dict[int, Populated],
    service: str,
    named: str | None,
    seen: set[int],
) -> None:
    assert set(populated) == {HERE, THERE}
    async with connect_as(service) as connection, undone(connection):
        if named is not None:
            await connection.execute("SELECT set_config('fairdrop.cities', $1, true)", named)
        for table in (READS[service] | READS_IN_PART.get(service, {}).keys()) - SHARED:
            assert await _cities(connection, table) == seen, table


@pytest.mark.parametrize("service", ["claim", "redeem", "auditor"])
async def test_hot_roles_and_the_auditor_see_every_city(
    connect_as: Connect, populated: dict[int, Populated], service: str
) -> None:
    async with connect_as(service) as connection:
        for table in READS[service] - SHARED:
            assert await _cities(connection, table) == set(populated), table


@pytest.mark.parametrize("table", sorted(INSERTS["campaign"]))
async def test_rows_of_another_city_cannot_be_written(
    connect_as: Connect, populated: dict[int, Populated], table: str
) -> None:
    differs = {"city_id": str(THERE), **populated[THERE].drafted(table)}
    if table in {"campaign.drops", "campaign.funders", "campaign.enrolments"}:
        differs["programme_id"] = f"'{populated[THERE].programme_id}'"
    elif table == "campaign.terminals":
        differs["merchant_id"] = f"'{populated[THERE].pending_merchant}'"
    async with connect_as("campaign") as connection:
        for named, accepted in (("1", False), ("1,2", True)):
            async with undone(connection):
                await connection.execute("SELECT set_config('fairdrop.cities', $1, true)", named)
                statement = await insertion(connection, table, differs)
                if accepted:
                    assert await connection.execute(statement) == "INSERT 0 1"
                    continue
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                    await connection.execute(statement)


@pytest.mark.usefixtures("populated")
async def test_the_cities_of_one_transaction_do_not_leak_into_the_next(database_url: str) -> None:
    """A pool of one connection: the next user gets the session of the last one."""
    database = Database(service_url(database_url, "campaign", SECRETS), pool_size=1)
    try:
        async with database.transaction([HERE]) as session:
            of_here, backend = (await session.execute(COUNT)).one()
        of_all = await _count_and_fail(database)
        async with database.engine.connect() as connection:
            of_none, same_backend = (await connection.execute(COUNT)).one()
        async with database.transaction([]) as session:
            of_nowhere, _ = (await session.execute(COUNT)).one()
    finally:
        await database.close()
    assert backend == same_backend
    assert (of_here, of_all, of_none, of_nowhere) == (2, 4, 0, 0)


async def _count_and_fail(database: Database) -> int:
    """Count what every city has, in a transaction that is rolled back."""
    of_all = 0
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction(None) as session:
            of_all = (await session.scalars(COUNT)).one()
            raise ZeroDivisionError
    return of_all


async def _cities(connection: asyncpg.Connection, table: str) -> set[int]:
    rows = await connection.fetch(f"SELECT DISTINCT city_id FROM {table}")  # noqa: S608
    return {row["city_id"] for row in rows}
