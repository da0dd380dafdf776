"""A city full of others: rows that a look-up by the whole key never meets."""

from collections.abc import Mapping

import asyncpg

MANY = 3_000
_ID = "gen_random_uuid()"
_TEXT = "gen_random_uuid()::text"
_LATER = "now() + interval '1 year'"
_LONG_AGO = "now() - n * interval '1 minute' - interval '1 year'"

# What differs in each copy, by table and by which row is copied.
COPIES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("campaign.programmes", "true"): {"programme_id": _ID},
    ("campaign.funders", "true"): {"programme_id": _ID},
    ("campaign.fundings", "true"): {"funding_id": _ID, "programme_id": _ID},
    ("campaign.drops", "true"): {"drop_id": _ID, "programme_id": _ID},
    ("campaign.voucher_kinds", "true"): {"drop_id": _ID},
    ("campaign.kind_shares", "true"): {"drop_id": _ID},
    ("campaign.merchants", "true"): {"merchant_id": _ID},
    ("campaign.enrolments", "true"): {"merchant_id": _ID, "programme_id": _ID},
    ("campaign.terminals", "true"): {"terminal_id": _ID, "key_id": _TEXT},
    ("claim.claims", "state = 'live'"): {
        "claim_id": _ID,
        "drop_id": _ID,
        "person_id": _ID,
    },
    ("claim.expiry_cohorts", "NOT expired"): {"drop_id": _ID, "valid_until": _LATER},
    ("claim.expiry_cohorts", "expired"): {"drop_id": _ID, "valid_until": _LONG_AGO},
    ("redeem.vouchers", "true"): {"claim_id": _ID, "drop_id": _ID},
    ("redeem.redemptions", "state = 'held'"): {
        "redemption_id": _ID,
        "claim_id": _ID,
        "hold_expires_at": _LATER,
    },
    ("redeem.redemptions", "state = 'captured'"): {"redemption_id": _ID, "claim_id": _ID},
    ("redeem.requests", "operation = 'redeem'"): {"terminal_id": _ID, "request_no": _TEXT},
    ("redeem.instructions", "state = 'open'"): {
        "instruction_id": _ID,
        "redemption_id": _ID,
        "next_at": _LATER,
    },
    ("redeem.instructions", "state = 'confirmed'"): {
        "instruction_id": _ID,
        "redemption_id": _ID,
    },
    ("redeem.expiries", "true"): {"drop_id": _ID},
    ("ledger.accounts", "true"): {
        "programme_id": _ID,
        "account_id": "1000000 + n",
        "code": "family || ':' || gen_random_uuid()",
    },
    ("ledger.balances", "true"): {"programme_id": _ID, "account_id": "1000000 + n"},
    ("ledger.journals", "true"): {"journal_id": _ID, "programme_id": _ID, "event": _TEXT},
    ("ledger.transfers", "true"): {
        "journal_id": _ID,
        "programme_id": _ID,
        "debit_account_id": "1000000 + n",
        "credit_account_id": "2000000 + n",
    },
    ("ledger.settlement_records", "record_type = 'REDEEM'"): {
        "settlement_id": _ID,
        "programme_id": _ID,
    },
    ("ledger.payouts", "true"): {"payout_id": _ID, "programme_id": _ID, "state": "'cut'"},
    ("ledger.payout_items", "true"): {"payout_id": _ID, "settlement_id": _ID},
}


async def move_in(owner: asyncpg.Connection) -> None:
    """Copy a row of each kind many times over, in the same city, with keys of their own."""
    await owner.execute("SET session_replication_role = replica")  # nobody looks for their parents
    for (table, copied), differs in COPIES.items():
        rows = await owner.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum",
            table,
        )
        columns = [row["attname"] for row in rows]
        assert differs.keys() <= set(columns), table
        values = ", ".join(differs.get(column, column) for column in columns)
        done = await owner.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE"  # noqa: S608
            f" SELECT {values} FROM (SELECT * FROM {table} WHERE {copied} LIMIT 1) AS copied,"
            f" generate_series(1, {MANY}) AS n"
        )
        assert done == f"INSERT 0 {MANY}", (table, copied, done)
    await owner.execute("RESET session_replication_role")
