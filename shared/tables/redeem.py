"""Schema `redeem`: vouchers that were touched, redemptions, what tills asked, what was instructed.

Written by the functions `redeem.*` alone.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
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
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.model import CityKey, Fen, Key, Model, Moment, Reference, TextKey

_TERMINAL = ["campaign.terminals.city_id", "campaign.terminals.terminal_id"]
_REDEMPTION = ["redeem.redemptions.city_id", "redeem.redemptions.redemption_id"]


class Voucher(Model):
    """A voucher from the first touch on; one that nobody touched has no row.

    face = remaining + held + what was captured, expired or voided. `code_step` is the last step of
    its rotating code that was spent; `draw_seq` counts its redemptions.
    """

    __tablename__ = "vouchers"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "claim_id"],
            ["claim.claims.city_id", "claim.claims.claim_id"],
            name="vouchers_claim_fkey",
        ),
        ForeignKeyConstraint(
            ["city_id", "drop_id", "kind_id", "valid_until"],
            [
                "claim.expiry_cohorts.city_id",
                "claim.expiry_cohorts.drop_id",
                "claim.expiry_cohorts.kind_id",
                "claim.expiry_cohorts.valid_until",
            ],
            name="vouchers_cohort_fkey",
        ),
        CheckConstraint("position BETWEEN 0 AND 63", name="voucher_position_fits_a_pack"),
        CheckConstraint("remaining_fen >= 0", name="remaining_is_not_negative"),
        CheckConstraint("held_fen >= 0", name="held_is_not_negative"),
        CheckConstraint("remaining_fen + held_fen <= face_fen", name="never_drawn_over_face"),
        CheckConstraint("draw_seq >= 0", name="draws_count_up"),
        CheckConstraint(
            "CASE state WHEN 'open' THEN held_fen = 0 AND remaining_fen > 0"
            " WHEN 'held' THEN held_fen > 0"
            " WHEN 'redeemed' THEN held_fen = 0 AND remaining_fen = 0"
            " WHEN 'expired' THEN held_fen = 0 AND remaining_fen = 0"
            " WHEN 'void' THEN held_fen = 0 AND remaining_fen = 0"
            " ELSE false END",
            name="voucher_state_is_its_money",
        ),
        # True of every row, and implied by a search for a cohort: a look-up does not take it.
        Index(
            "vouchers_by_cohort",
            "city_id",
            "drop_id",
            "kind_id",
            "valid_until",
            "state",
            postgresql_where=text("drop_id IS NOT NULL"),
        ),
        {"schema": "redeem", "postgresql_with": {"fillfactor": "80"}},
    )
    city_id: Mapped[CityKey]
    claim_id: Mapped[Key]
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    drop_id: Mapped[Reference]
    kind_id: Mapped[str] = mapped_column(Text)
    valid_until: Mapped[Moment]
    face_fen: Mapped[Fen]
    remaining_fen: Mapped[Fen]
    held_fen: Mapped[Fen]
    draw_seq: Mapped[int] = mapped_column(Integer)
    code_step: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Text)


class Redemption(Model):
    """One draw on one voucher by one till.

    The journals of a redemption follow from its row: J8 where `held_at` is set, at `captured_at`
    the journal `captured_kind` (J10, with J11 where the merchants absorb their share, or J17), at
    `ended_at` the journal `ended_kind`, which moves the money to `ended_into`.
    """

    __tablename__ = "redemptions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "claim_id", "position"],
            ["redeem.vouchers.city_id", "redeem.vouchers.claim_id", "redeem.vouchers.position"],
            name="redemptions_voucher_fkey",
        ),
        ForeignKeyConstraint(
            ["city_id", "terminal_id"], _TERMINAL, name="redemptions_terminal_fkey"
        ),
        ForeignKeyConstraint(
            ["city_id", "merchant_id", "programme_id"],
            [
                "campaign.enrolments.city_id",
                "campaign.enrolments.merchant_id",
                "campaign.enrolments.programme_id",
            ],
            name="redemptions_enrolment_fkey",
        ),
        CheckConstraint("amount_fen > 0", name="redemption_is_positive"),
        CheckConstraint("order_amount_fen >= amount_fen", name="order_covers_the_voucher"),
        CheckConstraint("absorbed_fen BETWEEN 0 AND amount_fen", name="absorbed_is_a_part"),
        CheckConstraint("rail IN ('bank', 'ecny')", name="redemption_rail_is_known"),
        CheckConstraint(
            "CASE state"
            " WHEN 'held' THEN held_at IS NOT NULL AND hold_expires_at IS NOT NULL"
            " AND captured_at IS NULL AND ended_at IS NULL"
            " WHEN 'pending' THEN rail = 'ecny' AND held_at IS NOT NULL AND ended_at IS NULL"
            " WHEN 'captured' THEN captured_at IS NOT NULL AND ended_at IS NULL"
            " WHEN 'released' THEN captured_at IS NULL AND ended_at IS NOT NULL"
            " WHEN 'failed' THEN captured_at IS NULL AND ended_at IS NOT NULL"
            " WHEN 'reversed' THEN ended_at IS NOT NULL"
            " ELSE false END",
            name="redemption_state_is_its_times",
        ),
        CheckConstraint(
            "(captured_at IS NULL) = (captured_kind IS NULL)"
            " AND (captured_at IS NULL) = (captured_by IS NULL)"
            " AND (captured_at IS NULL) = (settlement_id IS NULL)"
            " AND (captured_kind IS NULL OR captured_kind IN ('J10', 'J17'))",
            name="captured_journal_is_known",
        ),
        CheckConstraint(
            "(ended_at IS NULL) = (ended_kind IS NULL) AND (ended_at IS NULL) = (ended_by IS NULL)"
            " AND (ended_at IS NULL) = (ended_into IS NULL)"
            " AND (ended_kind IS NULL OR ended_kind IN ('J9', 'J21', 'J22', 'J23', 'J23e'))"
            " AND (ended_into IS NULL OR ended_into IN ('outstanding', 'return'))",
            name="ended_journal_is_known",
        ),
        # True of every row: a search by redemption alone must not take this index, and would on a
        # table known to be empty, where all cost the same.
        Index(
            "redemptions_draw_key",
            "city_id",
            "claim_id",
            "position",
            "draw_seq",
            unique=True,
            postgresql_where=text("claim_id IS NOT NULL"),
        ),
        # The second guard against a double redemption, whatever the functions say.
        Index(
            "redemptions_one_live_draw",
            "city_id",
            "claim_id",
            "position",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "redemptions_overdue",
            "city_id",
            "hold_expires_at",
            postgresql_where=text("state = 'held' AND hold_expires_at IS NOT NULL"),
        ),
        {"schema": "redeem", "postgresql_with": {"fillfactor": "80"}},
    )
    city_id: Mapped[CityKey]
    redemption_id: Mapped[Key]
    claim_id: Mapped[Reference]
    position: Mapped[int] = mapped_column(SmallInteger)
    draw_seq: Mapped[int] = mapped_column(Integer)
    programme_id: Mapped[Reference]
    drop_id: Mapped[Reference]
    kind_id: Mapped[str] = mapped_column(Text)
    merchant_id: Mapped[Reference]
    terminal_id: Mapped[Reference]
    request_no: Mapped[str] = mapped_column(Text)
    order_no: Mapped[str] = mapped_column(Text)
    order_amount_fen: Mapped[Fen]
    category: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[Fen]
    absorbed_fen: Mapped[Fen]
    rail: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    held_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    hold_expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    captured_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    captured_kind: Mapped[str | None] = mapped_column(Text)
    captured_by: Mapped[str | None] = mapped_column(Text)
    settlement_id: Mapped[UUID | None] = mapped_column(Uuid)
    reversal_wanted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    ended_kind: Mapped[str | None] = mapped_column(Text)
    ended_into: Mapped[str | None] = mapped_column(Text)
    ended_by: Mapped[str | None] = mapped_column(Text)


class Request(Model):
    """What a till asked under a `request_no`, and what it was told: the same again, for ever.

    A reversal that came first leaves a row without a hash, a tombstone: the late original finds it.
    """

    __tablename__ = "requests"
    __table_args__ = (
        ForeignKeyConstraint(["city_id", "terminal_id"], _TERMINAL, name="requests_terminal_fkey"),
        ForeignKeyConstraint(
            ["city_id", "redemption_id"], _REDEMPTION, name="requests_redemption_fkey"
        ),
        CheckConstraint(
            "operation IN ('redeem', 'capture', 'release', 'reverse', 'tombstone')",
            name="operation_is_known",
        ),
        CheckConstraint("request_no ~ '^[A-Za-z0-9_-]{1,64}$'", name="request_no_is_plain"),
        CheckConstraint(
            "(operation = 'tombstone') = (body_hash IS NULL)", name="only_tombstones_have_no_body"
        ),
        CheckConstraint(
            "operation <> 'tombstone' OR reversed_at IS NOT NULL", name="tombstones_are_reversed"
        ),
        {"schema": "redeem"},
    )
    city_id: Mapped[CityKey]
    terminal_id: Mapped[Key]
    request_no: Mapped[TextKey]
    operation: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    outcome: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    redemption_id: Mapped[UUID | None] = mapped_column(Uuid)
    decided_at: Mapped[Moment]
    reversed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Instruction(Model):
    """What the e-CNY operator was told to do, until it is certain what became of it.

    Its id is the end-to-end number of the payment. `next_at` is when to ask again; an unknown
    outcome is queried, never assumed.
    """

    __tablename__ = "instructions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "redemption_id"], _REDEMPTION, name="instructions_redemption_fkey"
        ),
        CheckConstraint("kind IN ('pay', 'refund')", name="instruction_kind_is_known"),
        CheckConstraint("amount_fen > 0", name="instruction_is_positive"),
        CheckConstraint(
            "state IN ('open', 'confirmed', 'rejected')", name="instruction_state_is_known"
        ),
        CheckConstraint(
            "(state = 'open') = (finished_at IS NULL)", name="finished_instructions_say_when"
        ),
        CheckConstraint("attempts >= 0", name="instruction_attempts_count_up"),
        # The second half is true of every row, and implied by a search for what is due alone.
        Index(
            "instructions_due",
            "city_id",
            "next_at",
            postgresql_where=text("state = 'open' AND next_at IS NOT NULL"),
        ),
        Index(
            "instructions_one_open",
            "city_id",
            "redemption_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index(
            "instructions_one_payment",
            "city_id",
            "redemption_id",
            "kind",
            unique=True,
            postgresql_where=text("state = 'confirmed'"),
        ),
        {"schema": "redeem"},
    )
    city_id: Mapped[CityKey]
    instruction_id: Mapped[Key]
    redemption_id: Mapped[Reference]
    kind: Mapped[str] = mapped_column(Text)
    original_id: Mapped[UUID | None] = mapped_column(Uuid)
    amount_fen: Mapped[Fen]
    wallet: Mapped[str] = mapped_column(Text)
    payee_wallet: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(Integer)
    next_at: Mapped[Moment]
    created_at: Mapped[Moment]
    operator_txn_no: Mapped[str | None] = mapped_column(Text)
    operator_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class Expiry(Model):
    """A cohort whose end came: the event of J18, one for however many vouchers."""

    __tablename__ = "expiries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "drop_id", "kind_id", "valid_until"],
            [
                "claim.expiry_cohorts.city_id",
                "claim.expiry_cohorts.drop_id",
                "claim.expiry_cohorts.kind_id",
                "claim.expiry_cohorts.valid_until",
            ],
            name="expiries_cohort_fkey",
        ),
        CheckConstraint("untouched >= 0 AND touched >= 0", name="expired_vouchers_are_counted"),
        {"schema": "redeem"},
    )
    city_id: Mapped[CityKey]
    drop_id: Mapped[Key]
    kind_id: Mapped[TextKey]
    valid_until: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    programme_id: Mapped[Reference]
    untouched: Mapped[int] = mapped_column(BigInteger)
    touched: Mapped[int] = mapped_column(BigInteger)
    amount_fen: Mapped[Fen]
    expired_at: Mapped[Moment]
