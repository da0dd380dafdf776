"""Schema `ledger`, what others say: statements, their matching with the books, and the breaks."""

from datetime import date, datetime
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
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.tables.model import CityKey, Fen, Key, Model, Moment, Reference

_STATEMENT = ["ledger.statements.city_id", "ledger.statements.statement_id"]
_RUN = ["ledger.reconciliations.city_id", "ledger.reconciliations.reconciliation_id"]


class Statement(Model):
    """A file of a bank or operator about one account and day, kept as it came."""

    __tablename__ = "statements"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="statements_programme_fkey",
        ),
        CheckConstraint(
            "format IN ('ecny-daily', 'bank-statement')", name="statement_format_is_known"
        ),
        CheckConstraint("octet_length(sha256) = 32", name="statement_hash_is_sha256"),
        CheckConstraint("version >= 1", name="statement_versions_count_from_one"),
        CheckConstraint("quarantined BETWEEN 0 AND lines", name="statement_lines_are_counted"),
        # The same file again is the same statement.
        UniqueConstraint("city_id", "programme_id", "sha256", name="statements_file_key"),
        UniqueConstraint(
            "city_id", "programme_id", "account", "day", "version", name="statements_version_key"
        ),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    statement_id: Mapped[Key]
    programme_id: Mapped[Reference]
    format: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column(Date)
    version: Mapped[int] = mapped_column(SmallInteger)
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[bytes] = mapped_column(LargeBinary)
    totals: Mapped[dict[str, int]] = mapped_column(JSONB)
    lines: Mapped[int] = mapped_column(Integer)
    quarantined: Mapped[int] = mapped_column(Integer)
    uploaded_at: Mapped[Moment]
    uploaded_by: Mapped[str] = mapped_column(Text)


class StatementLine(Model):
    """One row of a statement.

    `fault` says why a row is in quarantine, where it matches nothing; `raw` is such a row as it
    came. `channel_no` is the number that the bank or operator gave it.
    """

    __tablename__ = "statement_lines"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "statement_id"], _STATEMENT, name="statement_lines_statement_fkey"
        ),
        CheckConstraint("line_no >= 1", name="statement_lines_count_from_one"),
        CheckConstraint("direction IN ('in', 'out')", name="statement_direction_is_known"),
        CheckConstraint(
            "fault IS NOT NULL OR (direction IS NOT NULL AND amount_fen IS NOT NULL"
            " AND amount_fen > 0 AND end_to_end_no IS NOT NULL)",
            name="statement_line_is_readable",
        ),
        CheckConstraint("(fault IS NULL) = (raw IS NULL)", name="quarantine_keeps_the_row"),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    statement_id: Mapped[Key]
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    direction: Mapped[str | None] = mapped_column(Text)
    amount_fen: Mapped[int | None] = mapped_column(BigInteger)
    end_to_end_no: Mapped[str | None] = mapped_column(Text)
    channel_no: Mapped[str | None] = mapped_column(Text)
    happened_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    raw: Mapped[str | None] = mapped_column(Text)
    fault: Mapped[str | None] = mapped_column(Text)


class Reconciliation(Model):
    """One run over one statement. The same inputs give the same `result_hash`.

    `is_continuous`: the statement opens with the balance with which the one before closed; None
    where it states none. `missing_days`: the books moved, and there is no statement.
    """

    __tablename__ = "reconciliations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "statement_id"], _STATEMENT, name="reconciliations_statement_fkey"
        ),
        CheckConstraint("octet_length(result_hash) = 32", name="result_hash_is_sha256"),
        Index("reconciliations_by_statement", "city_id", "statement_id", "run_at"),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    reconciliation_id: Mapped[Key]
    programme_id: Mapped[Reference]
    statement_id: Mapped[Reference]
    lines: Mapped[int] = mapped_column(Integer)
    movements: Mapped[int] = mapped_column(Integer)
    matched: Mapped[int] = mapped_column(Integer)
    differences: Mapped[int] = mapped_column(Integer)
    difference_fen: Mapped[Fen]
    is_continuous: Mapped[bool | None] = mapped_column(Boolean)
    missing_days: Mapped[list[date]] = mapped_column(ARRAY(Date))
    waterfall: Mapped[dict[str, int | None]] = mapped_column(JSONB)
    result_hash: Mapped[bytes] = mapped_column(LargeBinary)
    run_at: Mapped[Moment]
    run_by: Mapped[str] = mapped_column(Text)


