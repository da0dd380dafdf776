"""Schema `campaign`, who takes vouchers: merchants, the programmes they are in, their terminals.

Written by services.campaign, approved and suspended through `campaign.change_merchant` and
`campaign.suspend_terminal`.
"""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.campaign import CITIES
from shared.tables.model import CityKey, Key, Model, Moment, Reference


class Merchant(Model):
    """A shop that may take vouchers once a second person has approved it."""

    __tablename__ = "merchants"
    __table_args__ = (
        ForeignKeyConstraint(["city_id"], [CITIES], name="merchants_city_fkey"),
        CheckConstraint("name <> ''", name="merchant_has_a_name"),
        CheckConstraint(
            "state IN ('pending', 'active', 'suspended')", name="merchant_state_is_known"
        ),
        CheckConstraint(
            "(state <> 'active' OR approved_at IS NOT NULL)"
            " AND (approved_at IS NULL) = (approved_by IS NULL)",
            name="active_merchants_were_approved",
        ),
        CheckConstraint("approved_by <> created_by", name="merchants_need_a_second_person"),
        CheckConstraint(
            "(state = 'suspended') = (suspended_at IS NOT NULL)"
            " AND (suspended_at IS NULL) = (suspended_by IS NULL)",
            name="suspended_merchants_say_when",
        ),
        CheckConstraint("mcc ~ '^[0-9]{4}$'", name="mcc_is_four_digits"),
        CheckConstraint("region_code ~ '^[0-9]{6}$'", name="region_code_is_six_digits"),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    merchant_id: Mapped[Key]
    name: Mapped[str] = mapped_column(Text)
    categories: Mapped[list[str]] = mapped_column(ARRAY(Text))
    mcc: Mapped[str | None] = mapped_column(Text)
    region_code: Mapped[str | None] = mapped_column(Text)
    payout_account: Mapped[str | None] = mapped_column(Text)
    wallet_id: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    created_by: Mapped[str] = mapped_column(Text)
    approved_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    approved_by: Mapped[str | None] = mapped_column(Text)
    suspended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    suspended_by: Mapped[str | None] = mapped_column(Text)


class Enrolment(Model):
    """A programme in which a merchant takes part."""

    __tablename__ = "enrolments"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "merchant_id"],
            ["campaign.merchants.city_id", "campaign.merchants.merchant_id"],
            name="enrolments_merchant_fkey",
        ),
        ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="enrolments_programme_fkey",
        ),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    merchant_id: Mapped[Key]
    programme_id: Mapped[Key]


class Terminal(Model):
    """A till. Its secret is derived from the deployment's key and `key_id`, and never stored."""

    __tablename__ = "terminals"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "merchant_id"],
            ["campaign.merchants.city_id", "campaign.merchants.merchant_id"],
            name="terminals_merchant_fkey",
        ),
        UniqueConstraint("city_id", "key_id", name="terminals_key_id_key"),
        CheckConstraint("state IN ('active', 'suspended')", name="terminal_state_is_known"),
        CheckConstraint(
            "(state = 'suspended') = (suspended_at IS NOT NULL)"
            " AND (suspended_at IS NULL) = (suspended_by IS NULL)",
            name="suspended_terminals_say_when",
        ),
        Index("terminals_by_merchant", "city_id", "merchant_id", "created_at"),
        {"schema": "campaign"},
    )
    city_id: Mapped[CityKey]
    terminal_id: Mapped[Key]
    merchant_id: Mapped[Reference]
    key_id: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Moment]
    created_by: Mapped[str] = mapped_column(Text)
    suspended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    suspended_by: Mapped[str | None] = mapped_column(Text)
