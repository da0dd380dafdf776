"""Every constraint is broken once, and refuses by its name; a new one needs a case here."""

import asyncpg
import pytest
import pytest_asyncio

from shared.migrations.migrate import SCHEMAS
from tests.schema import redemption_violations, violations
from tests.schema.breaking import Row, Violation
from tests.schema.rows import FRESH, insertion, name_rows, populate
from tests.schema.undoing import undone

VIOLATIONS = {**violations.VIOLATIONS, **redemption_violations.VIOLATIONS}

# CHECK, UNIQUE, PRIMARY KEY and FOREIGN KEY constraints, and unique indexes that are none.
CATALOGUE = """
    SELECT conname AS name, conrelid::regclass::text AS table_name, false AS is_index
    FROM pg_constraint
    WHERE connamespace::regnamespace::text = ANY ($1) AND contype IN ('c', 'u', 'p', 'f', 'x')
    UNION ALL
    SELECT indexrelid::regclass::text, indrelid::regclass::text, true
    FROM pg_index
    JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indisunique AND relnamespace::regnamespace::text = ANY ($1)
        AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
"""


@pytest_asyncio.fixture(scope="module")
async def populated(owner: asyncpg.Connection) -> asyncpg.Connection:
    await populate(owner)
    await name_rows(owner)
    return owner


@pytest_asyncio.fixture(scope="module")
async def catalogue(owner: asyncpg.Connection) -> dict[str, asyncpg.Record]:
    rows = await owner.fetch(CATALOGUE, SCHEMAS)
    return {row["name"].rpartition(".")[2]: row for row in rows}


async def test_every_constraint_has_a_case(catalogue: dict[str, asyncpg.Record]) -> None:
    assert set(catalogue) == set(VIOLATIONS)


async def test_names_are_used_once(owner: asyncpg.Connection) -> None:
    """A refusal is recognised by the constraint's name alone."""
    repeated = await owner.fetch(
        "SELECT conname FROM pg_constraint WHERE connamespace::regnamespace::text = ANY ($1)"
        " GROUP BY conname HAVING count(*) > 1",
        SCHEMAS,
    )
    assert repeated == []


@pytest.mark.parametrize("table", FRESH)
async def test_a_fresh_row_is_accepted(populated: asyncpg.Connection, table: str) -> None:
    async with undone(populated):
        assert await populated.execute(await insertion(populated, table)) == "INSERT 0 1"


@pytest.mark.parametrize("name", VIOLATIONS)
async def test_a_violation_is_refused_by_name(
    populated: asyncpg.Connection, catalogue: dict[str, asyncpg.Record], name: str
) -> None:
    """Exactly this constraint stands in the way: once it is gone, the same statement passes."""
    constraint = catalogue[name]
    table = constraint["table_name"]
    drop = (
        f"DROP INDEX {constraint['name']}"
        if constraint["is_index"]
        else f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE"
    )
    for violation in VIOLATIONS[name]:
        async with undone(populated):
            statement = await _statement(populated, table, violation)
            with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
                async with populated.transaction():
                    await populated.execute(statement)
            assert refused.value.constraint_name == name, violation
            await populated.execute(drop)
            await populated.execute(statement)


async def test_what_must_be_said_is_said(populated: asyncpg.Connection) -> None:
    required = await populated.fetch(
        "SELECT attrelid::regclass::text AS table_name, attname FROM pg_attribute"
        " JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r'"
        " WHERE relnamespace::regnamespace::text = ANY ($1) AND attnum > 0 AND attnotnull"
        " AND attrelid <> 'campaign.clock'::regclass",
        SCHEMAS,
    )
    assert required
    for table, column in required:
        statement = await insertion(populated, table, {column: "NULL"})
        async with undone(populated):
            with pytest.raises(asyncpg.NotNullViolationError) as refused:
                await populated.execute(statement)
        assert refused.value.column_name == column, table


async def _statement(connection: asyncpg.Connection, table: str, violation: Violation) -> str:
    if not isinstance(violation, Row):
        return violation.sql
    if violation.without is not None:
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {violation.without}")
    return await insertion(connection, table, violation.differs)
