"""A row that every table accepts, so that a case needs to say only what is wrong with its own.

A fresh row is a copy of one that the functions wrote, with other keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg

from shared.ids import city_of, new_id
from tests import builders
from tests.builders import DropTerms
from tests.schema.played import play

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
    "campaign.merchants": Fresh(
        {
            "merchant_id": NEW_ID,
            "state": "'pending'",
            "approved_at": "NULL",
            "approved_by": "NULL",
        }
    ),
    "campaign.enrolments": Fresh(
        {
            "programme_id": "(SELECT p.programme_id FROM campaign.programmes AS p"
            " WHERE p.city_id = enrolments.city_id AND p.programme_id <> enrolments.programme_id"
            " LIMIT 1)"
        }
    ),
    "campaign.terminals": Fresh({"terminal_id": NEW_ID, "key_id": "'another'"}),
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
    "redeem.vouchers": Fresh({"position": "63"}, copies="state = 'redeemed'"),
    "redeem.redemptions": Fresh(
        {
            "redemption_id": NEW_ID,
            "claim_id": "(SELECT claim_id FROM unused)",
            "position": "(SELECT position FROM unused)",
            "draw_seq": "draw_seq + 1000",
        },
        copies="state = 'captured' AND rail = 'bank'",
    ),
    "redeem.requests": Fresh({"request_no": "'another'"}, copies="operation = 'redeem'"),
    "redeem.instructions": Fresh(
        {"instruction_id": NEW_ID, "state": "'rejected'"}, copies="state = 'confirmed'"
    ),
    "redeem.expiries": Fresh({"kind_id": "'book'"}),
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
    "ledger.settlement_records": Fresh({"settlement_id": NEW_ID}, copies="record_type = 'REDEEM'"),
    "ledger.settlement_batches": Fresh({"batch_id": NEW_ID}),
    "ledger.payouts": Fresh({"payout_id": NEW_ID}),
    "ledger.payout_items": Fresh(
        {
            "settlement_id": "(SELECT s.settlement_id FROM ledger.settlement_records AS s"
            " WHERE s.record_type = 'EXPIRY_RETURN' LIMIT 1)"
        }
    ),
    "ledger.funder_returns": Fresh({"return_id": NEW_ID, "funder_id": "'platform'"}),
    "ledger.custody_moves": Fresh({"move_id": NEW_ID}),
    "ledger.statements": Fresh(
        {"statement_id": NEW_ID, "version": "version + 1000", "sha256": "sha256('another')"}
    ),
    "ledger.statement_lines": Fresh({"line_no": "line_no + 1000"}),
    "ledger.reconciliations": Fresh({"reconciliation_id": NEW_ID}),
    "ledger.matches": Fresh({"line_no": "line_no + 1000", "journal_id": NEW_ID}),
    "ledger.differences": Fresh({"place": "place + 1000"}),
    "ledger.breaks": Fresh({"break_id": NEW_ID, "subject": "'another'"}),
}
"""Every table but `campaign.clock`, which has one row and never a second."""


@dataclass(frozen=True, slots=True)
class Populated:
    """What `populate` made, for the cases that name a row."""

    programme_id: UUID
    live_drop: UUID
    draft_drop: UUID
    pending_merchant: UUID

    def drafted(self, table: str) -> Mapping[str, str]:
        """Return what a fresh row must say where rows are added to a draft alone."""
        if table in {"campaign.voucher_kinds", "campaign.kind_shares"}:
            return {"drop_id": f"'{self.draft_drop}'"}
        if table == "campaign.enrolments":
            return {"merchant_id": f"'{self.pending_merchant}'"}
        return {}


async def populate(owner: asyncpg.Connection, city_code: str = builders.CITY_CODE) -> Populated:
    """Write at least one row into every table, through the functions where there is one."""
    programme = await builders.make_programme(owner, city_code=city_code)
    await play(owner, await builders.make_programme(owner, city_code=city_code))
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
    pending = new_id(city_id)
    await owner.execute(
        "INSERT INTO campaign.merchants (city_id, merchant_id, name, categories, state, created_at,"
        " created_by) VALUES ($1, $2, 'Book shop', '{books}', 'pending', now(), 'operator-1')",
        *(city_id, pending),
    )
    return Populated(programme.programme_id, live, draft, pending)


async def name_rows(owner: asyncpg.Connection) -> None:
    """Name, for this session, a person without a claim, and a voucher that waits to be redeemed."""
    await owner.execute(
        "CREATE TEMPORARY VIEW strangers AS SELECT person_id FROM claim.persons AS p WHERE NOT"
        " EXISTS (SELECT 1 FROM claim.claims AS c WHERE c.person_id = p.person_id) LIMIT 1;"
        "CREATE TEMPORARY VIEW unused AS SELECT claim_id, position FROM redeem.vouchers"
        " WHERE state = 'open' ORDER BY claim_id, position LIMIT 1"
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
