"""Every write, read and call that a service role may or may not do, tried as that role."""

import asyncpg
import pytest
import pytest_asyncio

from shared.db.urls import SERVICES
from shared.migrations.migrate import SCHEMAS
from tests import builders
from tests.schema.conftest import Connect
from tests.schema.privileges import CALLS, INSERTS, READS, READS_IN_PART, VIEWS
from tests.schema.rows import FRESH, Populated, insertion, name_rows, populate
from tests.schema.undoing import undone

CLOCK, REVISION = "campaign.clock", "public.alembic_version"


@pytest_asyncio.fixture(scope="module")
async def populated(owner: asyncpg.Connection) -> Populated:
    return await populate(owner)


@pytest_asyncio.fixture(scope="module")
async def tables(owner: asyncpg.Connection) -> list[str]:
    rows = await owner.fetch(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND relnamespace::regnamespace::text = ANY ($1)",
        [*SCHEMAS, "public"],
    )
    names = [row[0] if "." in row[0] else f"public.{row[0]}" for row in rows]
    assert set(names) == {*FRESH, *VIEWS, CLOCK, REVISION}
    return names


@pytest.mark.parametrize("service", SERVICES)
async def test_changing_what_is_written_is_refused(
    connect_as: Connect, tables: list[str], owner: asyncpg.Connection, service: str
) -> None:
    async with connect_as(service) as connection:
        for table in set(tables) - VIEWS:
            column = await owner.fetchval(
                "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0"
                " ORDER BY attnum LIMIT 1",
                table,
            )
            for statement in (
                f"UPDATE {table} SET {column} = DEFAULT WHERE false",  # noqa: S608
                f"DELETE FROM {table} WHERE false",  # noqa: S608
                f"TRUNCATE {table}",
                f"TRUNCATE {table} CASCADE",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                    await connection.execute(statement)


async def test_no_single_column_and_no_view_may_be_written(owner: asyncpg.Connection) -> None:
    granted = await owner.fetch(
        "SELECT grantee, table_schema || '.' || table_name AS name, column_name, privilege_type"
        " FROM information_schema.column_privileges WHERE grantee LIKE 'fairdrop\\_%'"
        " AND table_schema = ANY ($1) AND (privilege_type NOT IN ('SELECT', 'INSERT')"
        "   OR (privilege_type = 'INSERT' AND table_schema || '.' || table_name = ANY ($2)))",
        *(SCHEMAS, list(VIEWS)),
    )
    assert granted == []


@pytest.mark.parametrize("service", SERVICES)
async def test_inserts(
    connect_as: Connect, tables: list[str], populated: Populated, service: str
) -> None:
    async with connect_as(service) as connection:
        for table in set(tables) - INSERTS[service] - VIEWS:
            # Refused before the row is looked at.
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(f"INSERT INTO {table} DEFAULT VALUES")
        for table in INSERTS[service]:
            async with undone(connection):
                await connection.execute("SELECT set_config('fairdrop.cities', '*', true)")
                statement = await _own_insertion(connection, table, populated)
                assert await connection.execute(statement) == "INSERT 0 1"


async def _own_insertion(connection: asyncpg.Connection, table: str, populated: Populated) -> str:
    if table == "claim.attempts":  # the claim service may not read its log
        return (
            "INSERT INTO claim.attempts (city_id, drop_id, arrival_rank, arrived_at, holder_key,"  # noqa: S608 - our own id
            f" outcome) VALUES (1, '{populated.live_drop}', 1, now(), '\\x0102030405060708', 'won')"
        )
    return await insertion(connection, table, populated.drafted(table))


@pytest.mark.parametrize("service", SERVICES)
async def test_reads(connect_as: Connect, tables: list[str], service: str) -> None:
    async with connect_as(service) as connection:
        readable = set()
        for table in tables:
            try:
                await connection.execute(f"SELECT * FROM {table} LIMIT 1")  # noqa: S608
            except asyncpg.InsufficientPrivilegeError:
                continue
            readable.add(table)
    assert readable == READS[service] | {CLOCK}


@pytest.mark.parametrize("service", SERVICES)
async def test_reads_of_single_columns(
    connect_as: Connect, owner: asyncpg.Connection, tables: list[str], service: str
) -> None:
    readable: dict[str, set[str]] = {}
    async with connect_as(service) as connection:
        for table in set(tables) - READS[service] - {CLOCK}:
            for row in await owner.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0"
                " AND NOT attisdropped",
                table,
            ):
                try:
                    await connection.execute(f"SELECT {row['attname']} FROM {table} LIMIT 1")  # noqa: S608
                except asyncpg.InsufficientPrivilegeError:
                    continue
                readable.setdefault(table, set()).add(row["attname"])
    assert readable == READS_IN_PART.get(service, {})


