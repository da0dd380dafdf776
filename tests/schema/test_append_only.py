"""What was booked stays booked, whoever asks: these statements come from the owner."""

import asyncpg
import pytest
import pytest_asyncio

from tests.schema.rows import Populated, populate
from tests.schema.undoing import undone

APPEND_ONLY = (
    "ledger.accounts",
    "ledger.journals",
    "ledger.transfers",
    "campaign.fundings",
    "campaign.drop_changes",
    "claim.claim_releases",
)
PARENTS = (
    "campaign.cities",
    "campaign.programmes",
    "campaign.funders",
    "campaign.drops",
    "claim.persons",
    "claim.drop_ordinals",
    "claim.claims",
    "ledger.account_families",
    "ledger.accounts",
    "ledger.journals",
)


@pytest_asyncio.fixture(scope="module", autouse=True)
async def populated(owner: asyncpg.Connection) -> Populated:
    return await populate(owner)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {table} SET city_id = city_id", "DELETE FROM {table}", "TRUNCATE {table} CASCADE"],
)
async def test_booked_rows_are_not_changed(
    owner: asyncpg.Connection, table: str, statement: str
) -> None:
    await _refused(owner, statement.format(table=table))


@pytest.mark.parametrize("statement", ["DELETE FROM claim.claims", "TRUNCATE claim.claims CASCADE"])
async def test_claims_are_not_removed(owner: asyncpg.Connection, statement: str) -> None:
    await _refused(owner, statement)


@pytest.mark.parametrize("table", PARENTS)
async def test_emptying_a_parent_does_not_empty_the_books(
    owner: asyncpg.Connection, table: str
) -> None:
    await _refused(owner, f"TRUNCATE {table} CASCADE")


async def test_every_parent_of_a_booked_row_is_tried(owner: asyncpg.Connection) -> None:
    parents = await owner.fetch(
        "WITH RECURSIVE parent AS ("
        "   SELECT unnest($1::regclass[]) AS oid"
        "   UNION SELECT confrelid FROM pg_constraint JOIN parent ON conrelid = parent.oid"
        "   WHERE contype = 'f'"
        " ) SELECT parent.oid::regclass::text FROM parent"
        " WHERE EXISTS (SELECT 1 FROM pg_constraint WHERE confrelid = parent.oid)",
        [*APPEND_ONLY, "claim.claims"],
    )
    assert {row[0] for row in parents} == set(PARENTS)


async def _refused(owner: asyncpg.Connection, statement: str) -> None:
    async with undone(owner):
        with pytest.raises(asyncpg.RestrictViolationError, match=r"is append-only: .* refused"):
            await owner.execute(statement)
