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
    "redeem.expiries",
    "ledger.settlement_records",
    "ledger.custody_moves",
    "ledger.statements",
    "ledger.statement_lines",
    "ledger.reconciliations",
    "ledger.matches",
    "ledger.differences",
)
KEPT = (
    "claim.claims",
    "redeem.vouchers",
    "redeem.redemptions",
    "redeem.requests",
    "redeem.instructions",
    "ledger.payouts",
    "ledger.payout_items",
    "ledger.funder_returns",
    "ledger.breaks",
)
PARENTS = (
    "campaign.cities",
    "campaign.programmes",
    "campaign.funders",
    "campaign.drops",
    "claim.persons",
    "claim.drop_ordinals",
    "claim.claims",
    "claim.expiry_cohorts",
    "campaign.voucher_kinds",
    "campaign.merchants",
    "campaign.enrolments",
    "campaign.terminals",
    "redeem.vouchers",
    "redeem.redemptions",
    "ledger.account_families",
    "ledger.accounts",
    "ledger.journals",
    "ledger.settlement_records",
    "ledger.settlement_batches",
    "ledger.payouts",
    "ledger.statements",
    "ledger.reconciliations",
    "ledger.breaks",
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


@pytest.mark.parametrize("table", KEPT)
@pytest.mark.parametrize("statement", ["DELETE FROM {table}", "TRUNCATE {table} CASCADE"])
async def test_what_may_change_is_not_removed(
    owner: asyncpg.Connection, table: str, statement: str
) -> None:
    await _refused(owner, statement.format(table=table))


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
        [*APPEND_ONLY, *KEPT],
    )
    assert {row[0] for row in parents} == set(PARENTS)


async def _refused(owner: asyncpg.Connection, statement: str) -> None:
    async with undone(owner):
        with pytest.raises(asyncpg.RestrictViolationError, match=r"is append-only: .* refused"):
            await owner.execute(statement)
