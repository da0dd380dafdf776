"""The spine: programmes, drops, claims, ledger.

Revision: 0001, the first.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.tables.ledger import TransactionId

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "cities",
        sa.Column("city_id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("city_code", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("city_id BETWEEN 1 AND 4095", name="city_id_fits_the_public_ids"),
        sa.PrimaryKeyConstraint("city_id"),
        sa.UniqueConstraint("city_code", name="cities_city_code_key"),
        schema="campaign",
    )
    op.create_table(
        "clock",
        sa.Column("singleton", sa.Boolean(), nullable=False),
        sa.Column("offset_us", sa.BigInteger(), nullable=False),
        sa.Column("development", sa.Boolean(), nullable=False),
        sa.CheckConstraint("development OR offset_us = 0", name="production_runs_on_real_time"),
        sa.CheckConstraint("offset_us >= 0", name="clock_never_runs_backwards"),
        sa.CheckConstraint("singleton", name="clock_is_one_row"),
        sa.PrimaryKeyConstraint("singleton"),
        schema="campaign",
    )
    op.create_table(
        "attempts",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("attempt_no", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("arrival_rank", sa.BigInteger(), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("holder_key", sa.LargeBinary(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.CheckConstraint("octet_length(holder_key) = 8", name="holder_key_is_eight_bytes"),
        sa.PrimaryKeyConstraint("city_id", "attempt_no"),
        schema="claim",
    )
    op.create_index(
        "attempts_by_drop",
        "attempts",
        ["city_id", "drop_id", "arrival_rank"],
        unique=False,
        schema="claim",
    )
    op.create_table(
        "account_families",
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("normal_side", sa.Text(), nullable=False),
        sa.Column("guarded", sa.Boolean(), nullable=False),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.CheckConstraint("normal_side IN ('debit', 'credit')", name="normal_side_is_known"),
        sa.PrimaryKeyConstraint("family"),
        schema="ledger",
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("octet_length(request_hash) = 32", name="request_hash_is_sha256"),
        sa.CheckConstraint("status BETWEEN 200 AND 299", name="only_successes_are_kept"),
        sa.ForeignKeyConstraint(
            ["city_id"], ["campaign.cities.city_id"], name="idempotency_keys_city_fkey"
        ),
        sa.PrimaryKeyConstraint("city_id", "actor", "key"),
        schema="campaign",
    )
    op.create_table(
        "programmes",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("name <> ''", name="programme_has_a_name"),
        sa.ForeignKeyConstraint(
            ["city_id"], ["campaign.cities.city_id"], name="programmes_city_fkey"
        ),
        sa.PrimaryKeyConstraint("city_id", "programme_id"),
        schema="campaign",
    )
    op.create_table(
        "persons",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["city_id"], ["campaign.cities.city_id"], name="persons_city_fkey"),
        sa.PrimaryKeyConstraint("city_id", "person_id"),
        schema="claim",
    )
    op.create_table(
        "drops",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("round", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("admission", sa.Text(), nullable=False),
        sa.Column("rail", sa.Text(), nullable=False),
        sa.Column("reserve_mode", sa.Text(), nullable=False),
        sa.Column("reclaim_after_release", sa.Boolean(), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("limit_per_holder", sa.SmallInteger(), nullable=False),
        sa.Column("pack_face_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("quota", sa.Integer(), nullable=False),
        sa.Column("issued", sa.Integer(), nullable=False),
        sa.Column("live", sa.Integer(), nullable=False),
        sa.Column("cohort_day", sa.Date(), nullable=True),
        sa.Column("restocked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'draft' AND published_at IS NULL AND issued = 0) OR state = 'closed' OR published_at IS NOT NULL",
            name="only_published_drops_issue",
        ),
        sa.CheckConstraint("admission IN ('open', 'pass')", name="drop_admission_is_known"),
        sa.CheckConstraint("mode IN ('grab', 'lottery')", name="drop_mode_is_known"),
        sa.CheckConstraint("rail IN ('bank', 'ecny')", name="drop_rail_is_known"),
        sa.CheckConstraint(
            "reserve_mode IN ('full', 'budget_capped')", name="drop_reserve_mode_is_known"
        ),
        sa.CheckConstraint(
            "state IN ('draft', 'live', 'paused', 'closed')", name="drop_state_is_known"
        ),
        sa.CheckConstraint("issued >= live", name="live_claims_were_issued"),
        sa.CheckConstraint("limit_per_holder BETWEEN 1 AND 100", name="limit_is_bounded"),
        sa.CheckConstraint("live BETWEEN 0 AND quota", name="never_oversold"),
        sa.CheckConstraint("opens_at < closes_at", name="drop_opens_before_it_closes"),
        sa.CheckConstraint("pack_face_fen > 0", name="pack_has_a_face"),
        sa.CheckConstraint("quota BETWEEN 0 AND 100000000", name="quota_is_bounded"),
        sa.CheckConstraint("version >= 0", name="version_counts_up"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="drops_programme_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "drop_id"),
        schema="campaign",
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index(
        "drops_by_programme",
        "drops",
        ["city_id", "programme_id", "opens_at"],
        unique=False,
        schema="campaign",
    )
    op.create_index(
        "drops_by_state", "drops", ["city_id", "state", "opens_at"], unique=False, schema="campaign"
    )
    op.create_table(
        "funders",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("funder_id", sa.Text(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("share_bp", sa.Integer(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.CheckConstraint("funder_id ~ '^[A-Za-z0-9_-]+$'", name="funder_id_fits_an_account_code"),
        sa.CheckConstraint(
            "kind IN ('government', 'platform', 'merchant_pool', 'bank')",
            name="funder_kind_is_known",
        ),
        sa.CheckConstraint("mode IN ('cash', 'pledge')", name="funder_mode_is_known"),
        sa.CheckConstraint("share_bp BETWEEN 1 AND 10000", name="share_is_a_part"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="funders_programme_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "programme_id", "funder_id"),
        sa.UniqueConstraint("city_id", "programme_id", "position", name="funders_position_key"),
        schema="campaign",
    )
    op.create_table(
        "person_identities",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("key_version", sa.SmallInteger(), nullable=False),
        sa.Column("identity_hash", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "dimension IN ('subject', 'phone', 'card', 'device')", name="dimension_is_known"
        ),
        sa.CheckConstraint("octet_length(identity_hash) = 32", name="identity_hash_is_sha256"),
        sa.ForeignKeyConstraint(
            ["city_id", "person_id"],
            ["claim.persons.city_id", "claim.persons.person_id"],
            name="person_identities_person_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "dimension", "key_version", "identity_hash"),
        schema="claim",
    )
    op.create_index(
        "person_identities_by_person",
        "person_identities",
        ["city_id", "person_id"],
        unique=False,
        schema="claim",
        postgresql_where=sa.text("person_id IS NOT NULL"),
    )
    op.create_table(
        "accounts",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.CheckConstraint("split_part(code, ':', 1) = family", name="code_begins_with_its_family"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="accounts_programme_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["family"], ["ledger.account_families.family"], name="accounts_family_fkey"
        ),
        sa.PrimaryKeyConstraint("city_id", "programme_id", "account_id"),
        sa.UniqueConstraint("city_id", "programme_id", "code", name="accounts_code_key"),
        schema="ledger",
    )
    op.create_table(
        "journals",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("journal_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=True),
        sa.Column("reverses_id", sa.Uuid(), nullable=True),
        sa.Column("accounting_date", sa.Date(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column(
            "posted_xid",
            TransactionId(),
            server_default=sa.text("pg_current_xact_id()"),
            nullable=False,
        ),
        sa.CheckConstraint("kind ~ '^J[0-9]+[a-z]?$'", name="journal_kind_is_a_number"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="journals_programme_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "journal_id"),
        sa.UniqueConstraint("city_id", "journal_id", "programme_id", name="journals_book_key"),
        sa.UniqueConstraint("city_id", "kind", "event", name="journals_identity_key"),
        schema="ledger",
    )
    op.create_index(
        "journals_by_programme",
        "journals",
        ["city_id", "programme_id", "posted_at"],
        unique=False,
        schema="ledger",
    )
    op.create_table(
        "drop_changes",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("packs_reserved", sa.Integer(), nullable=False),
        sa.Column("quota_after", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "kind IN ('publish', 'pause', 'resume', 'close', 'quota')", name="drop_change_is_known"
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "drop_id"],
            ["campaign.drops.city_id", "campaign.drops.drop_id"],
            name="drop_changes_drop_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "drop_id", "version"),
        schema="campaign",
    )
    op.create_table(
        "fundings",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("funding_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("funder_id", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("journal_kind", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("journal_kind IN ('J1', 'J2', 'J3')", name="funding_journal_is_known"),
        sa.CheckConstraint("amount_fen > 0", name="funding_is_positive"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id", "funder_id"],
            [
                "campaign.funders.city_id",
                "campaign.funders.programme_id",
                "campaign.funders.funder_id",
            ],
            name="fundings_funder_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "funding_id"),
        schema="campaign",
    )
    op.create_index(
        "fundings_by_programme",
        "fundings",
        ["city_id", "programme_id", "created_at"],
        unique=False,
        schema="campaign",
    )
    op.create_table(
        "voucher_kinds",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("kind_id", sa.Text(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("face_fen", sa.BigInteger(), nullable=False),
        sa.Column("min_spend_fen", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.SmallInteger(), nullable=False),
        sa.Column("valid_days", sa.Integer(), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refund_policy", sa.Text(), nullable=False),
        sa.Column("benefit", sa.Text(), nullable=False),
        sa.Column("percent_bp", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(benefit = 'amount' AND percent_bp IS NULL) OR (benefit = 'percent_with_cap' AND percent_bp IS NOT NULL AND percent_bp BETWEEN 1 AND 10000)",
            name="benefit_is_known",
        ),
        sa.CheckConstraint(
            "refund_policy IN ('restore', 'restore_once', 'restore_until_delivery', 'forfeit')",
            name="refund_policy_is_known",
        ),
        sa.CheckConstraint(
            "(valid_days IS NULL) <> (valid_until IS NULL)", name="kind_has_one_validity"
        ),
        sa.CheckConstraint("count BETWEEN 1 AND 64", name="kind_count_is_bounded"),
        sa.CheckConstraint("face_fen > 0", name="face_is_positive"),
        sa.CheckConstraint("min_spend_fen >= 0", name="min_spend_is_not_negative"),
        sa.CheckConstraint("position >= 0", name="kind_position_counts_from_zero"),
        sa.CheckConstraint("valid_days BETWEEN 1 AND 3650", name="valid_days_are_bounded"),
        sa.ForeignKeyConstraint(
            ["city_id", "drop_id"],
            ["campaign.drops.city_id", "campaign.drops.drop_id"],
            name="voucher_kinds_drop_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "drop_id", "kind_id"),
        sa.UniqueConstraint("city_id", "drop_id", "position", name="voucher_kinds_position_key"),
        schema="campaign",
    )
    op.create_table(
        "drop_ordinals",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("ordinal >= 1", name="ordinals_count_from_one"),
        sa.ForeignKeyConstraint(
            ["city_id", "drop_id"],
            ["campaign.drops.city_id", "campaign.drops.drop_id"],
            name="drop_ordinals_drop_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "drop_id", "ordinal"),
        schema="claim",
    )
    op.create_table(
        "balances",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("balance_fen >= 0", name="balance_is_not_negative"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id", "account_id"],
            [
                "ledger.accounts.city_id",
                "ledger.accounts.programme_id",
                "ledger.accounts.account_id",
            ],
            name="balances_account_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "programme_id", "account_id"),
        schema="ledger",
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "transfers",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("journal_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.SmallInteger(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("debit_account_id", sa.BigInteger(), nullable=False),
        sa.Column("credit_account_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column(
            "posted_xid",
            TransactionId(),
            server_default=sa.text("pg_current_xact_id()"),
            nullable=False,
        ),
        sa.CheckConstraint("amount_fen > 0", name="transfer_amount_is_positive"),
        sa.CheckConstraint(
            "debit_account_id <> credit_account_id", name="transfer_moves_between_accounts"
        ),
        sa.CheckConstraint("line >= 1", name="lines_count_from_one"),
        sa.ForeignKeyConstraint(
            ["city_id", "journal_id", "programme_id"],
            [
                "ledger.journals.city_id",
                "ledger.journals.journal_id",
                "ledger.journals.programme_id",
            ],
            name="transfers_journal_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id", "credit_account_id"],
            [
                "ledger.accounts.city_id",
                "ledger.accounts.programme_id",
                "ledger.accounts.account_id",
            ],
            name="transfers_credit_account_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id", "debit_account_id"],
            [
                "ledger.accounts.city_id",
                "ledger.accounts.programme_id",
                "ledger.accounts.account_id",
            ],
            name="transfers_debit_account_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "journal_id", "line"),
        schema="ledger",
    )
    op.create_index(
        "transfers_by_credit",
        "transfers",
        ["city_id", "programme_id", "credit_account_id", "journal_id", "line"],
        unique=False,
        schema="ledger",
    )
    op.create_index(
        "transfers_by_debit",
        "transfers",
        ["city_id", "programme_id", "debit_account_id", "journal_id", "line"],
        unique=False,
        schema="ledger",
    )
    op.create_table(
        "kind_shares",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("kind_id", sa.Text(), nullable=False),
        sa.Column("funder_id", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen >= 0", name="kind_share_is_not_negative"),
        sa.ForeignKeyConstraint(
            ["city_id", "drop_id", "kind_id"],
            [
                "campaign.voucher_kinds.city_id",
                "campaign.voucher_kinds.drop_id",
                "campaign.voucher_kinds.kind_id",
            ],
            name="kind_shares_kind_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "drop_id", "kind_id", "funder_id"),
        schema="campaign",
    )
    op.create_table(
        "claims",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.SmallInteger(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("lane", sa.Text(), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_version", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(state = 'live') = (released_at IS NULL) AND (state = 'live') = (released_version IS NULL)",
            name="released_claims_say_when",
        ),
        sa.CheckConstraint("state IN ('live', 'released')", name="claim_state_is_known"),
        sa.CheckConstraint("serial >= 1", name="serials_count_from_one"),
        sa.ForeignKeyConstraint(
            ["city_id", "drop_id", "ordinal"],
            [
                "claim.drop_ordinals.city_id",
                "claim.drop_ordinals.drop_id",
                "claim.drop_ordinals.ordinal",
            ],
            name="claims_ordinal_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "person_id"],
            ["claim.persons.city_id", "claim.persons.person_id"],
            name="claims_person_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "claim_id"),
        sa.UniqueConstraint("city_id", "drop_id", "serial", name="claims_serial_key"),
        schema="claim",
    )
    op.create_index(
        "claims_live_person_key",
        "claims",
        ["city_id", "person_id", "drop_id", "ordinal"],
        unique=True,
        schema="claim",
        postgresql_where=sa.text("state = 'live'"),
    )
    op.create_index(
        "claims_released_person_idx",
        "claims",
        ["city_id", "person_id", "drop_id"],
        unique=False,
        schema="claim",
        postgresql_where=sa.text("state = 'released'"),
    )
    op.create_table(
        "expiry_cohorts",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("kind_id", sa.Text(), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["city_id", "drop_id", "kind_id"],
            [
                "campaign.voucher_kinds.city_id",
                "campaign.voucher_kinds.drop_id",
                "campaign.voucher_kinds.kind_id",
            ],
            name="expiry_cohorts_kind_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "drop_id", "kind_id", "valid_until"),
        schema="claim",
    )
    op.create_table(
        "claim_releases",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("journal_kind", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("journal_kind IN ('J7a', 'J7b')", name="release_journal_is_known"),
        sa.ForeignKeyConstraint(
            ["city_id", "claim_id"],
            ["claim.claims.city_id", "claim.claims.claim_id"],
            name="claim_releases_claim_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "claim_id"),
        schema="claim",
    )


def downgrade() -> None:
    """Refuse: below the first revision there is no ledger, and booked money is not undone."""
    raise RuntimeError("The first revision is not undone: restore a backup, or drop the database.")
