"""Schema `campaign`: programmes, funders, drops. Merchants and terminals are in merchants.py.

Written by services.campaign through its server-side functions; `claim.issue` and `claim.release`
count on the drop's row.
"""

from datetime import date, datetime
from typing import Any

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
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.model import CityKey, Fen, Key, Model, Moment, Reference, TextKey

CITIES = "campaign.cities.city_id"


class City(Model):
    """A city and the number that leads every key of its rows."""

    __tablename__ = "cities"
    __table_args__ = (
        CheckConstraint("city_id BETWEEN 1 AND 4095", name="city_id_fits_the_public_ids"),
        UniqueConstraint("city_code", name="cities_city_code_key"),
        {"schema": "campaign"},
    )
    city_id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    city_code: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]


class ClockOffset(Model):
    """The offset of `shared.clock`, one row. Only a development deployment may move it."""

    __tablename__ = "clock"
    __table_args__ = (
        CheckConstraint("singleton", name="clock_is_one_row"),
        CheckConstraint("development OR offset_us = 0", name="production_runs_on_real_time"),
        CheckConstraint("offset_us >= 0", name="clock_never_runs_backwards"),
        {"schema": "campaign"},
    )
    singleton: Mapped[bool] = mapped_column(Boolean, primary_key=True)
    offset_us: Mapped[int] = mapped_column(BigInteger)
    development: Mapped[bool] = mapped_column(Boolean)


class Programme(Model):
    """A city's programme; it has one book in the ledger."""

    __tablename__ = "programmes"
    __table_args__ = (
        ForeignKeyConstraint(["city_id"], [CITIES], name="programmes_city_fkey"),
        CheckConstraint("name <> ''", name="programme_has_a_name"),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    programme_id: Mapped[Key]
    name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    created_by: Mapped[str] = mapped_column(Text)


class Funder(Model):
    """Who pays which share of every voucher; the shares of a programme sum to 10,000."""

    __tablename__ = "funders"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="funders_programme_fkey",
        ),
        CheckConstraint("share_bp BETWEEN 1 AND 10000", name="share_is_a_part"),
        CheckConstraint("mode IN ('cash', 'pledge')", name="funder_mode_is_known"),
        CheckConstraint(
            "kind IN ('government', 'platform', 'merchant_pool', 'bank')",
            name="funder_kind_is_known",
        ),
        CheckConstraint("funder_id ~ '^[A-Za-z0-9_-]+$'", name="funder_id_fits_an_account_code"),
        UniqueConstraint("city_id", "programme_id", "position", name="funders_position_key"),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    programme_id: Mapped[Key]
    funder_id: Mapped[TextKey]
    position: Mapped[int] = mapped_column(SmallInteger)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    share_bp: Mapped[int] = mapped_column(Integer)
    mode: Mapped[str] = mapped_column(Text)


class Funding(Model):
    """Money or a promise that came in: the event of J1 (cash), J2 (pledge), J3 (pledge paid)."""

    __tablename__ = "fundings"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id", "funder_id"],
            [
                "campaign.funders.city_id",
                "campaign.funders.programme_id",
                "campaign.funders.funder_id",
            ],
            name="fundings_funder_fkey",
        ),
        CheckConstraint("amount_fen > 0", name="funding_is_positive"),
        CheckConstraint("journal_kind IN ('J1', 'J2', 'J3')", name="funding_journal_is_known"),
        Index("fundings_by_programme", "city_id", "programme_id", "created_at"),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    funding_id: Mapped[Key]
    programme_id: Mapped[Reference]
    funder_id: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[Fen]
    reference: Mapped[str] = mapped_column(Text)
    journal_kind: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    created_by: Mapped[str] = mapped_column(Text)


