"""`migrate` on servers and databases as people bring them."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.db.durability import NotDurableError
from shared.db.urls import service_url, sqlalchemy_url
from shared.embedded import postgres
from shared.embedded.datadir import DataDir
from shared.embedded.servers import EmbeddedServers, erase
from shared.migrations import migrate as migrating
from shared.migrations.migrate import DatabaseNewerError, alembic_config, migrate
from tests import builders, tills
from tests.databases import SECRETS, TEMPLATE, CloneDatabase, execute, in_database
from tests.schema.booked import assert_sound
from tests.schema.rows import populate

SCHEMAS = "('campaign', 'claim', 'redeem', 'ledger', 'public')"
# Everything that a migration writes, the roles' passwords aside: their salt is new every time.
EVERYTHING = (
    f"SELECT oid, relname, relacl, relrowsecurity FROM pg_class WHERE relnamespace::regnamespace::text IN {SCHEMAS}",  # noqa: E501, S608
    f"SELECT oid, proname, proacl, prosrc, proconfig FROM pg_proc WHERE pronamespace::regnamespace::text IN {SCHEMAS}",  # noqa: E501, S608
    "SELECT * FROM pg_policies",
    "SELECT tgname, tgrelid, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    f"SELECT oid, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace::regnamespace::text IN {SCHEMAS}",  # noqa: E501, S608
    "SELECT nspname, nspacl FROM pg_namespace",
    "SELECT rolname, rolsuper, rolcanlogin, rolconfig FROM pg_roles WHERE rolname LIKE 'fairdrop%'",
    "SELECT * FROM public.alembic_version",
    "SELECT * FROM ledger.account_families",
    "SELECT * FROM campaign.clock",
    "SELECT * FROM campaign.drops",
    "SELECT * FROM claim.claims",
    "SELECT * FROM ledger.transfers",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataDir]:
    """A data dir for servers that are not like the others."""
    data = DataDir(tmp_path_factory.mktemp("odd") / "data")
    yield data
    erase(data)


@asynccontextmanager
async def running(data: DataDir) -> AsyncIterator[str]:
    servers = EmbeddedServers(data, with_valkey=False)
    await servers.start()
    try:
        yield servers.postgres_url
    finally:
        await servers.stop()


async def test_migrating_again_changes_nothing(
    owner: asyncpg.Connection, database_url: str
) -> None:
    await populate(owner)
    before = await _everything(owner)
    # A second time, and from a process that has another opinion of the clock.
    await migrate(database_url, SECRETS, development=True)
    await migrate(database_url, SECRETS, development=False)
    assert await _everything(owner) == before
    await assert_sound(owner)


async def test_processes_migrate_one_by_one(servers: EmbeddedServers) -> None:
    await execute(servers.postgres_url, "CREATE DATABASE migrated_by_two")
    url = in_database(servers.postgres_url, "migrated_by_two")
    await asyncio.gather(*(migrate(url, SECRETS) for _ in range(3)))
    owner = await asyncpg.connect(url)
    try:
        drop_id = await builders.make_drop(owner, await builders.make_programme(owner))
        await builders.publish(owner, drop_id)
        await assert_sound(owner)
        assert await owner.fetchval("SELECT development FROM campaign.clock") is False
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await owner.fetchval("SELECT campaign.advance_clock(1)")
        assert refused.value.constraint_name == "production_runs_on_real_time"
    finally:
        await owner.close()


async def test_a_database_of_the_first_revision_is_carried_along(
    servers: EmbeddedServers, clone_database: CloneDatabase
) -> None:
    """Claims and books stay as they were, and what was claimed then is redeemed now."""
    source = await asyncpg.connect(await clone_database(TEMPLATE))
    programme = await builders.make_programme(source)
    drops = [await builders.make_drop(source, programme) for _ in range(3)]
    won = []
    for drop_id in drops[:2]:
        await builders.publish(source, drop_id)
        won.append((await builders.issue(source, drop_id, 4)).won)
        await builders.release(source, won[-1][2], reopen=True)
        await builders.release(source, won[-1][3], reopen=False)

    url = in_database(servers.postgres_url, "of_the_first_revision")
    await execute(servers.postgres_url, "CREATE DATABASE of_the_first_revision")
    await _at_revision(url, "0001")
    target = await asyncpg.connect(url)
    try:
        # An e-CNY drop, as they were then: nothing lay in custody.
        await source.execute("UPDATE campaign.drops SET rail = 'ecny' WHERE drop_id = $1", drops[1])
        tables = await _tables(target)
        kept = {table: await _dump(source, *table) for table in tables}
        await _load(target, kept)
        await migrate(url, SECRETS, development=True)
        await assert_sound(target)
        for table, rows in kept.items():
            lost = set(rows.splitlines()) - set((await _dump(target, *table)).splitlines())
            # The cash moved into custody since.
            assert not lost or table[1] == "balances", table

        till = await tills.enrol_till(target, programme.programme_id)
        await tills.redeem(target, till, won[0][0])
        paid = await tills.redeem(target, till, won[1][0])
        assert await tills.answer(target, paid, "confirmed") == "captured"
        assert (await builders.issue(target, drops[0], 1)).outcomes == ["issued"]
        await assert_sound(target)
    finally:
        await source.close()
        await target.close()


async def _at_revision(url: str, revision: str) -> None:
    engine = create_async_engine(sqlalchemy_url(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            for schema in migrating.SCHEMAS:
                await connection.execute(text(f"CREATE SCHEMA {schema}"))
            await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), revision))
    finally:
        await engine.dispose()


Table = tuple[str, str, tuple[str, ...]]


async def _tables(connection: asyncpg.Connection) -> list[Table]:
    """Return each table's schema, name and columns."""
    rows = await connection.fetch(
        "SELECT relnamespace::regnamespace::text AS schema, relname, ARRAY("
        "   SELECT attname::text FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0"
        "   ORDER BY attnum) AS columns"
        " FROM pg_class WHERE relkind = 'r' AND relnamespace::regnamespace::text = ANY ($1)",
        migrating.SCHEMAS,
    )
    return [(row["schema"], row["relname"], tuple(row["columns"])) for row in rows]


