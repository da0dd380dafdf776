"""What finance reads: balances, accounts, and what was booked on them."""

from services.ledger import queries
from services.ledger.paging import page_of
from services.ledger.queries import Turnover
from services.ledger.schemas import (
    AccountPosition,
    AccountView,
    BalanceRequest,
    BalanceView,
    BookPageRequest,
    JournalPosition,
    JournalsRequest,
    JournalView,
    SidedBalance,
    TransferPosition,
    TransferWithJournal,
    TrialBalanceView,
)
from services.ledger.visibility import reading, reading_book
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import NotFound
from shared.ids import parse_id
from shared.invariant import invariant
from shared.web.pages import Cursor, Page

_ACCOUNTS = Cursor(AccountPosition)
_TRANSFERS = Cursor(TransferPosition)
_JOURNALS = Cursor(JournalPosition)


async def trial_balance(
    database: Database, staff: Principal, wanted: BalanceRequest
) -> TrialBalanceView:
    """Return every balance of a book, each on its side.

    Raises:
        NotFound: no such programme is visible.
    """
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        moved = await queries.turnovers(session, programme_id, as_of=wanted.as_of)
    balances = [_on_its_side(turnover) for turnover in moved]
    debit_total_fen = sum(balance.debit_fen for balance in balances)
    credit_total_fen = sum(balance.credit_fen for balance in balances)
    invariant(
        debit_total_fen == credit_total_fen,
        f"the book of {programme_id} has {debit_total_fen} fen of debit balances"
        f" and {credit_total_fen} fen of credit balances",
    )
    return TrialBalanceView(
        programme_id=programme_id,
        as_of=wanted.as_of,
        accounts=balances,
        debit_total_fen=debit_total_fen,
        credit_total_fen=credit_total_fen,
    )


async def balance(
    database: Database, staff: Principal, code: str, wanted: BalanceRequest
) -> BalanceView:
    """Return the balance of one account, 0 before its first transfer. Raises NotFound."""
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        account_id, account = _found(await queries.find_account(session, programme_id, code))
        moved = await queries.turnovers(
            session, programme_id, as_of=wanted.as_of, account_id=account_id
        )
    sided = _on_its_side(moved[0] if moved else Turnover(code, 0, 0))
    debit_fen = sided.debit_fen - sided.credit_fen
    return BalanceView(
        code=code,
        programme_id=programme_id,
        as_of=wanted.as_of,
        normal_side=account.normal_side,
        balance_fen=debit_fen if account.normal_side == "debit" else -debit_fen,
        debit_fen=sided.debit_fen,
        credit_fen=sided.credit_fen,
    )


async def list_accounts(
    database: Database, staff: Principal, wanted: BookPageRequest
) -> Page[AccountView]:
    """Return a page of a book's accounts by code. Raises NotFound, InvalidRequest."""
    after = _ACCOUNTS.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        found = await queries.list_accounts(
            session,
            programme_id,
            after=None if after is None else after.code,
            limit=wanted.limit + 1,
        )
    return page_of(found, wanted.limit, lambda last: _ACCOUNTS.encode(AccountPosition(last.code)))


async def list_transfers(
    database: Database, staff: Principal, code: str, wanted: BookPageRequest
) -> Page[TransferWithJournal]:
    """Return a page of an account's transfers, newest first. Raises NotFound, InvalidRequest."""
    before = _TRANSFERS.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        account_id, _ = _found(await queries.find_account(session, programme_id, code))
        found = await queries.list_transfers(
            session, programme_id, account_id, before=before, limit=wanted.limit + 1
        )
    return page_of(
        found,
        wanted.limit,
        lambda last: _TRANSFERS.encode(TransferPosition(last.journal_id, last.line)),
    )


async def list_journals(
    database: Database, staff: Principal, wanted: JournalsRequest
) -> Page[JournalView]:
    """Return a page of a book's journals, newest first. Raises NotFound, InvalidRequest."""
    before = _JOURNALS.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        found = await queries.list_journals(
            session, programme_id, kind=wanted.kind, before=before, limit=wanted.limit + 1
        )
    return page_of(
        found,
        wanted.limit,
        lambda last: _JOURNALS.encode(JournalPosition(last.posted_at, last.journal_id)),
    )


async def find_journal(database: Database, staff: Principal, journal_id: str) -> JournalView:
    """Return one journal of any book the caller may see. Raises NotFound."""
    parsed = parse_id(journal_id)
    if parsed is not None:
        async with reading(database, staff) as session:
            journal = await queries.find_journal(session, parsed)
        if journal is not None:
            return journal
    raise NotFound("There is no such journal.")


def _found(account: tuple[int, AccountView] | None) -> tuple[int, AccountView]:
    if account is None:
        raise NotFound("This book has no such account.")
    return account


def _on_its_side(turnover: Turnover) -> SidedBalance:
    debit_fen = turnover.debited_fen - turnover.credited_fen
    return SidedBalance(
        code=turnover.code, debit_fen=max(debit_fen, 0), credit_fen=max(-debit_fen, 0)
    )