class Drop(Model):
    """A timed drop. This row is the lock of the drop and the truth about its stock.

    `version` grows with every change that the gate must learn; (version) -> (remaining, state,
    window) is a function, so an older statement never overrides a newer one. `absorbs` is settled
    at publish: the merchants' own share is taken off what they are paid (J11), not paid in.
    """

    __tablename__ = "drops"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="drops_programme_fkey",
        ),
        CheckConstraint("mode IN ('grab', 'lottery')", name="drop_mode_is_known"),
        CheckConstraint("admission IN ('open', 'pass')", name="drop_admission_is_known"),
        CheckConstraint("rail IN ('bank', 'ecny')", name="drop_rail_is_known"),
        CheckConstraint(
            "reserve_mode IN ('full', 'budget_capped')", name="drop_reserve_mode_is_known"
        ),
        CheckConstraint(
            "state IN ('draft', 'live', 'paused', 'closed')", name="drop_state_is_known"
        ),
        CheckConstraint("opens_at < closes_at", name="drop_opens_before_it_closes"),
        CheckConstraint("quota BETWEEN 0 AND 100000000", name="quota_is_bounded"),
        CheckConstraint("live BETWEEN 0 AND quota", name="never_oversold"),
        CheckConstraint("issued >= live", name="live_claims_were_issued"),
        CheckConstraint("limit_per_holder BETWEEN 1 AND 100", name="limit_is_bounded"),
        CheckConstraint("pack_face_fen > 0", name="pack_has_a_face"),
        CheckConstraint("version >= 0", name="version_counts_up"),
        CheckConstraint(
            "(state = 'draft' AND published_at IS NULL AND issued = 0)"
            " OR state = 'closed' OR published_at IS NOT NULL",
            name="only_published_drops_issue",
        ),
        # The predicates are true of every row, and implied by the searches that these are for. On a
        # table known to be empty all indexes cost the same, and a search for a drop would take one.
        Index(
            "drops_by_programme",
            "city_id",
            "programme_id",
            "opens_at",
            postgresql_where=text("programme_id IS NOT NULL"),
        ),
        Index(
            "drops_by_state",
            "city_id",
            "state",
            "opens_at",
            postgresql_where=text("state IS NOT NULL"),
        ),
        # Every batch updates this row: room on its page keeps the update off the indexes (HOT).
        {"schema": "campaign", "postgresql_with": {"fillfactor": "50"}},
    )
    city_id: Mapped[CityKey]
    drop_id: Mapped[Key]
    programme_id: Mapped[Reference]
    name: Mapped[str] = mapped_column(Text)
    round: Mapped[str | None] = mapped_column(Text)
    mode: Mapped[str] = mapped_column(Text)
    admission: Mapped[str] = mapped_column(Text)
    rail: Mapped[str] = mapped_column(Text)
    reserve_mode: Mapped[str] = mapped_column(Text)
    reclaim_after_release: Mapped[bool] = mapped_column(Boolean)
    opens_at: Mapped[Moment]
    closes_at: Mapped[Moment]
    limit_per_holder: Mapped[int] = mapped_column(SmallInteger)
    pack_face_fen: Mapped[Fen]
    state: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(BigInteger)
    quota: Mapped[int] = mapped_column(Integer)
    issued: Mapped[int] = mapped_column(Integer)
    live: Mapped[int] = mapped_column(Integer)
    cohort_day: Mapped[date | None] = mapped_column(Date)
    restocked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[Moment]
    created_by: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    absorbs: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class DropChange(Model):
    """What an operator did to a drop: the event of J4 (packs > 0) and J5 (packs < 0)."""

    __tablename__ = "drop_changes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "drop_id"],
            ["campaign.drops.city_id", "campaign.drops.drop_id"],
            name="drop_changes_drop_fkey",
        ),
        CheckConstraint(
            "kind IN ('publish', 'pause', 'resume', 'close', 'quota')",
            name="drop_change_is_known",
        ),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    drop_id: Mapped[Key]
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    packs_reserved: Mapped[int] = mapped_column(Integer)
    quota_after: Mapped[int] = mapped_column(Integer)
    actor: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[Moment]


class VoucherKind(Model):
    """A kind of voucher in a drop's pack; frozen when the drop is published.

    `benefit` leaves room for percent-with-cap vouchers, where the face is the cap.
    """

    __tablename__ = "voucher_kinds"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "drop_id"],
            ["campaign.drops.city_id", "campaign.drops.drop_id"],
            name="voucher_kinds_drop_fkey",
        ),
        CheckConstraint("face_fen > 0", name="face_is_positive"),
        CheckConstraint("min_spend_fen >= 0", name="min_spend_is_not_negative"),
        CheckConstraint("count BETWEEN 1 AND 64", name="kind_count_is_bounded"),
        CheckConstraint("position >= 0", name="kind_position_counts_from_zero"),
        CheckConstraint(
            "(valid_days IS NULL) <> (valid_until IS NULL)", name="kind_has_one_validity"
        ),
        CheckConstraint("valid_days BETWEEN 1 AND 3650", name="valid_days_are_bounded"),
        CheckConstraint(
            "refund_policy IN ('restore', 'restore_once', 'restore_until_delivery', 'forfeit')",
            name="refund_policy_is_known",
        ),
        CheckConstraint(
            "(benefit = 'amount' AND percent_bp IS NULL)"
            " OR (benefit = 'percent_with_cap' AND percent_bp IS NOT NULL"
            " AND percent_bp BETWEEN 1 AND 10000)",
            name="benefit_is_known",
        ),
        UniqueConstraint("city_id", "drop_id", "position", name="voucher_kinds_position_key"),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    drop_id: Mapped[Key]
    kind_id: Mapped[TextKey]
    position: Mapped[int] = mapped_column(SmallInteger)
    name: Mapped[str] = mapped_column(Text)
    category: Mapped[str] = mapped_column(Text)
    face_fen: Mapped[Fen]
    min_spend_fen: Mapped[Fen]
    count: Mapped[int] = mapped_column(SmallInteger)
    valid_days: Mapped[int | None] = mapped_column(Integer)
    valid_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    refund_policy: Mapped[str] = mapped_column(Text)
    benefit: Mapped[str] = mapped_column(Text)
    percent_bp: Mapped[int | None] = mapped_column(Integer)


class KindShare(Model):
    """Which funder pays how much of one voucher of a kind: the face split by largest remainder."""

    __tablename__ = "kind_shares"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "drop_id", "kind_id"],
            [
                "campaign.voucher_kinds.city_id",
                "campaign.voucher_kinds.drop_id",
                "campaign.voucher_kinds.kind_id",
            ],
            name="kind_shares_kind_fkey",
        ),
        CheckConstraint("amount_fen >= 0", name="kind_share_is_not_negative"),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    drop_id: Mapped[Key]
    kind_id: Mapped[TextKey]
    funder_id: Mapped[TextKey]
    amount_fen: Mapped[Fen]


class IdempotencyKey(Model):
    """The answer of a creating POST, kept in the transaction that did the work."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        ForeignKeyConstraint(["city_id"], [CITIES], name="idempotency_keys_city_fkey"),
        CheckConstraint("status BETWEEN 200 AND 299", name="only_successes_are_kept"),
        CheckConstraint("octet_length(request_hash) = 32", name="request_hash_is_sha256"),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    actor: Mapped[TextKey]
    key: Mapped[TextKey]
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[Moment]
