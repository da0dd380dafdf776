"""Schema `ledger`, what is paid: settlement records, batches and payouts, returns, custody moves.

Written by functions alone. Records and moves are never changed; batches, payouts and returns move
along their states.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.model import CityKey, Fen, Key, Model, Moment, Reference

_PROGRAMME = ["campaign.programmes.city_id", "campaign.programmes.programme_id"]
_MERCHANT = ["campaign.merchants.city_id", "campaign.merchants.merchant_id"]


class SettlementRecord(Model):
    """The digital-RMB-style settlement record of one event; docs/settlement.md explains the fields.

    The public voucher id is `claim_id` and `position` under a key. Batch, payout date and
    reconciliation are told by the rows that refer to a record, so that a record never changes.
    """

    __tablename__ = "settlement_records"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "ledger_txn_id", "programme_id"],
            [
                "ledger.journals.city_id",
                "ledger.journals.journal_id",
                "ledger.journals.programme_id",
            ],
            name="settlement_records_journal_fkey",
        ),
        CheckConstraint(
            "record_type IN ('REDEEM', 'REFUND', 'REVERSAL', 'EXPIRY_RETURN', 'ADJUST')",
            name="record_type_is_known",
        ),
        CheckConstraint(
            "rail IN ('ECNY_WALLET', 'ECNY_HARD', 'UNIONPAY', 'WECHAT', 'ALIPAY', 'BANK')",
            name="record_rail_is_known",
        ),
        CheckConstraint(
            "settle_cycle IN ('T0_FINAL', 'T1_BATCH', 'POST_VERIFY')", name="settle_cycle_is_known"
        ),
        CheckConstraint(
            "status IN ('INIT', 'LOCKED', 'SUCCESS', 'REVERSED', 'REFUNDED', 'FAILED', 'UNKNOWN')",
            name="record_status_is_known",
        ),
        CheckConstraint(
            "order_amount_fen = voucher_amount_fen + consumer_paid_fen + other_discount_fen",
            name="order_is_its_parts",
        ),
        CheckConstraint(
            "voucher_amount_fen >= 0 AND consumer_paid_fen >= 0 AND other_discount_fen >= 0"
            " AND fee_fen >= 0 AND net_fen BETWEEN 0 AND voucher_amount_fen",
            name="record_amounts_are_not_negative",
        ),
        CheckConstraint(
            "record_type = 'EXPIRY_RETURN' OR voucher_count = 1", name="one_voucher_per_redemption"
        ),
        CheckConstraint("currency = 'CNY'", name="record_is_in_yuan"),
        CheckConstraint(
            "(record_type IN ('REFUND', 'REVERSAL')) <= (original_settlement_id IS NOT NULL)",
            name="reversals_name_their_original",
        ),
        # True of every row, and implied by a search for a day or a merchant alone: see
        # claim.person_identities.
        Index(
            "settlement_records_by_day",
            "city_id",
            "programme_id",
            "accounting_date",
            "settlement_id",
            postgresql_where=text("accounting_date IS NOT NULL"),
        ),
        Index(
            "settlement_records_by_merchant",
            "city_id",
            "merchant_id",
            "accounting_date",
            "settlement_id",
            postgresql_where=text("merchant_id IS NOT NULL"),
        ),
        Index(
            "settlement_records_original_key",
            "city_id",
            "original_settlement_id",
            unique=True,
            postgresql_where=text("record_type = 'REVERSAL'"),
        ),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    settlement_id: Mapped[Key]
    record_version: Mapped[int] = mapped_column(SmallInteger)
    record_type: Mapped[str] = mapped_column(Text)
    original_settlement_id: Mapped[UUID | None] = mapped_column(Uuid)
    idempotency_key: Mapped[str] = mapped_column(Text)
    programme_id: Mapped[Reference]
    drop_id: Mapped[Reference]
    claim_id: Mapped[UUID | None] = mapped_column(Uuid)
    position: Mapped[int | None] = mapped_column(SmallInteger)
    kind_id: Mapped[str] = mapped_column(Text)
    voucher_instance_seq: Mapped[int | None] = mapped_column(Integer)
    voucher_count: Mapped[int] = mapped_column(BigInteger)
    contract_id: Mapped[str | None] = mapped_column(Text)
    contract_version: Mapped[int | None] = mapped_column(Integer)
    contract_hash: Mapped[str | None] = mapped_column(Text)
    directive_use: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    directive_payee: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    directive_circulation: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    condition_result: Mapped[dict[str, Any]] = mapped_column(JSONB)
    rail: Mapped[str] = mapped_column(Text)
    operator_id: Mapped[str | None] = mapped_column(Text)
    payee_operator_id: Mapped[str | None] = mapped_column(Text)
    acceptance_org_id: Mapped[str | None] = mapped_column(Text)
    payer_wallet_token: Mapped[str | None] = mapped_column(Text)
    payer_wallet_class: Mapped[int | None] = mapped_column(SmallInteger)
    payer_wallet_form: Mapped[str | None] = mapped_column(Text)
    payee_wallet_id: Mapped[str | None] = mapped_column(Text)
    funder_wallet_id: Mapped[str | None] = mapped_column(Text)
    merchant_id: Mapped[UUID | None] = mapped_column(Uuid)
    store_id: Mapped[str | None] = mapped_column(Text)
    terminal_id: Mapped[UUID | None] = mapped_column(Uuid)
    mcc: Mapped[str | None] = mapped_column(Text)
    region_code: Mapped[str | None] = mapped_column(Text)
    order_no: Mapped[str | None] = mapped_column(Text)
    operator_txn_no: Mapped[str | None] = mapped_column(Text)
    end_to_end_no: Mapped[str] = mapped_column(Text)
    stan: Mapped[str | None] = mapped_column(Text)
    rrn: Mapped[str | None] = mapped_column(Text)
    auth_code: Mapped[str | None] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text, server_default=text("'CNY'"))
    order_amount_fen: Mapped[Fen]
    voucher_amount_fen: Mapped[Fen]
    consumer_paid_fen: Mapped[Fen]
    other_discount_fen: Mapped[Fen]
    fund_split: Mapped[dict[str, int]] = mapped_column(JSONB)
    fee_fen: Mapped[Fen]
    net_fen: Mapped[Fen]
    event_time: Mapped[Moment]
    operator_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    accounting_date: Mapped[date] = mapped_column(Date)
    settle_cycle: Mapped[str] = mapped_column(Text)
    finality_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    status: Mapped[str] = mapped_column(Text)
    voucher_valid_to: Mapped[Moment]
    refund_policy: Mapped[str] = mapped_column(Text)
    refund_waterfall: Mapped[str] = mapped_column(Text)
    offline_flag: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    offline_counter: Mapped[int | None] = mapped_column(Integer)
    sync_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ledger_txn_id: Mapped[Reference]
    ledger_batch_seq: Mapped[int | None] = mapped_column(BigInteger)
    actor: Mapped[str | None] = mapped_column(Text)
    channel_app: Mapped[str | None] = mapped_column(Text)
    device_hash: Mapped[str | None] = mapped_column(Text)
    prev_hash: Mapped[str | None] = mapped_column(Text)
    record_hash: Mapped[str | None] = mapped_column(Text)
    signature: Mapped[bytes | None] = mapped_column(LargeBinary)


class SettlementBatch(Model):
    """What one programme pays its merchants for the days up to `cut_off`, in one payout file."""

    __tablename__ = "settlement_batches"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id"], _PROGRAMME, name="settlement_batches_programme_fkey"
        ),
        CheckConstraint(
            "state IN ('cut', 'approved', 'rejected')", name="settlement_batch_state_is_known"
        ),
        CheckConstraint(
            "(state = 'cut') = (decided_by IS NULL) AND (state = 'cut') = (decided_at IS NULL)",
            name="decided_batches_say_by_whom",
        ),
        CheckConstraint("decided_by <> created_by", name="batches_need_a_second_person"),
        CheckConstraint("payouts >= 1 AND amount_fen >= 0", name="batches_pay_somebody"),
        Index("settlement_batches_by_programme", "city_id", "programme_id", "created_at"),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    batch_id: Mapped[Key]
    programme_id: Mapped[Reference]
    cut_off: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(Text)
    payouts: Mapped[int] = mapped_column(Integer)
    amount_fen: Mapped[Fen]
    created_at: Mapped[Moment]
    created_by: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    decided_by: Mapped[str | None] = mapped_column(Text)


class Payout(Model):
    """What one merchant gets in a batch: the event of J13 (netted), J14 (cut), J15 or J16 (ended).

    Its id is the end-to-end number of the payment. `netted_fen` of what was due pays back what the
    merchant owed, `amount_fen` is paid; a payout that is netted whole is never sent.
    """

    __tablename__ = "payouts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "batch_id"],
            ["ledger.settlement_batches.city_id", "ledger.settlement_batches.batch_id"],
            name="payouts_batch_fkey",
        ),
        ForeignKeyConstraint(["city_id", "merchant_id"], _MERCHANT, name="payouts_merchant_fkey"),
        CheckConstraint(
            "state IN ('cut', 'open', 'confirmed', 'rejected')", name="payout_state_is_known"
        ),
        CheckConstraint(
            "(state IN ('confirmed', 'rejected')) = (ended_at IS NOT NULL)"
            " AND (ended_at IS NULL) = (ended_by IS NULL)",
            name="ended_payouts_say_when",
        ),
        CheckConstraint("amount_fen >= 0 AND netted_fen >= 0", name="payout_is_not_negative"),
        CheckConstraint("amount_fen + netted_fen > 0", name="payout_settles_something"),
        Index("payouts_by_batch", "city_id", "batch_id"),
        Index("payouts_open", "city_id", "next_at", postgresql_where=text("state = 'open'")),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    payout_id: Mapped[Key]
    batch_id: Mapped[Reference]
    programme_id: Mapped[Reference]
    merchant_id: Mapped[Reference]
    amount_fen: Mapped[Fen]
    netted_fen: Mapped[Fen]
    state: Mapped[str] = mapped_column(Text)
    next_at: Mapped[Moment]
    bank_txn_no: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_by: Mapped[str | None] = mapped_column(Text)


class PayoutItem(Model):
    """A settlement record in a payout; it leaves a rejected one, and can be cut again."""

    __tablename__ = "payout_items"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "settlement_id"],
            ["ledger.settlement_records.city_id", "ledger.settlement_records.settlement_id"],
            name="payout_items_record_fkey",
        ),
        ForeignKeyConstraint(
            ["city_id", "payout_id"],
            ["ledger.payouts.city_id", "ledger.payouts.payout_id"],
            name="payout_items_payout_fkey",
        ),
        # A record is paid once.
        Index(
            "payout_items_one_live",
            "city_id",
            "settlement_id",
            unique=True,
            postgresql_where=text("NOT void"),
        ),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    payout_id: Mapped[Key]
    settlement_id: Mapped[Key]
    void: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class FunderReturn(Model):
    """Money that goes back to a funder once a second person agrees.

    The event of J33 (`released_fen` leaves the budget), J20 (`pledge_fen` never drawn) and J19
    (`bank_fen` and `wallet_fen` paid back by the original route).
    """

    __tablename__ = "funder_returns"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id", "funder_id"],
            [
                "campaign.funders.city_id",
                "campaign.funders.programme_id",
                "campaign.funders.funder_id",
            ],
            name="funder_returns_funder_fkey",
        ),
        CheckConstraint(
            "state IN ('proposed', 'approved', 'rejected')", name="funder_return_state_is_known"
        ),
        CheckConstraint(
            "released_fen >= 0 AND pledge_fen >= 0 AND bank_fen >= 0 AND wallet_fen >= 0"
            " AND pledge_fen + bank_fen + wallet_fen > 0"
            " AND released_fen <= pledge_fen + bank_fen + wallet_fen",
            name="funder_return_is_positive",
        ),
        CheckConstraint(
            "(state = 'proposed') = (decided_by IS NULL)"
            " AND (state = 'proposed') = (decided_at IS NULL)",
            name="decided_returns_say_by_whom",
        ),
        CheckConstraint("decided_by <> proposed_by", name="returns_need_a_second_person"),
        Index(
            "funder_returns_one_open",
            "city_id",
            "programme_id",
            "funder_id",
            unique=True,
            postgresql_where=text("state = 'proposed'"),
        ),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    return_id: Mapped[Key]
    programme_id: Mapped[Reference]
    funder_id: Mapped[str] = mapped_column(Text)
    released_fen: Mapped[Fen]
    pledge_fen: Mapped[Fen]
    bank_fen: Mapped[Fen]
    wallet_fen: Mapped[Fen]
    state: Mapped[str] = mapped_column(Text)
    proposed_at: Mapped[Moment]
    proposed_by: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    decided_by: Mapped[str | None] = mapped_column(Text)


class CustodyMove(Model):
    """Cash between the bank account and the custody wallet, as e-CNY drops need it: J32."""

    __tablename__ = "custody_moves"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id"], _PROGRAMME, name="custody_moves_programme_fkey"
        ),
        CheckConstraint("amount_fen > 0", name="custody_move_is_positive"),
        CheckConstraint("direction IN ('to_wallet', 'to_bank')", name="custody_direction_is_known"),
        Index("custody_moves_by_programme", "city_id", "programme_id", "moved_at"),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    move_id: Mapped[Key]
    programme_id: Mapped[Reference]
    drop_id: Mapped[Reference]
    amount_fen: Mapped[Fen]
    direction: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    moved_at: Mapped[Moment]