class Match(Model):
    """A line of a statement and the journal it speaks of; a run consumes both."""

    __tablename__ = "matches"
    __table_args__ = (
        ForeignKeyConstraint(["city_id", "reconciliation_id"], _RUN, name="matches_run_fkey"),
        UniqueConstraint(
            "city_id", "reconciliation_id", "journal_id", name="matches_consume_the_books"
        ),
        CheckConstraint("pass BETWEEN 1 AND 9", name="match_pass_is_known"),
        Index("matches_by_journal", "city_id", "journal_id"),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    reconciliation_id: Mapped[Key]
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    journal_id: Mapped[Reference]
    pass_: Mapped[int] = mapped_column("pass", SmallInteger)


_BREAK_TYPES = (
    "type IN ('missing_in_ledger', 'missing_in_channel', 'amount', 'duplicate', 'direction',"
    " 'unreadable', 'balance')"
)


class Difference(Model):
    """What a run found that is not the same on both sides, as it was then.

    `statement_fen` and `booked_fen` count money in above zero and money out below.
    """

    __tablename__ = "differences"
    __table_args__ = (
        ForeignKeyConstraint(["city_id", "reconciliation_id"], _RUN, name="differences_run_fkey"),
        ForeignKeyConstraint(
            ["city_id", "break_id"],
            ["ledger.breaks.city_id", "ledger.breaks.break_id"],
            name="differences_break_fkey",
        ),
        CheckConstraint(_BREAK_TYPES, name="difference_type_is_known"),
        CheckConstraint("place >= 1", name="differences_count_from_one"),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    reconciliation_id: Mapped[Key]
    place: Mapped[int] = mapped_column(Integer, primary_key=True)
    type: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    line_no: Mapped[int | None] = mapped_column(Integer)
    journal_id: Mapped[UUID | None] = mapped_column(Uuid)
    end_to_end_no: Mapped[str | None] = mapped_column(Text)
    statement_fen: Mapped[int | None] = mapped_column(BigInteger)
    booked_fen: Mapped[int | None] = mapped_column(BigInteger)
    difference_fen: Mapped[Fen]
    happened_on: Mapped[date] = mapped_column(Date)
    break_id: Mapped[Reference]


class Break(Model):
    """A difference between a statement and the books, until two persons have settled it.

    `difference_fen` is what the account has more than the books say: above zero 长款, which J24
    books once approved, below zero 短款 (J25). It never changes, since `subject` names the amounts:
    another difference is another break. `cleared_at`: a later run did not find it any more.
    """

    __tablename__ = "breaks"
    __table_args__ = (
        ForeignKeyConstraint(["city_id", "statement_id"], _STATEMENT, name="breaks_statement_fkey"),
        ForeignKeyConstraint(["city_id", "reconciliation_id"], _RUN, name="breaks_run_fkey"),
        CheckConstraint(_BREAK_TYPES, name="break_type_is_known"),
        CheckConstraint(
            "state IN ('open', 'proposed', 'posted', 'accepted', 'cleared')",
            name="break_state_is_known",
        ),
        CheckConstraint(
            "state NOT IN ('proposed', 'posted', 'accepted')"
            " OR (proposal IS NOT NULL AND proposed_by IS NOT NULL AND proposed_at IS NOT NULL)",
            name="proposals_say_by_whom",
        ),
        CheckConstraint("proposal IN ('post', 'accept')", name="proposal_is_known"),
        CheckConstraint(
            "(state IN ('posted', 'accepted')) = (approved_by IS NOT NULL)",
            name="settled_breaks_were_approved",
        ),
        CheckConstraint("approved_by <> proposed_by", name="breaks_need_a_second_person"),
        CheckConstraint("(state = 'posted') = (journal_id IS NOT NULL)", name="posted_is_booked"),
        CheckConstraint(
            "difference_fen <> 0 OR proposal IS DISTINCT FROM 'post'", name="posted_is_something"
        ),
        CheckConstraint(
            "state <> 'cleared' OR cleared_at IS NOT NULL", name="cleared_breaks_say_when"
        ),
        # A rerun, and a run over a file that was issued again, find the break found before.
        UniqueConstraint(
            "city_id", "programme_id", "account", "subject", name="breaks_identity_key"
        ),
        Index("breaks_by_state", "city_id", "programme_id", "state", "opened_at"),
        Index(
            "breaks_by_journal",
            "city_id",
            "booked_journal_id",
            postgresql_where=text("booked_journal_id IS NOT NULL"),
        ),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    break_id: Mapped[Key]
    programme_id: Mapped[Reference]
    statement_id: Mapped[Reference]
    reconciliation_id: Mapped[Reference]
    account: Mapped[str] = mapped_column(Text)
    type: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    line_no: Mapped[int | None] = mapped_column(Integer)
    booked_journal_id: Mapped[UUID | None] = mapped_column(Uuid)
    end_to_end_no: Mapped[str | None] = mapped_column(Text)
    statement_fen: Mapped[int | None] = mapped_column(BigInteger)
    booked_fen: Mapped[int | None] = mapped_column(BigInteger)
    difference_fen: Mapped[Fen]
    happened_on: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(Text, server_default=text("'open'"))
    opened_at: Mapped[Moment]
    proposal: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    proposed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    proposed_by: Mapped[str | None] = mapped_column(Text)
    approved_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    approved_by: Mapped[str | None] = mapped_column(Text)
    journal_id: Mapped[UUID | None] = mapped_column(Uuid)
    cleared_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
