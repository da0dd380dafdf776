"""A row that every table accepts, so that a case needs to say only what is wrong with its own.

A fresh row is a copy of one that the functions wrote, with other keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from shared.ids import city_of
from tests import builders
from tests.builders import DropTerms

NEW_ID = "gen_random_uuid()"


@dataclass(frozen=True, slots=True)
class Fresh:
    """Which row of a table to copy, and the SQL expressions of the columns that must differ."""

    differs: Mapping[str, str]
    copies: str = field(default="true")


FRESH: Mapping[str, Fresh] = {
    "campaign.cities": Fresh({"city_id": "4000", "city_code": "'a new city'"}),
    "campaign.programmes": Fresh({"programme_id": NEW_ID}),
    "campaign.funders": Fresh({"funder_id": "'third'", "position": "100"}),
    "campaign.fundings": Fresh({"funding_id": NEW_ID}),
    "campaign.drops": Fresh(
        {
            "drop_id": NEW_ID,
            "state": "'draft'",
            "version": "0",
            "issued": "0",
            "live": "0",
            "published_at": "NULL",
        }
    ),
    "campaign.drop_changes": Fresh({"version": "version + 1000"}),
    "campaign.voucher_kinds": Fresh({"kind_id": "'other'", "position": "100"}),
    "campaign.kind_shares": Fresh({"funder_id": "'third'"}),
    "campaign.idempotency_keys": Fresh({"key": "'another'"}),
    "claim.persons": Fresh({"person_id": NEW_ID}),
    "claim.person_identities": Fresh({"identity_hash": "sha256('somebody')"}),
    "claim.drop_ordinals": Fresh({"ordinal": "100"}),
    "claim.claims": Fresh(
        {
            "claim_id": NEW_ID,
            "person_id": "(SELECT person_id FROM strangers)",
            "serial": "1000",
            "ordinal": "1",
        },
        copies="state = 'live'",
    ),
    "claim.claim_releases": Fresh(
        {"claim_id": "(SELECT claim_id FROM claim.claims WHERE state = 'live' LIMIT 1)"}
    ),
    "claim.expiry_cohorts": Fresh({"valid_until": "valid_until + interval '1 day'"}),
    "claim.attempts": Fresh({"attempt_no": "attempt_no + 1000"}),
    "ledger.account_families": Fresh({"family": "'another'"}),
    "ledger.accounts": Fresh(
        {"account_id": "account_id + 1000", "code": "'available:another'"},
        copies="family = 'available'",
    ),
    "ledger.balances": Fresh(
        {
            "account_id": "(SELECT a.account_id FROM ledger.accounts AS a"
            " WHERE a.programme_id = balances.programme_id AND a.family = 'reserved' LIMIT 1)"
        }
    ),
    "ledger.journals": Fresh({"journal_id": NEW_ID, "event": "'another'"}),
    "ledger.transfers": Fresh({"line": "100"}),
}
"""Every table but `campaign.clock`, which has one row and never a second."""


@dataclass(frozen=True, slots=True)
class Populated:
    """What `populate` made, for the cases that name a row."""

    programme_id: UUID
    live_drop: UUID
    draft_drop: UUID


async def populate(owner: asyncpg.Connection, city_code: str = builders.CITY_CODE) -> Populated:
    """Write at least one row into every table, through the functions where there is one."""
    programme = await builders.make_programme(owner, city_code=city_code)
    await builders.make_programme(owner, city_code=city_code)
    city_id = programme.city_id
    live = await builders.make_drop(owner, programme, DropTerms(quota=10))
    await builders.publish(owner, live)
    issued = await builders.issue(owner, live, 3)
    await builders.release(owner, issued.won[0], reopen=True)
    draft = await builders.make_drop(owner, programme, DropTerms(quota=10))
    await builders.make_persons(owner, city_id, 1)
    await owner.execute(
        "INSERT INTO campaign.idempotency_keys (city_id, actor, key, request_hash, status, body,"
        " created_at) VALUES ($1, 'operator-1', 'a key', sha256('a body'), 201, '{}', now())",
        city_id,
    )
    await owner.execute(
        "INSERT INTO claim.attempts (city_id, drop_id, arrival_rank, arrived_at, holder_key,"
        " outcome) VALUES ($1, $2, 1, now(), '\\x0102030405060708', 'won')",
        *(city_of(live), live),
    )
    return Populated(programme.programme_id, live, draft)


async def name_strangers(owner: asyncpg.Connection) -> None:
    """Make `strangers`: for this session, a person without a claim."""
    await owner.execute(
        "CREATE TEMPORARY VIEW strangers AS SELECT person_id FROM claim.persons AS p WHERE NOT"
        " EXISTS (SELECT 1 FROM claim.claims AS c WHERE c.person_id = p.person_id) LIMIT 1"
    )


async def insertion(
    owner: asyncpg.Connection, table: str, differs: Mapping[str, str] | None = None
) -> str:
    """Return a statement that inserts a fresh row, `differs` overriding its columns further."""
    fresh = FRESH[table]
    rows = await owner.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        table,
    )
    columns = [row["attname"] for row in rows]
    overrides = {**fresh.differs, **(differs or {})}
    unknown = overrides.keys() - set(columns)
    assert not unknown, f"{table} has no {unknown}"
    values = ", ".join(overrides.get(column, column) for column in columns)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"  # noqa: S608
        f" SELECT {values} FROM {table} WHERE {fresh.copies} LIMIT 1"
    )
