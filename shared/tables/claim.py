"""Schema `claim`: persons, claims, cohorts.

Written by the functions `claim.*` alone; the arrival log (`attempts`) is the one table that the
claim service fills by itself.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.model import CityKey, Key, Model, Moment, Reference, TextKey

_DROP = ["campaign.drops.city_id", "campaign.drops.drop_id"]


class Person(Model):
    """A surrogate for somebody; says nothing about who it is."""

    __tablename__ = "persons"
    __table_args__ = (
        ForeignKeyConstraint(["city_id"], ["campaign.cities.city_id"], name="persons_city_fkey"),
        {"schema": "claim"},
    )
    city_id: Mapped[CityKey]
    person_id: Mapped[Key]
    created_at: Mapped[Moment]


class PersonIdentity(Model):
    """A keyed hash that leads to a person; destroying it leaves claims and ledger whole."""

    __tablename__ = "person_identities"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "person_id"],
            ["claim.persons.city_id", "claim.persons.person_id"],
            name="person_identities_person_fkey",
        ),
        CheckConstraint(
            "dimension IN ('subject', 'phone', 'card', 'device')", name="dimension_is_known"
        ),
        CheckConstraint("octet_length(identity_hash) = 32", name="identity_hash_is_sha256"),
        # The predicate is true of every row, and implied by a search for a person alone. On a table
        # known to be empty all indexes cost the same, and a search for a hash would take this one.
        Index(
            "person_identities_by_person",
            "city_id",
            "person_id",
            postgresql_where=text("person_id IS NOT NULL"),
        ),
        {"schema": "claim"},
    )
    city_id: Mapped[CityKey]
    dimension: Mapped[TextKey]
    key_version: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    identity_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    person_id: Mapped[Reference]
    created_at: Mapped[Moment]


class DropOrdinal(Model):
    """The ordinals 1..limit of a drop: a claim's foreign key makes a larger one unwritable."""

    __tablename__ = "drop_ordinals"
    __table_args__ = (
        ForeignKeyConstraint(["city_id", "drop_id"], _DROP, name="drop_ordinals_drop_fkey"),
        CheckConstraint("ordinal >= 1", name="ordinals_count_from_one"),
        {"schema": "claim"},
    )
    city_id: Mapped[CityKey]
    drop_id: Mapped[Key]
    ordinal: Mapped[int] = mapped_column(SmallInteger, primary_key=True)


class Claim(Model):
    """One pack of one drop for one person, under a serial that is never used again.

    `version` is the drop's version that the claim's batch made; it names the batch's journal.
    """

    __tablename__ = "claims"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "drop_id", "ordinal"],
            [
                "claim.drop_ordinals.city_id",
                "claim.drop_ordinals.drop_id",
                "claim.drop_ordinals.ordinal",
            ],
            name="claims_ordinal_fkey",
        ),
        ForeignKeyConstraint(
            ["city_id", "person_id"],
            ["claim.persons.city_id", "claim.persons.person_id"],
            name="claims_person_fkey",
        ),
        CheckConstraint("serial >= 1", name="serials_count_from_one"),
        CheckConstraint("state IN ('live', 'released')", name="claim_state_is_known"),
        CheckConstraint(
            "(state = 'live') = (released_at IS NULL)"
            " AND (state = 'live') = (released_version IS NULL)",
            name="released_claims_say_when",
        ),
        # True of every row, and implied by a search for serials: a claim is not looked up by it.
        Index(
            "claims_serial_key",
            "city_id",
            "drop_id",
            "serial",
            unique=True,
            postgresql_where=text("serial IS NOT NULL"),
        ),
        Index(
            "claims_live_person_key",
            "city_id",
            "person_id",
            "drop_id",
            "ordinal",
            unique=True,
            postgresql_where=text("state = 'live'"),
        ),
        Index(
            "claims_released_person_idx",
            "city_id",
            "person_id",
            "drop_id",
            postgresql_where=text("state = 'released'"),
        ),
        {"schema": "claim"},
    )
    city_id: Mapped[CityKey]
    claim_id: Mapped[Key]
    drop_id: Mapped[Reference]
    person_id: Mapped[Reference]
    ordinal: Mapped[int] = mapped_column(SmallInteger)
    serial: Mapped[int] = mapped_column(Integer)
    version: Mapped[int] = mapped_column(BigInteger)
    claimed_at: Mapped[Moment]
    state: Mapped[str] = mapped_column(Text)
    request_key: Mapped[str] = mapped_column(Text)
    channel: Mapped[str | None] = mapped_column(Text)
    lane: Mapped[str | None] = mapped_column(Text)
    released_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    released_version: Mapped[int | None] = mapped_column(BigInteger)


class ClaimRelease(Model):
    """A claim that was given back: the event of J7a (the pack reopens) or J7b (withdrawn)."""

    __tablename__ = "claim_releases"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "claim_id"],
            ["claim.claims.city_id", "claim.claims.claim_id"],
            name="claim_releases_claim_fkey",
        ),
        CheckConstraint("journal_kind IN ('J7a', 'J7b')", name="release_journal_is_known"),
        {"schema": "claim"},
    )
    city_id: Mapped[CityKey]
    claim_id: Mapped[Key]
    drop_id: Mapped[Reference]
    version: Mapped[int] = mapped_column(BigInteger)
    journal_kind: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    released_at: Mapped[Moment]


class ExpiryCohort(Model):
    """The vouchers of one kind that end at one instant; made with their first claim.

    `expired` repeats what `redeem.expiries` says, so that the sweep finds what is due by an index.
    """

    __tablename__ = "expiry_cohorts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "drop_id", "kind_id"],
            [
                "campaign.voucher_kinds.city_id",
                "campaign.voucher_kinds.drop_id",
                "campaign.voucher_kinds.kind_id",
            ],
            name="expiry_cohorts_kind_fkey",
        ),
        Index("expiry_cohorts_due", "city_id", "valid_until", postgresql_where=text("NOT expired")),
        {"schema": "claim"},
    )
    city_id: Mapped[CityKey]
    drop_id: Mapped[Key]
    kind_id: Mapped[TextKey]
    valid_until: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    opened_at: Mapped[Moment]
    expired: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class Attempt(Model):
    """One attempt that reached the gate, for evaluation: best effort, never on the money path."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index("attempts_by_drop", "city_id", "drop_id", "arrival_rank"),
        CheckConstraint("octet_length(holder_key) = 8", name="holder_key_is_eight_bytes"),
        {"schema": "claim"},
    )
    city_id: Mapped[CityKey]
    attempt_no: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    drop_id: Mapped[Reference]
    arrival_rank: Mapped[int] = mapped_column(BigInteger)
    arrived_at: Mapped[Moment]
    holder_key: Mapped[bytes] = mapped_column(LargeBinary)
    outcome: Mapped[str] = mapped_column(Text)
