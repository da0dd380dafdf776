"""What the books hold. Row-level security holds every statement to the caller's cities.

A balance is a sum over transfers: hot accounts are insert-only and keep none.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Subquery,
    and_,
    cast,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from services.ledger.schemas import (
    AccountView,
    JournalPosition,
    JournalView,
    TransferPosition,
    TransferView,
    TransferWithJournal,
)
from shared.ids import city_of
from shared.tables.campaign import Programme
from shared.tables.ledger import Account, AccountFamily, Journal, Transfer

_DEBITED = aliased(Account)
_CREDITED = aliased(Account)


@dataclass(frozen=True, slots=True)
class Turnover:
    """What was booked on each side of an account."""

    code: str
    debited_fen: int
    credited_fen: int


async def has_programme(session: AsyncSession, programme_id: UUID) -> bool:
    wanted = select(Programme.programme_id).where(
        Programme.city_id == city_of(programme_id), Programme.programme_id == programme_id
    )
    return await session.scalar(wanted) is not None


_ACCOUNTS = select(
    Account.account_id,
    Account.code,
    Account.family,
    AccountFamily.code.label("chart_code"),
    AccountFamily.normal_side,
    AccountFamily.meaning,
).join(AccountFamily, AccountFamily.family == Account.family)


async def list_accounts(
    session: AsyncSession, programme_id: UUID, *, after: str | None, limit: int
) -> list[AccountView]:
    wanted = _ACCOUNTS.where(_of_book(Account, programme_id))
    if after is not None:
        wanted = wanted.where(Account.code > after)
    found = await session.execute(wanted.order_by(Account.code).limit(limit))
    return [AccountView.model_validate(row) for row in found]


async def find_account(
    session: AsyncSession, programme_id: UUID, code: str
) -> tuple[int, AccountView] | None:
    """Return an account and its number in the book."""
    wanted = _ACCOUNTS.where(_of_book(Account, programme_id), Account.code == code)
    row = (await session.execute(wanted)).one_or_none()
    return None if row is None else (row.account_id, AccountView.model_validate(row))


async def turnovers(
    session: AsyncSession,
    programme_id: UUID,
    *,
    as_of: datetime | None,
    account_id: int | None = None,
) -> list[Turnover]:
    """Sum up the accounts of a book, or one of them, over what was posted up to a moment."""
    debited = _sums(Transfer.debit_account_id, programme_id, as_of, account_id)
    credited = _sums(Transfer.credit_account_id, programme_id, as_of, account_id)
    account = func.coalesce(debited.c.account_id, credited.c.account_id)
    wanted = (
        select(
            Account.code,
            func.coalesce(debited.c.amount_fen, 0).label("debited_fen"),
            func.coalesce(credited.c.amount_fen, 0).label("credited_fen"),
        )
        .select_from(debited)
        .join(credited, credited.c.account_id == debited.c.account_id, full=True)
        .join(Account, and_(_of_book(Account, programme_id), Account.account_id == account))
        .order_by(Account.code)
    )
    return [Turnover(*row) for row in await session.execute(wanted)]


def _sums(
    side: InstrumentedAttribute[int],
    programme_id: UUID,
    as_of: datetime | None,
    account_id: int | None,
) -> Subquery:
    wanted = (
        select(
            side.label("account_id"),
            cast(func.sum(Transfer.amount_fen), BigInteger).label("amount_fen"),
        )
        .where(_of_book(Transfer, programme_id))
        .group_by(side)
    )
    if account_id is not None:
        wanted = wanted.where(side == account_id)
    if as_of is not None:
        wanted = wanted.join(
            Journal,
            and_(Journal.city_id == Transfer.city_id, Journal.journal_id == Transfer.journal_id),
        ).where(Journal.posted_at <= as_of)
    return wanted.subquery()


_TRANSFERS = (
    select(
        Transfer.journal_id,
        Transfer.line,
        _DEBITED.code.label("debit"),
        _CREDITED.code.label("credit"),
        Transfer.amount_fen,
    )
    .join(
        _DEBITED,
        and_(
            _DEBITED.city_id == Transfer.city_id,
            _DEBITED.programme_id == Transfer.programme_id,
            _DEBITED.account_id == Transfer.debit_account_id,
        ),
    )
    .join(
        _CREDITED,
        and_(
            _CREDITED.city_id == Transfer.city_id,
            _CREDITED.programme_id == Transfer.programme_id,
            _CREDITED.account_id == Transfer.credit_account_id,
        ),
    )
)


async def list_transfers(
    session: AsyncSession,
    programme_id: UUID,
    account_id: int,
    *,
    before: TransferPosition | None,
    limit: int,
) -> list[TransferWithJournal]:
    """Return the transfers of an account, newest first: journal ids grow with time."""
    # Each side by its own index, and only then together.
    newest = union_all(
        *(
            select(_newest_on(side, programme_id, account_id, before).limit(limit).subquery())
            for side in (Transfer.debit_account_id, Transfer.credit_account_id)
        )
    ).subquery()
    wanted = (
        _TRANSFERS.add_columns(
            Journal.kind,
            Journal.event,
            Journal.drop_id,
            Journal.accounting_date,
            Journal.posted_at,
        )
        .join(
            newest,
            and_(newest.c.journal_id == Transfer.journal_id, newest.c.line == Transfer.line),
        )
        .join(
            Journal,
            and_(Journal.city_id == Transfer.city_id, Journal.journal_id == Transfer.journal_id),
        )
        .where(_of_book(Transfer, programme_id))
        .order_by(Transfer.journal_id.desc(), Transfer.line.desc())
        .limit(limit)
    )
    return [TransferWithJournal.model_validate(row) for row in await session.execute(wanted)]


def _newest_on(
    side: InstrumentedAttribute[int],
    programme_id: UUID,
    account_id: int,
    before: TransferPosition | None,
) -> Select[UUID, int]:
    wanted = select(Transfer.journal_id, Transfer.line).where(
        _of_book(Transfer, programme_id), side == account_id
    )
    if before is not None:
        wanted = wanted.where(
            tuple_(Transfer.journal_id, Transfer.line)
            < tuple_(literal(before.journal_id), literal(before.line))
        )
    return wanted.order_by(Transfer.journal_id.desc(), Transfer.line.desc())


async def find_journal(session: AsyncSession, journal_id: UUID) -> JournalView | None:
    wanted = select(Journal).where(
        Journal.city_id == city_of(journal_id), Journal.journal_id == journal_id
    )
    found = await _journals(session, wanted, city_of(journal_id))
    return found[0] if found else None


async def list_journals(
    session: AsyncSession,
    programme_id: UUID,
    *,
    kind: str | None,
    before: JournalPosition | None,
    limit: int,
) -> list[JournalView]:
    """Return the journals of a book, the last posted first."""
    # The index in this order holds every row. A comparison shows the planner that it does: that
    # a column is not null, where it cannot be, is forgotten before an index is chosen.
    wanted = select(Journal).where(
        _of_book(Journal, programme_id), Journal.posted_at <= literal_column("'infinity'")
    )
    if kind is not None:
        wanted = wanted.where(Journal.kind == kind)
    if before is not None:
        wanted = wanted.where(
            tuple_(Journal.posted_at, Journal.journal_id)
            < tuple_(literal(before.posted_at), literal(before.journal_id))
        )
    wanted = wanted.order_by(Journal.posted_at.desc(), Journal.journal_id.desc()).limit(limit)
    return await _journals(session, wanted, city_of(programme_id))


async def _journals(
    session: AsyncSession, wanted: Select[Journal], city_id: int
) -> list[JournalView]:
    journals = (await session.scalars(wanted)).all()
    transfers: dict[UUID, list[TransferView]] = defaultdict(list)
    moved = _TRANSFERS.where(
        Transfer.city_id == city_id,
        Transfer.journal_id.in_([journal.journal_id for journal in journals]),
    ).order_by(Transfer.journal_id, Transfer.line)
    for row in await session.execute(moved):
        transfers[row.journal_id].append(TransferView.model_validate(row))
    return [
        JournalView(
            journal_id=journal.journal_id,
            programme_id=journal.programme_id,
            kind=journal.kind,
            event=journal.event,
            drop_id=journal.drop_id,
            accounting_date=journal.accounting_date,
            posted_at=journal.posted_at,
            actor=journal.actor,
            transfers=transfers[journal.journal_id],
        )
        for journal in journals
    ]


def _of_book(table: type[Account | Transfer | Journal], programme_id: UUID) -> ColumnElement[bool]:
    return and_(table.city_id == city_of(programme_id), table.programme_id == programme_id)