@pytest.mark.parametrize("service", SERVICES)
async def test_calls(connect_as: Connect, owner: asyncpg.Connection, service: str) -> None:
    functions = await owner.fetch(
        "SELECT pronamespace::regnamespace || '.' || proname AS name, ARRAY("
        "   SELECT format_type(argument, NULL) FROM unnest(proargtypes) AS argument"
        " ) AS arguments FROM pg_proc WHERE pronamespace::regnamespace::text = ANY ($1)",
        SCHEMAS,
    )
    assert {f["name"] for f in functions} > set().union(*CALLS.values())
    callable_ = set()
    async with connect_as(service) as connection:
        for function in functions:
            nulls = ", ".join(f"NULL::{argument}" for argument in function["arguments"])
            async with undone(connection):
                try:
                    await connection.execute(f"SELECT {function['name']}({nulls})")
                except asyncpg.PostgresError as refused:
                    name = function["name"].partition(".")[2]
                    if f"permission denied for function {name}" in str(refused):
                        continue
                    # It ran, and did not like the NULLs, or may not do what it does.
                callable_.add(function["name"])
    assert callable_ == CALLS[service]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE ledger.transfers DISABLE TRIGGER ALL",
        "ALTER TABLE campaign.drops DISABLE ROW LEVEL SECURITY",
        "DROP TRIGGER append_only ON ledger.transfers",
        "SET session_replication_role = replica",
        "SET ROLE fairdrop",
        "CREATE TABLE public.mine (id integer)",
        "CREATE TABLE ledger.mine (id integer)",
        "CREATE OR REPLACE FUNCTION campaign.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION ledger.refuse_change() RENAME TO accept_change",
        "ALTER ROLE fairdrop_claim SUPERUSER",
        "SELECT pg_read_file('postgresql.conf')",
        "COPY campaign.cities TO PROGRAM 'true'",
    ],
)
async def test_the_guards_cannot_be_switched_off(
    connect_as: Connect, service: str, statement: str
) -> None:
    async with connect_as(service) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_roles_have_no_powers(owner: asyncpg.Connection) -> None:
    roles = await owner.fetch(
        "SELECT rolname, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls"
        "   AS powerful, (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) AS groups"
        " FROM pg_roles AS r WHERE rolname LIKE 'fairdrop\\_%'"
    )
    assert {tuple(role) for role in roles} == {(f"fairdrop_{s}", False, 0) for s in SERVICES}


async def test_a_temporary_type_does_not_get_into_a_function(
    connect_as: Connect, populated: Populated
) -> None:
    """A temporary schema is searched first unless a path says otherwise, for types as well.

    So a caller could slip a domain `text`, whose CHECK runs the caller's code, under a function
    that runs as the owner.
    """
    async with connect_as("claim") as connection:
        (person,) = await builders.make_persons(connection, 1, 1)
        await connection.execute(
            "CREATE FUNCTION pg_temp.told(pg_catalog.text) RETURNS boolean LANGUAGE sql"
            " AS $$ SELECT set_config('fairdrop.ran_as', current_user, false) IS NOT NULL $$"
        )
        await connection.execute(
            "CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.told(VALUE))"
        )
        ran_as = "current_setting('fairdrop.ran_as', true)"
        # The simple protocol, in which the driver looks no type up.
        await connection.execute(
            f"SELECT claim.issue(1::smallint, '{populated.live_drop}', ARRAY[gen_random_uuid()],"
            f" ARRAY['{person}']::uuid[], ARRAY['']::pg_catalog.text[], '{{NULL}}');"
            f" DO $$ BEGIN ASSERT {ran_as} IS NULL, {ran_as}; END $$"
        )


