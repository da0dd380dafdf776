"""Redemption, settlement, reconciliation.

Revision: 0002, after 0001
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "merchants",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("categories", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("mcc", sa.Text(), nullable=True),
        sa.Column("region_code", sa.Text(), nullable=True),
        sa.Column("payout_account", sa.Text(), nullable=True),
        sa.Column("wallet_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_by", sa.Text(), nullable=True),
        sa.CheckConstraint("mcc ~ '^[0-9]{4}$'", name="mcc_is_four_digits"),
        sa.CheckConstraint("name <> ''", name="merchant_has_a_name"),
        sa.CheckConstraint("region_code ~ '^[0-9]{6}$'", name="region_code_is_six_digits"),
        sa.CheckConstraint(
            "(state <> 'active' OR approved_at IS NOT NULL) AND (approved_at IS NULL) = (approved_by IS NULL)",
            name="active_merchants_were_approved",
        ),
        sa.CheckConstraint(
            "(state = 'suspended') = (suspended_at IS NOT NULL) AND (suspended_at IS NULL) = (suspended_by IS NULL)",
            name="suspended_merchants_say_when",
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'active', 'suspended')", name="merchant_state_is_known"
        ),
        sa.CheckConstraint("approved_by <> created_by", name="merchants_need_a_second_person"),
        sa.ForeignKeyConstraint(
            ["city_id"], ["campaign.cities.city_id"], name="merchants_city_fkey"
        ),
        sa.PrimaryKeyConstraint("city_id", "merchant_id"),
        schema="campaign",
    )
    op.create_table(
        "enrolments",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["city_id", "merchant_id"],
            ["campaign.merchants.city_id", "campaign.merchants.merchant_id"],
            name="enrolments_merchant_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="enrolments_programme_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "merchant_id", "programme_id"),
        schema="campaign",
    )
    op.create_table(
        "terminals",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("terminal_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("suspended_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'suspended') = (suspended_at IS NOT NULL) AND (suspended_at IS NULL) = (suspended_by IS NULL)",
            name="suspended_terminals_say_when",
        ),
        sa.CheckConstraint("state IN ('active', 'suspended')", name="terminal_state_is_known"),
        sa.ForeignKeyConstraint(
            ["city_id", "merchant_id"],
            ["campaign.merchants.city_id", "campaign.merchants.merchant_id"],
            name="terminals_merchant_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "terminal_id"),
        sa.UniqueConstraint("city_id", "key_id", name="terminals_key_id_key"),
        schema="campaign",
    )
    op.create_index(
        "terminals_by_merchant",
        "terminals",
        ["city_id", "merchant_id", "created_at"],
        unique=False,
        schema="campaign",
    )
    op.create_table(
        "custody_moves",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("move_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("moved_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "direction IN ('to_wallet', 'to_bank')", name="custody_direction_is_known"
        ),
        sa.CheckConstraint("amount_fen > 0", name="custody_move_is_positive"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="custody_moves_programme_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "move_id"),
        schema="ledger",
    )
    op.create_index(
        "custody_moves_by_programme",
        "custody_moves",
        ["city_id", "programme_id", "moved_at"],
        unique=False,
        schema="ledger",
    )
    op.create_table(
        "settlement_batches",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("cut_off", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("payouts", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'cut') = (decided_by IS NULL) AND (state = 'cut') = (decided_at IS NULL)",
            name="decided_batches_say_by_whom",
        ),
        sa.CheckConstraint(
            "state IN ('cut', 'approved', 'rejected')", name="settlement_batch_state_is_known"
        ),
        sa.CheckConstraint("decided_by <> created_by", name="batches_need_a_second_person"),
        sa.CheckConstraint("payouts >= 1 AND amount_fen >= 0", name="batches_pay_somebody"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="settlement_batches_programme_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "batch_id"),
        schema="ledger",
    )
    op.create_index(
        "settlement_batches_by_programme",
        "settlement_batches",
        ["city_id", "programme_id", "created_at"],
        unique=False,
        schema="ledger",
    )
    op.create_table(
        "statements",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.SmallInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("totals", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("quarantined", sa.Integer(), nullable=False),
        sa.Column("uploaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("uploaded_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "format IN ('ecny-daily', 'bank-statement')", name="statement_format_is_known"
        ),
        sa.CheckConstraint("octet_length(sha256) = 32", name="statement_hash_is_sha256"),
        sa.CheckConstraint("version >= 1", name="statement_versions_count_from_one"),
        sa.CheckConstraint("quarantined BETWEEN 0 AND lines", name="statement_lines_are_counted"),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="statements_programme_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "statement_id"),
        sa.UniqueConstraint(
            "city_id", "programme_id", "account", "day", "version", name="statements_version_key"
        ),
        sa.UniqueConstraint("city_id", "programme_id", "sha256", name="statements_file_key"),
        schema="ledger",
    )
    op.create_table(
        "funder_returns",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("return_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("funder_id", sa.Text(), nullable=False),
        sa.Column("released_fen", sa.BigInteger(), nullable=False),
        sa.Column("pledge_fen", sa.BigInteger(), nullable=False),
        sa.Column("bank_fen", sa.BigInteger(), nullable=False),
        sa.Column("wallet_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL) AND (state = 'proposed') = (decided_at IS NULL)",
            name="decided_returns_say_by_whom",
        ),
        sa.CheckConstraint(
            "state IN ('proposed', 'approved', 'rejected')", name="funder_return_state_is_known"
        ),
        sa.CheckConstraint("decided_by <> proposed_by", name="returns_need_a_second_person"),
        sa.CheckConstraint(
            "released_fen >= 0 AND pledge_fen >= 0 AND bank_fen >= 0 AND wallet_fen >= 0 AND pledge_fen + bank_fen + wallet_fen > 0 AND released_fen <= pledge_fen + bank_fen + wallet_fen",
            name="funder_return_is_positive",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "programme_id", "funder_id"],
            [
                "campaign.funders.city_id",
                "campaign.funders.programme_id",
                "campaign.funders.funder_id",
            ],
            name="funder_returns_funder_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "return_id"),
        schema="ledger",
    )
    op.create_index(
        "funder_returns_one_open",
        "funder_returns",
        ["city_id", "programme_id", "funder_id"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("state = 'proposed'"),
    )
    op.create_table(
        "payouts",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("netted_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("bank_txn_no", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(state IN ('confirmed', 'rejected')) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (ended_by IS NULL)",
            name="ended_payouts_say_when",
        ),
        sa.CheckConstraint(
            "state IN ('cut', 'open', 'confirmed', 'rejected')", name="payout_state_is_known"
        ),
        sa.CheckConstraint("amount_fen + netted_fen > 0", name="payout_settles_something"),
        sa.CheckConstraint("amount_fen >= 0 AND netted_fen >= 0", name="payout_is_not_negative"),
        sa.ForeignKeyConstraint(
            ["city_id", "batch_id"],
            ["ledger.settlement_batches.city_id", "ledger.settlement_batches.batch_id"],
            name="payouts_batch_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "merchant_id"],
            ["campaign.merchants.city_id", "campaign.merchants.merchant_id"],
            name="payouts_merchant_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "payout_id"),
        schema="ledger",
    )
    op.create_index(
        "payouts_by_batch", "payouts", ["city_id", "batch_id"], unique=False, schema="ledger"
    )
    op.create_index(
        "payouts_open",
        "payouts",
        ["city_id", "next_at"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "reconciliations",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("reconciliation_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("movements", sa.Integer(), nullable=False),
        sa.Column("matched", sa.Integer(), nullable=False),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("difference_fen", sa.BigInteger(), nullable=False),
        sa.Column("is_continuous", sa.Boolean(), nullable=True),
        sa.Column("missing_days", postgresql.ARRAY(sa.Date()), nullable=False),
        sa.Column("waterfall", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("result_hash", sa.LargeBinary(), nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_by", sa.Text(), nullable=False),
        sa.CheckConstraint("octet_length(result_hash) = 32", name="result_hash_is_sha256"),
        sa.ForeignKeyConstraint(
            ["city_id", "statement_id"],
            ["ledger.statements.city_id", "ledger.statements.statement_id"],
            name="reconciliations_statement_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "reconciliation_id"),
        schema="ledger",
    )
    op.create_index(
        "reconciliations_by_statement",
        "reconciliations",
        ["city_id", "statement_id", "run_at"],
        unique=False,
        schema="ledger",
    )
    op.create_table(
        "settlement_records",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("settlement_id", sa.Uuid(), nullable=False),
        sa.Column("record_version", sa.SmallInteger(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("original_settlement_id", sa.Uuid(), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=True),
        sa.Column("position", sa.SmallInteger(), nullable=True),
        sa.Column("kind_id", sa.Text(), nullable=False),
        sa.Column("voucher_instance_seq", sa.Integer(), nullable=True),
        sa.Column("voucher_count", sa.BigInteger(), nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=True),
        sa.Column("contract_version", sa.Integer(), nullable=True),
        sa.Column("contract_hash", sa.Text(), nullable=True),
        sa.Column("directive_use", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("directive_payee", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("directive_circulation", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("condition_result", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rail", sa.Text(), nullable=False),
        sa.Column("operator_id", sa.Text(), nullable=True),
        sa.Column("payee_operator_id", sa.Text(), nullable=True),
        sa.Column("acceptance_org_id", sa.Text(), nullable=True),
        sa.Column("payer_wallet_token", sa.Text(), nullable=True),
        sa.Column("payer_wallet_class", sa.SmallInteger(), nullable=True),
        sa.Column("payer_wallet_form", sa.Text(), nullable=True),
        sa.Column("payee_wallet_id", sa.Text(), nullable=True),
        sa.Column("funder_wallet_id", sa.Text(), nullable=True),
        sa.Column("merchant_id", sa.Uuid(), nullable=True),
        sa.Column("store_id", sa.Text(), nullable=True),
        sa.Column("terminal_id", sa.Uuid(), nullable=True),
        sa.Column("mcc", sa.Text(), nullable=True),
        sa.Column("region_code", sa.Text(), nullable=True),
        sa.Column("order_no", sa.Text(), nullable=True),
        sa.Column("operator_txn_no", sa.Text(), nullable=True),
        sa.Column("end_to_end_no", sa.Text(), nullable=False),
        sa.Column("stan", sa.Text(), nullable=True),
        sa.Column("rrn", sa.Text(), nullable=True),
        sa.Column("auth_code", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), server_default=sa.text("'CNY'"), nullable=False),
        sa.Column("order_amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("voucher_amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("consumer_paid_fen", sa.BigInteger(), nullable=False),
        sa.Column("other_discount_fen", sa.BigInteger(), nullable=False),
        sa.Column("fund_split", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("fee_fen", sa.BigInteger(), nullable=False),
        sa.Column("net_fen", sa.BigInteger(), nullable=False),
        sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operator_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("accounting_date", sa.Date(), nullable=False),
        sa.Column("settle_cycle", sa.Text(), nullable=False),
        sa.Column("finality_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("voucher_valid_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("refund_policy", sa.Text(), nullable=False),
        sa.Column("refund_waterfall", sa.Text(), nullable=False),
        sa.Column("offline_flag", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("offline_counter", sa.Integer(), nullable=True),
        sa.Column("sync_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ledger_txn_id", sa.Uuid(), nullable=False),
        sa.Column("ledger_batch_seq", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("channel_app", sa.Text(), nullable=True),
        sa.Column("device_hash", sa.Text(), nullable=True),
        sa.Column("prev_hash", sa.Text(), nullable=True),
        sa.Column("record_hash", sa.Text(), nullable=True),
        sa.Column("signature", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "(record_type IN ('REFUND', 'REVERSAL')) <= (original_settlement_id IS NOT NULL)",
            name="reversals_name_their_original",
        ),
        sa.CheckConstraint("currency = 'CNY'", name="record_is_in_yuan"),
        sa.CheckConstraint(
            "rail IN ('ECNY_WALLET', 'ECNY_HARD', 'UNIONPAY', 'WECHAT', 'ALIPAY', 'BANK')",
            name="record_rail_is_known",
        ),
        sa.CheckConstraint(
            "record_type = 'EXPIRY_RETURN' OR voucher_count = 1", name="one_voucher_per_redemption"
        ),
        sa.CheckConstraint(
            "record_type IN ('REDEEM', 'REFUND', 'REVERSAL', 'EXPIRY_RETURN', 'ADJUST')",
            name="record_type_is_known",
        ),
        sa.CheckConstraint(
            "settle_cycle IN ('T0_FINAL', 'T1_BATCH', 'POST_VERIFY')", name="settle_cycle_is_known"
        ),
        sa.CheckConstraint(
            "status IN ('INIT', 'LOCKED', 'SUCCESS', 'REVERSED', 'REFUNDED', 'FAILED', 'UNKNOWN')",
            name="record_status_is_known",
        ),
        sa.CheckConstraint(
            "order_amount_fen = voucher_amount_fen + consumer_paid_fen + other_discount_fen",
            name="order_is_its_parts",
        ),
        sa.CheckConstraint(
            "voucher_amount_fen >= 0 AND consumer_paid_fen >= 0 AND other_discount_fen >= 0 AND fee_fen >= 0 AND net_fen BETWEEN 0 AND voucher_amount_fen",
            name="record_amounts_are_not_negative",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "ledger_txn_id", "programme_id"],
            [
                "ledger.journals.city_id",
                "ledger.journals.journal_id",
                "ledger.journals.programme_id",
            ],
            name="settlement_records_journal_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "settlement_id"),
        schema="ledger",
    )
    op.create_index(
        "settlement_records_by_day",
        "settlement_records",
        ["city_id", "programme_id", "accounting_date", "settlement_id"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("accounting_date IS NOT NULL"),
    )
    op.create_index(
        "settlement_records_by_merchant",
        "settlement_records",
        ["city_id", "merchant_id", "accounting_date", "settlement_id"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("merchant_id IS NOT NULL"),
    )
    op.create_index(
        "settlement_records_original_key",
        "settlement_records",
        ["city_id", "original_settlement_id"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("record_type = 'REVERSAL'"),
    )
    op.create_table(
        "statement_lines",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=True),
        sa.Column("end_to_end_no", sa.Text(), nullable=True),
        sa.Column("channel_no", sa.Text(), nullable=True),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.CheckConstraint("direction IN ('in', 'out')", name="statement_direction_is_known"),
        sa.CheckConstraint(
            "fault IS NOT NULL OR (direction IS NOT NULL AND amount_fen IS NOT NULL AND amount_fen > 0 AND end_to_end_no IS NOT NULL)",
            name="statement_line_is_readable",
        ),
        sa.CheckConstraint("(fault IS NULL) = (raw IS NULL)", name="quarantine_keeps_the_row"),
        sa.CheckConstraint("line_no >= 1", name="statement_lines_count_from_one"),
        sa.ForeignKeyConstraint(
            ["city_id", "statement_id"],
            ["ledger.statements.city_id", "ledger.statements.statement_id"],
            name="statement_lines_statement_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "statement_id", "line_no"),
        schema="ledger",
    )
    op.create_table(
        "breaks",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("break_id", sa.Uuid(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("statement_id", sa.Uuid(), nullable=False),
        sa.Column("reconciliation_id", sa.Uuid(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=True),
        sa.Column("booked_journal_id", sa.Uuid(), nullable=True),
        sa.Column("end_to_end_no", sa.Text(), nullable=True),
        sa.Column("statement_fen", sa.BigInteger(), nullable=True),
        sa.Column("booked_fen", sa.BigInteger(), nullable=True),
        sa.Column("difference_fen", sa.BigInteger(), nullable=False),
        sa.Column("happened_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'open'"), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("proposal", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("proposed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("proposed_by", sa.Text(), nullable=True),
        sa.Column("approved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("journal_id", sa.Uuid(), nullable=True),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'posted') = (journal_id IS NOT NULL)", name="posted_is_booked"
        ),
        sa.CheckConstraint(
            "difference_fen <> 0 OR proposal IS DISTINCT FROM 'post'", name="posted_is_something"
        ),
        sa.CheckConstraint(
            "state <> 'cleared' OR cleared_at IS NOT NULL", name="cleared_breaks_say_when"
        ),
        sa.CheckConstraint(
            "(state IN ('posted', 'accepted')) = (approved_by IS NOT NULL)",
            name="settled_breaks_were_approved",
        ),
        sa.CheckConstraint("proposal IN ('post', 'accept')", name="proposal_is_known"),
        sa.CheckConstraint(
            "state IN ('open', 'proposed', 'posted', 'accepted', 'cleared')",
            name="break_state_is_known",
        ),
        sa.CheckConstraint(
            "state NOT IN ('proposed', 'posted', 'accepted') OR (proposal IS NOT NULL AND proposed_by IS NOT NULL AND proposed_at IS NOT NULL)",
            name="proposals_say_by_whom",
        ),
        sa.CheckConstraint(
            "type IN ('missing_in_ledger', 'missing_in_channel', 'amount', 'duplicate', 'direction', 'unreadable', 'balance')",
            name="break_type_is_known",
        ),
        sa.CheckConstraint("approved_by <> proposed_by", name="breaks_need_a_second_person"),
        sa.ForeignKeyConstraint(
            ["city_id", "reconciliation_id"],
            ["ledger.reconciliations.city_id", "ledger.reconciliations.reconciliation_id"],
            name="breaks_run_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "statement_id"],
            ["ledger.statements.city_id", "ledger.statements.statement_id"],
            name="breaks_statement_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "break_id"),
        sa.UniqueConstraint(
            *("city_id", "programme_id", "account", "subject"), name="breaks_identity_key"
        ),
        schema="ledger",
    )
    op.create_index(
        "breaks_by_journal",
        "breaks",
        ["city_id", "booked_journal_id"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("booked_journal_id IS NOT NULL"),
    )
    op.create_index(
        "breaks_by_state",
        "breaks",
        ["city_id", "programme_id", "state", "opened_at"],
        unique=False,
        schema="ledger",
    )
    op.create_table(
        "differences",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("reconciliation_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=True),
        sa.Column("journal_id", sa.Uuid(), nullable=True),
        sa.Column("end_to_end_no", sa.Text(), nullable=True),
        sa.Column("statement_fen", sa.BigInteger(), nullable=True),
        sa.Column("booked_fen", sa.BigInteger(), nullable=True),
        sa.Column("difference_fen", sa.BigInteger(), nullable=False),
        sa.Column("happened_on", sa.Date(), nullable=False),
        sa.Column("break_id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("place >= 1", name="differences_count_from_one"),
        sa.CheckConstraint(
            "type IN ('missing_in_ledger', 'missing_in_channel', 'amount', 'duplicate', 'direction', 'unreadable', 'balance')",
            name="difference_type_is_known",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "break_id"],
            ["ledger.breaks.city_id", "ledger.breaks.break_id"],
            name="differences_break_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "reconciliation_id"],
            ["ledger.reconciliations.city_id", "ledger.reconciliations.reconciliation_id"],
            name="differences_run_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "reconciliation_id", "place"),
        schema="ledger",
    )
    op.create_table(
        "matches",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("reconciliation_id", sa.Uuid(), nullable=False),
        sa.Column("line_no", sa.Integer(), nullable=False),
        sa.Column("journal_id", sa.Uuid(), nullable=False),
        sa.Column("pass", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("pass BETWEEN 1 AND 9", name="match_pass_is_known"),
        sa.ForeignKeyConstraint(
            ["city_id", "reconciliation_id"],
            ["ledger.reconciliations.city_id", "ledger.reconciliations.reconciliation_id"],
            name="matches_run_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "reconciliation_id", "line_no"),
        sa.UniqueConstraint(
            "city_id", "reconciliation_id", "journal_id", name="matches_consume_the_books"
        ),
        schema="ledger",
    )
    op.create_index(
        "matches_by_journal", "matches", ["city_id", "journal_id"], unique=False, schema="ledger"
    )
    op.create_table(
        "payout_items",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("payout_id", sa.Uuid(), nullable=False),
        sa.Column("settlement_id", sa.Uuid(), nullable=False),
        sa.Column("void", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["city_id", "payout_id"],
            ["ledger.payouts.city_id", "ledger.payouts.payout_id"],
            name="payout_items_payout_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "settlement_id"],
            ["ledger.settlement_records.city_id", "ledger.settlement_records.settlement_id"],
            name="payout_items_record_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "payout_id", "settlement_id"),
        schema="ledger",
    )
    op.create_index(
        "payout_items_one_live",
        "payout_items",
        ["city_id", "settlement_id"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("NOT void"),
    )
    op.create_table(
        "expiries",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("kind_id", sa.Text(), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("untouched", sa.BigInteger(), nullable=False),
        sa.Column("touched", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("untouched >= 0 AND touched >= 0", name="expired_vouchers_are_counted"),
        sa.ForeignKeyConstraint(
            ["city_id", "drop_id", "kind_id", "valid_until"],
            [
                "claim.expiry_cohorts.city_id",
                "claim.expiry_cohorts.drop_id",
                "claim.expiry_cohorts.kind_id",
                "claim.expiry_cohorts.valid_until",
            ],
            name="expiries_cohort_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "drop_id", "kind_id", "valid_until"),
        schema="redeem",
    )
    op.create_table(
        "vouchers",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("kind_id", sa.Text(), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("face_fen", sa.BigInteger(), nullable=False),
        sa.Column("remaining_fen", sa.BigInteger(), nullable=False),
        sa.Column("held_fen", sa.BigInteger(), nullable=False),
        sa.Column("draw_seq", sa.Integer(), nullable=False),
        sa.Column("code_step", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "CASE state WHEN 'open' THEN held_fen = 0 AND remaining_fen > 0 WHEN 'held' THEN held_fen > 0 WHEN 'redeemed' THEN held_fen = 0 AND remaining_fen = 0 WHEN 'expired' THEN held_fen = 0 AND remaining_fen = 0 WHEN 'void' THEN held_fen = 0 AND remaining_fen = 0 ELSE false END",
            name="voucher_state_is_its_money",
        ),
        sa.CheckConstraint("draw_seq >= 0", name="draws_count_up"),
        sa.CheckConstraint("held_fen >= 0", name="held_is_not_negative"),
        sa.CheckConstraint("position BETWEEN 0 AND 63", name="voucher_position_fits_a_pack"),
        sa.CheckConstraint("remaining_fen + held_fen <= face_fen", name="never_drawn_over_face"),
        sa.CheckConstraint("remaining_fen >= 0", name="remaining_is_not_negative"),
        sa.ForeignKeyConstraint(
            ["city_id", "claim_id"],
            ["claim.claims.city_id", "claim.claims.claim_id"],
            name="vouchers_claim_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "drop_id", "kind_id", "valid_until"],
            [
                "claim.expiry_cohorts.city_id",
                "claim.expiry_cohorts.drop_id",
                "claim.expiry_cohorts.kind_id",
                "claim.expiry_cohorts.valid_until",
            ],
            name="vouchers_cohort_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "claim_id", "position"),
        schema="redeem",
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "vouchers_by_cohort",
        "vouchers",
        ["city_id", "drop_id", "kind_id", "valid_until", "state"],
        unique=False,
        schema="redeem",
        postgresql_where=sa.text("drop_id IS NOT NULL"),
    )
    op.create_table(
        "redemptions",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("draw_seq", sa.Integer(), nullable=False),
        sa.Column("programme_id", sa.Uuid(), nullable=False),
        sa.Column("drop_id", sa.Uuid(), nullable=False),
        sa.Column("kind_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(), nullable=False),
        sa.Column("terminal_id", sa.Uuid(), nullable=False),
        sa.Column("request_no", sa.Text(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("order_amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("absorbed_fen", sa.BigInteger(), nullable=False),
        sa.Column("rail", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hold_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("captured_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("captured_kind", sa.Text(), nullable=True),
        sa.Column("captured_by", sa.Text(), nullable=True),
        sa.Column("settlement_id", sa.Uuid(), nullable=True),
        sa.Column("reversal_wanted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_kind", sa.Text(), nullable=True),
        sa.Column("ended_into", sa.Text(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(captured_at IS NULL) = (captured_kind IS NULL) AND (captured_at IS NULL) = (captured_by IS NULL) AND (captured_at IS NULL) = (settlement_id IS NULL) AND (captured_kind IS NULL OR captured_kind IN ('J10', 'J17'))",
            name="captured_journal_is_known",
        ),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (ended_kind IS NULL) AND (ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (ended_into IS NULL) AND (ended_kind IS NULL OR ended_kind IN ('J9', 'J21', 'J22', 'J23', 'J23e')) AND (ended_into IS NULL OR ended_into IN ('outstanding', 'return'))",
            name="ended_journal_is_known",
        ),
        sa.CheckConstraint(
            "CASE state WHEN 'held' THEN held_at IS NOT NULL AND hold_expires_at IS NOT NULL AND captured_at IS NULL AND ended_at IS NULL WHEN 'pending' THEN rail = 'ecny' AND held_at IS NOT NULL AND ended_at IS NULL WHEN 'captured' THEN captured_at IS NOT NULL AND ended_at IS NULL WHEN 'released' THEN captured_at IS NULL AND ended_at IS NOT NULL WHEN 'failed' THEN captured_at IS NULL AND ended_at IS NOT NULL WHEN 'reversed' THEN ended_at IS NOT NULL ELSE false END",
            name="redemption_state_is_its_times",
        ),
        sa.CheckConstraint("rail IN ('bank', 'ecny')", name="redemption_rail_is_known"),
        sa.CheckConstraint("absorbed_fen BETWEEN 0 AND amount_fen", name="absorbed_is_a_part"),
        sa.CheckConstraint("amount_fen > 0", name="redemption_is_positive"),
        sa.CheckConstraint("order_amount_fen >= amount_fen", name="order_covers_the_voucher"),
        sa.ForeignKeyConstraint(
            ["city_id", "claim_id", "position"],
            ["redeem.vouchers.city_id", "redeem.vouchers.claim_id", "redeem.vouchers.position"],
            name="redemptions_voucher_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "merchant_id", "programme_id"],
            [
                "campaign.enrolments.city_id",
                "campaign.enrolments.merchant_id",
                "campaign.enrolments.programme_id",
            ],
            name="redemptions_enrolment_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "terminal_id"],
            ["campaign.terminals.city_id", "campaign.terminals.terminal_id"],
            name="redemptions_terminal_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "redemption_id"),
        schema="redeem",
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "redemptions_draw_key",
        "redemptions",
        ["city_id", "claim_id", "position", "draw_seq"],
        unique=True,
        schema="redeem",
        postgresql_where=sa.text("claim_id IS NOT NULL"),
    )
    op.create_index(
        "redemptions_one_live_draw",
        "redemptions",
        ["city_id", "claim_id", "position"],
        unique=True,
        schema="redeem",
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(
        "redemptions_overdue",
        "redemptions",
        ["city_id", "hold_expires_at"],
        unique=False,
        schema="redeem",
        postgresql_where=sa.text("state = 'held' AND hold_expires_at IS NOT NULL"),
    )
    op.create_table(
        "instructions",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("instruction_id", sa.Uuid(), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("original_id", sa.Uuid(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("wallet", sa.Text(), nullable=False),
        sa.Column("payee_wallet", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("operator_txn_no", sa.Text(), nullable=True),
        sa.Column("operator_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'open') = (finished_at IS NULL)", name="finished_instructions_say_when"
        ),
        sa.CheckConstraint("kind IN ('pay', 'refund')", name="instruction_kind_is_known"),
        sa.CheckConstraint(
            "state IN ('open', 'confirmed', 'rejected')", name="instruction_state_is_known"
        ),
        sa.CheckConstraint("amount_fen > 0", name="instruction_is_positive"),
        sa.CheckConstraint("attempts >= 0", name="instruction_attempts_count_up"),
        sa.ForeignKeyConstraint(
            ["city_id", "redemption_id"],
            ["redeem.redemptions.city_id", "redeem.redemptions.redemption_id"],
            name="instructions_redemption_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "instruction_id"),
        schema="redeem",
    )
    op.create_index(
        "instructions_due",
        "instructions",
        ["city_id", "next_at"],
        unique=False,
        schema="redeem",
        postgresql_where=sa.text("state = 'open' AND next_at IS NOT NULL"),
    )
    op.create_index(
        "instructions_one_open",
        "instructions",
        ["city_id", "redemption_id"],
        unique=True,
        schema="redeem",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "instructions_one_payment",
        "instructions",
        ["city_id", "redemption_id", "kind"],
        unique=True,
        schema="redeem",
        postgresql_where=sa.text("state = 'confirmed'"),
    )
    op.create_table(
        "requests",
        sa.Column("city_id", sa.SmallInteger(), nullable=False),
        sa.Column("terminal_id", sa.Uuid(), nullable=False),
        sa.Column("request_no", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("redemption_id", sa.Uuid(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reversed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(operation = 'tombstone') = (body_hash IS NULL)", name="only_tombstones_have_no_body"
        ),
        sa.CheckConstraint(
            "operation <> 'tombstone' OR reversed_at IS NOT NULL", name="tombstones_are_reversed"
        ),
        sa.CheckConstraint(
            "operation IN ('redeem', 'capture', 'release', 'reverse', 'tombstone')",
            name="operation_is_known",
        ),
        sa.CheckConstraint("request_no ~ '^[A-Za-z0-9_-]{1,64}$'", name="request_no_is_plain"),
        sa.ForeignKeyConstraint(
            ["city_id", "redemption_id"],
            ["redeem.redemptions.city_id", "redeem.redemptions.redemption_id"],
            name="requests_redemption_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["city_id", "terminal_id"],
            ["campaign.terminals.city_id", "campaign.terminals.terminal_id"],
            name="requests_terminal_fkey",
        ),
        sa.PrimaryKeyConstraint("city_id", "terminal_id", "request_no"),
        schema="redeem",
    )
    op.add_column(
        "drops",
        sa.Column("absorbs", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="campaign",
    )
    op.add_column(
        "expiry_cohorts",
        sa.Column("expired", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="claim",
    )
    op.create_index(
        "expiry_cohorts_due",
        "expiry_cohorts",
        ["city_id", "valid_until"],
        unique=False,
        schema="claim",
        postgresql_where=sa.text("NOT expired"),
    )
    _guide_the_planner()


def _guide_the_planner() -> None:
    """Give indexes a predicate that is true of every row and implied by what they are for.

    On a table known to be empty all indexes cost the same, and any of them might be read for
    a search that another one serves.
    """
    op.drop_index("drops_by_programme", table_name="drops", schema="campaign")
    op.create_index(
        "drops_by_programme",
        "drops",
        ["city_id", "programme_id", "opens_at"],
        unique=False,
        schema="campaign",
        postgresql_where=sa.text("programme_id IS NOT NULL"),
    )
    op.drop_index("drops_by_state", table_name="drops", schema="campaign")
    op.create_index(
        "drops_by_state",
        "drops",
        ["city_id", "state", "opens_at"],
        unique=False,
        schema="campaign",
        postgresql_where=sa.text("state IS NOT NULL"),
    )
    op.drop_index("journals_by_programme", table_name="journals", schema="ledger")
    op.create_index(
        "journals_by_programme",
        "journals",
        ["city_id", "programme_id", "posted_at"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("posted_at IS NOT NULL"),
    )
    op.drop_constraint("claims_serial_key", "claims", schema="claim", type_="unique")
    op.create_index(
        "claims_serial_key",
        "claims",
        ["city_id", "drop_id", "serial"],
        unique=True,
        schema="claim",
        postgresql_where=sa.text("serial IS NOT NULL"),
    )
    op.drop_constraint("journals_identity_key", "journals", schema="ledger", type_="unique")
    op.create_index(
        "journals_identity_key",
        "journals",
        ["city_id", "kind", "event"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("event IS NOT NULL"),
    )
    op.drop_constraint("accounts_code_key", "accounts", schema="ledger", type_="unique")
    op.create_index(
        "accounts_code_key",
        "accounts",
        ["city_id", "programme_id", "code"],
        unique=True,
        schema="ledger",
        postgresql_where=sa.text("code IS NOT NULL"),
    )
    op.drop_index("transfers_by_debit", table_name="transfers", schema="ledger")
    op.create_index(
        "transfers_by_debit",
        "transfers",
        ["city_id", "programme_id", "debit_account_id", "journal_id", "line"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("debit_account_id IS NOT NULL"),
    )
    op.drop_index("transfers_by_credit", table_name="transfers", schema="ledger")
    op.create_index(
        "transfers_by_credit",
        "transfers",
        ["city_id", "programme_id", "credit_account_id", "journal_id", "line"],
        unique=False,
        schema="ledger",
        postgresql_where=sa.text("credit_account_id IS NOT NULL"),
    )


def downgrade() -> None:
    raise RuntimeError("money was booked on these tables: restore a backup instead")
