"""Schema `ledger`: accounts, journals, transfers.

Written by `ledger.post` alone, and never updated or deleted; only the balance rows of guarded
accounts move, in the same call.
"""

from datetime import date
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from shared.tables.model import CityKey, Fen, Key, Model, Moment, Reference, TextKey


class TransactionId(UserDefinedType[str]):
    """`xid8`: the writing transaction, so that a rollup can stop below the oldest running one."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


class AccountFamily(Model):
    """The chart of accounts, copied from `shared.bookkeeping.accounts` at migration."""

    __tablename__ = "account_families"
    __table_args__ = (
        CheckConstraint("normal_side IN ('debit', 'credit')", name="normal_side_is_known"),
        {"schema": "ledger"},
    )
    family: Mapped[TextKey]
    code: Mapped[str] = mapped_column(Text)
    normal_side: Mapped[str] = mapped_column(Text)
    guarded: Mapped[bool] = mapped_column(Boolean)
    meaning: Mapped[str] = mapped_column(Text)


class Account(Model):
    """An account of one programme's book, by its code `family:part:part`."""

    __tablename__ = "accounts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="accounts_programme_fkey",
        ),
        # True of every row, as for transfers: each transfer looks both its accounts up by id.
        Index(
            "accounts_code_key",
            "city_id",
            "programme_id",
            "code",
            unique=True,
            postgresql_where=text("code IS NOT NULL"),
        ),
        CheckConstraint("split_part(code, ':', 1) = family", name="code_begins_with_its_family"),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    programme_id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    code: Mapped[str] = mapped_column(Text)
    family: Mapped[str] = mapped_column(
        Text, ForeignKey("ledger.account_families.family", name="accounts_family_fkey")
    )


class Balance(Model):
    """The guarded balance of a cold account that must not go below zero, on its normal side."""

    __tablename__ = "balances"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id", "account_id"],
            [
                "ledger.accounts.city_id",
                "ledger.accounts.programme_id",
                "ledger.accounts.account_id",
            ],
            name="balances_account_fkey",
        ),
        CheckConstraint("balance_fen >= 0", name="balance_is_not_negative"),
        {"schema": "ledger", "postgresql_with": {"fillfactor": "50"}},
    )
    city_id: Mapped[CityKey]
    programme_id: Mapped[Key]
    account_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    balance_fen: Mapped[Fen]


class Journal(Model):
    """The transfers of one event. Its identity is (city, kind, event): a retry posts nothing."""

    __tablename__ = "journals"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "programme_id"],
            ["campaign.programmes.city_id", "campaign.programmes.programme_id"],
            name="journals_programme_fkey",
        ),
        UniqueConstraint("city_id", "journal_id", "programme_id", name="journals_book_key"),
        CheckConstraint("kind ~ '^J[0-9]+[a-z]?$'", name="journal_kind_is_a_number"),
        # True of every row, as for transfers: each transfer looks its journal up by id.
        Index(
            "journals_identity_key",
            "city_id",
            "kind",
            "event",
            unique=True,
            postgresql_where=text("event IS NOT NULL"),
        ),
        Index(
            "journals_by_programme",
            "city_id",
            "programme_id",
            "posted_at",
            postgresql_where=text("posted_at IS NOT NULL"),
        ),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    journal_id: Mapped[Key]
    programme_id: Mapped[Reference]
    kind: Mapped[str] = mapped_column(Text)
    event: Mapped[str] = mapped_column(Text)
    drop_id: Mapped[UUID | None] = mapped_column(Uuid)
    reverses_id: Mapped[UUID | None] = mapped_column(Uuid)
    accounting_date: Mapped[date] = mapped_column(Date)
    posted_at: Mapped[Moment]
    actor: Mapped[str] = mapped_column(Text)
    posted_xid: Mapped[str] = mapped_column(
        TransactionId, server_default=text("pg_current_xact_id()")
    )


class Transfer(Model):
    """One movement of money: one debit account, one credit account, one positive amount."""

    __tablename__ = "transfers"
    __table_args__ = (
        ForeignKeyConstraint(
            ["city_id", "journal_id", "programme_id"],
            [
                "ledger.journals.city_id",
                "ledger.journals.journal_id",
                "ledger.journals.programme_id",
            ],
            name="transfers_journal_fkey",
        ),
        # Both accounts carry the journal's programme: a transfer between two books is unwritable.
        ForeignKeyConstraint(
            ["city_id", "programme_id", "debit_account_id"],
            [
                "ledger.accounts.city_id",
                "ledger.accounts.programme_id",
                "ledger.accounts.account_id",
            ],
            name="transfers_debit_account_fkey",
        ),
        ForeignKeyConstraint(
            ["city_id", "programme_id", "credit_account_id"],
            [
                "ledger.accounts.city_id",
                "ledger.accounts.programme_id",
                "ledger.accounts.account_id",
            ],
            name="transfers_credit_account_fkey",
        ),
        CheckConstraint("amount_fen > 0", name="transfer_amount_is_positive"),
        CheckConstraint(
            "debit_account_id <> credit_account_id", name="transfer_moves_between_accounts"
        ),
        CheckConstraint("line >= 1", name="lines_count_from_one"),
        Index(
            "transfers_by_debit",
            "city_id",
            "programme_id",
            "debit_account_id",
            "journal_id",
            "line",
            # True of every row: without it, a search by the other side would read this one, as all
            # indexes of a table known to be empty cost the same.
            postgresql_where=text("debit_account_id IS NOT NULL"),
        ),
        Index(
            "transfers_by_credit",
            "city_id",
            "programme_id",
            "credit_account_id",
            "journal_id",
            "line",
            postgresql_where=text("credit_account_id IS NOT NULL"),
        ),
        {"schema": "ledger"},
    )
    city_id: Mapped[CityKey]
    journal_id: Mapped[Key]
    line: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    programme_id: Mapped[Reference]
    debit_account_id: Mapped[int] = mapped_column(BigInteger)
    credit_account_id: Mapped[int] = mapped_column(BigInteger)
    amount_fen: Mapped[Fen]
    posted_xid: Mapped[str] = mapped_column(
        TransactionId, server_default=text("pg_current_xact_id()")
    )