async def test_every_function_fixes_its_search_path(owner: asyncpg.Connection) -> None:
    """Where one is executed with its owner's rights."""
    functions = await owner.fetch(
        "SELECT proname, proconfig FROM pg_proc"
        " WHERE prosecdef AND pronamespace::regnamespace::text = ANY ($1)",
        SCHEMAS,
    )
    assert functions
    for function in functions:
        assert "search_path=pg_catalog, pg_temp" in (function["proconfig"] or []), function


async def test_claims_come_from_the_function_alone(
    claimant: asyncpg.Connection, owner: asyncpg.Connection, populated: Populated
) -> None:
    await name_rows(owner)
    async with undone(owner):
        # The row itself is one that the tables would take.
        assert await owner.execute(await insertion(owner, "claim.claims")) == "INSERT 0 1"
    written = await owner.fetchrow("SELECT * FROM claim.claims WHERE state = 'live' LIMIT 1")
    assert written is not None
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for table"):
        await claimant.execute(
            "INSERT INTO claim.claims SELECT ($1::claim.claims).*",
            written,
        )
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for table"):
        await claimant.execute(
            "UPDATE campaign.drops SET quota = quota + 1 WHERE drop_id = $1", populated.live_drop
        )


@pytest.mark.parametrize(
    "differs",
    [
        {"state": "'live'", "published_at": "now()"},
        {"state": "'paused'", "published_at": "now()"},
        {"state": "'closed'"},
        {"version": "1"},
        {"live": "1", "issued": "1"},
        {"absorbs": "true"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("populated")
async def test_drops_begin_as_drafts(connect_as: Connect, differs: dict[str, str]) -> None:
    async with connect_as("campaign") as connection, undone(connection):
        await connection.execute("SELECT set_config('fairdrop.cities', '*', true)")
        statement = await insertion(connection, "campaign.drops", differs)
        with pytest.raises(
            asyncpg.InsufficientPrivilegeError, match='policy "drops_begin_as_drafts"'
        ):
            await connection.execute(statement)


@pytest.mark.parametrize("table", ["campaign.voucher_kinds", "campaign.kind_shares"])
async def test_a_published_pack_is_frozen(
    connect_as: Connect, populated: Populated, table: str
) -> None:
    async with connect_as("campaign") as connection, undone(connection):
        await connection.execute("SELECT set_config('fairdrop.cities', '*', true)")
        statement = await insertion(connection, table, {"drop_id": f"'{populated.live_drop}'"})
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match='policy "packs_are_frozen"'):
            await connection.execute(statement)


@pytest.mark.parametrize(
    "differs",
    [
        {"state": "'active'", "approved_at": "now()", "approved_by": "'approver-1'"},
        {"approved_at": "now()", "approved_by": "'approver-1'"},
        {"state": "'suspended'", "suspended_at": "now()", "suspended_by": "'operator-1'"},
    ],
    ids=str,
)
@pytest.mark.usefixtures("populated")
async def test_merchants_begin_pending(connect_as: Connect, differs: dict[str, str]) -> None:
    async with connect_as("campaign") as connection, undone(connection):
        await connection.execute("SELECT set_config('fairdrop.cities', '*', true)")
        statement = await insertion(connection, "campaign.merchants", differs)
        with pytest.raises(
            asyncpg.InsufficientPrivilegeError, match='policy "merchants_begin_pending"'
        ):
            await connection.execute(statement)


@pytest.mark.usefixtures("populated")
async def test_an_approved_merchant_enters_no_further_programme(connect_as: Connect) -> None:
    async with connect_as("campaign") as connection, undone(connection):
        await connection.execute("SELECT set_config('fairdrop.cities', '*', true)")
        statement = await insertion(connection, "campaign.enrolments")
        with pytest.raises(
            asyncpg.InsufficientPrivilegeError, match='policy "enrolments_precede_approval"'
        ):
            await connection.execute(statement)