async def _dump(
    connection: asyncpg.Connection, schema: str, name: str, columns: tuple[str, ...]
) -> bytes:
    copied = io.BytesIO()
    await connection.copy_from_table(name, schema_name=schema, columns=columns, output=copied)
    return copied.getvalue()


async def _load(connection: asyncpg.Connection, kept: Mapping[Table, bytes]) -> None:
    await connection.execute("SET session_replication_role = replica")
    for (schema, name, columns), rows in kept.items():
        await connection.copy_to_table(
            name, schema_name=schema, columns=columns, source=io.BytesIO(rows)
        )
    await connection.execute("RESET session_replication_role")
    await connection.execute(
        "SELECT setval(pg_get_serial_sequence('ledger.accounts', 'account_id'), max(account_id))"
        " FROM ledger.accounts"
    )


async def test_a_database_of_a_later_version_is_left_alone(
    clone_database: CloneDatabase,
) -> None:
    url = await clone_database(TEMPLATE)
    await execute(url, "UPDATE public.alembic_version SET version_num = '0999'")
    await execute(url, "DROP FUNCTION campaign.pack_shares(smallint, uuid)")
    with pytest.raises(DatabaseNewerError, match=r"later version of Fairdrop \(revision 0999\)"):
        await migrate(url, SECRETS)
    later = await asyncpg.connect(url)
    try:
        version = await later.fetchval("SELECT version_num FROM public.alembic_version")
        functions = await later.fetchval(
            "SELECT count(*) FROM pg_proc WHERE proname = 'pack_shares'"
        )
    finally:
        await later.close()
    assert (version, functions) == ("0999", 0)


async def test_an_owner_needs_no_more_than_createrole(data: DataDir) -> None:
    """As on a given server: a login that may make roles, on a database it owns."""
    async with running(data) as server_url:
        await execute(server_url, "CREATE ROLE given LOGIN CREATEROLE PASSWORD 'given'")
        await execute(server_url, "CREATE DATABASE given OWNER given")
        parts = urlsplit(in_database(server_url, "given"))
        address = parts.netloc.rpartition("@")[2]
        url = urlunsplit(parts._replace(netloc=f"given:given@{address}"))
        for _ in range(2):
            await migrate(url, SECRETS, development=True)
        owner = await asyncpg.connect(url)
        claimant = await asyncpg.connect(service_url(url, "claim", SECRETS))
        auditor = await asyncpg.connect(service_url(url, "auditor", SECRETS))
        try:
            assert (
                await owner.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = user") is False
            )
            made = await populate(owner)
            issued = await builders.issue(claimant, made.live_drop, 2)
            assert issued.outcomes == ["issued", "issued"]
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await claimant.execute("DELETE FROM claim.claims")
            assert await auditor.fetchval("SELECT count(*) FROM claim.claims") == 9
            await assert_sound(auditor)
        finally:
            for connection in (owner, claimant, auditor):
                await connection.close()


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_a_server_that_may_forget_is_refused(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setitem(postgres.SETTINGS, setting, "off")
    async with running(data) as server_url:
        with pytest.raises(NotDurableError, match=f"{setting} = off.*Set {setting} = on"):
            await migrate(server_url, SECRETS)
        connection = await asyncpg.connect(server_url)
        try:
            made = await connection.fetchval("SELECT to_regnamespace('ledger')")
        finally:
            await connection.close()
    assert made is None


@pytest.mark.parametrize("value", ["off", "local", "remote_write"])
async def test_a_database_that_may_forget_is_refused(
    servers: EmbeddedServers, clone_database: CloneDatabase, value: str
) -> None:
    """On a server that is durable as such."""
    url = await clone_database(TEMPLATE)
    name = urlsplit(url).path.removeprefix("/")
    await execute(servers.postgres_url, f"ALTER DATABASE {name} SET synchronous_commit = '{value}'")
    with pytest.raises(NotDurableError, match=f"synchronous_commit = {value}"):
        await migrate(url, SECRETS)


async def _everything(owner: asyncpg.Connection) -> dict[str, list[str]]:
    return {query: sorted(map(repr, await owner.fetch(query))) for query in EVERYTHING}
