"""Taking in the files of banks and operators: checked whole, then kept as they came."""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.ledger import reconciliation_queries as queries
from services.ledger.paging import page_of
from services.ledger.reconciliation_schemas import (
    Direction,
    LinePosition,
    LinesRequest,
    StatementFormat,
    StatementLineView,
    StatementsRequest,
    StatementView,
    UploadRequest,
)
from services.ledger.visibility import reading, reading_book, visible_programme
from shared.auth.principals import Principal
from shared.bookkeeping.accounts import bank, wallet
from shared.db.database import Database
from shared.errors import InvalidRequest, NotFound
from shared.formats import bank_statement, ecny_daily
from shared.formats.faults import FormatFault
from shared.ids import city_of, new_id, parse_id
from shared.web.idempotency import Attempt, Created, create_once
from shared.web.pages import Cursor, Page

_STATEMENTS = Cursor(UUID)
_LINES = Cursor(LinePosition)
_KEEP = text("""
    SELECT * FROM ledger.keep_statement(
        CAST(:city_id AS smallint), :programme_id, :statement_id, :format, :account,
        CAST(:day AS date), CAST(:content AS bytea), CAST(:totals AS jsonb),
        CAST(:line_nos AS integer[]), CAST(:directions AS text[]), CAST(:amount_fens AS bigint[]),
        CAST(:end_to_end_nos AS text[]), CAST(:channel_nos AS text[]),
        CAST(:happened_ats AS timestamptz[]), CAST(:raws AS text[]), CAST(:faults AS text[]),
        :actor
    )
""")


class Upload(BaseModel):
    """What identifies an upload: the same file for the same programme is the same request."""

    programme_id: str
    format: StatementFormat
    sha256: str


class _Row(NamedTuple):
    """A row of either format; one in quarantine has a fault and is kept raw."""

    line_no: int
    direction: Direction | None = None
    amount_fen: int | None = None
    end_to_end_no: str | None = None
    channel_no: str | None = None
    happened_at: datetime | None = None
    raw: str | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _File:
    """A statement that was read: `named` is the account as its file calls it.

    `columns` are its rows as the database takes them: one array for each field of `_Row`.
    """

    account: str
    named: str
    day: date
    totals: dict[str, int]
    columns: dict[str, list[object]]


def identify_upload(wanted: UploadRequest, content: bytes) -> Upload:
    return Upload(
        programme_id=wanted.programme_id,
        format=wanted.format,
        sha256=hashlib.sha256(content).hexdigest(),
    )


async def take_statement(
    database: Database,
    finance: Principal,
    attempt: Attempt,
    wanted: UploadRequest,
    content: bytes,
) -> Created[StatementView]:
    """Check a file and keep it, or find what the same bytes became before.

    Raises:
        NotFound: no such programme is visible.
        InvalidRequest: it is not a sound file of its format, or of another programme's account;
            every fault is named, nothing is kept.
    """
    programme_id = await visible_programme(database, finance, wanted.programme_id)
    city_id = city_of(programme_id)
    # A file of megabytes takes a second to read: other requests must not wait for it.
    file = await asyncio.to_thread(_read, wanted.format, content)
    if isinstance(file, FormatFault):
        raise _invalid(file.faults)
    if file.named != str(programme_id):
        raise _invalid([f"the file is of the account {file.named[:80]}, not of this programme"])

    async def create(session: AsyncSession) -> StatementView:
        kept = await session.execute(
            _KEEP,
            {
                "city_id": city_id,
                "programme_id": programme_id,
                "statement_id": new_id(city_id),
                "format": wanted.format,
                "account": file.account,
                "day": file.day,
                "content": content,
                "totals": json.dumps(file.totals),
                "actor": finance.subject,
                **file.columns,
            },
        )
        statement_id, is_new = kept.one()
        found = _found(await queries.find_statement(session, statement_id))
        return found.model_copy(update={"duplicate": not is_new})

    return await create_once(database, city_id, attempt, StatementView, create)


def _invalid(faults: Iterable[str]) -> InvalidRequest:
    return InvalidRequest(
        "Nothing of this file was taken.",
        extra={"fields": [{"loc": ["body"], "msg": fault} for fault in faults]},
    )


def _columns(rows: Sequence[_Row]) -> dict[str, list[object]]:
    return {f"{name}s": [row[at] for row in rows] for at, name in enumerate(_Row._fields)}


def _read(form: StatementFormat, content: bytes) -> _File | FormatFault:
    return _read_bank_statement(content) if form == "bank-statement" else _read_daily(content)


def _read_bank_statement(content: bytes) -> _File | FormatFault:
    statement = bank_statement.parse(content)
    if isinstance(statement, FormatFault):
        return statement
    rows = [
        _Row(number, row.direction, row.amount_fen, row.reference, row.bank_txn_no)
        for number, row in statement.rows
    ]
    rows += [_Row(row.row_no, raw=row.raw, fault=row.reason) for row in statement.quarantined]
    return _File(bank(), statement.account, statement.day, statement.totals, _columns(rows))


def _read_daily(content: bytes) -> _File | FormatFault:
    daily = ecny_daily.parse(content)
    if isinstance(daily, FormatFault):
        return daily
    rows = [
        _Row(
            number,
            "in" if row.kind in ecny_daily.INCOMING else "out",
            row.amount_fen,
            row.end_to_end_no,
            row.operator_txn_no,
            row.completed_at,
        )
        for number, row in daily.rows
    ]
    rows += [_Row(row.row_no, raw=row.raw, fault=row.reason) for row in daily.quarantined]
    return _File(wallet(), daily.wallet, daily.day, daily.totals, _columns(rows))


async def visible_statement(
    database: Database, staff: Principal, statement_id: str
) -> StatementView:
    """Find a statement by the id a client sent. Raises NotFound."""
    parsed = parse_id(statement_id)
    if parsed is None:
        return _found(None)
    async with reading(database, staff) as session:
        return _found(await queries.find_statement(session, parsed))


async def list_statements(
    database: Database, staff: Principal, wanted: StatementsRequest
) -> Page[StatementView]:
    """Return a page of a programme's statements, last first. Raises NotFound, InvalidRequest."""
    before = _STATEMENTS.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        found = await queries.list_statements(
            session, programme_id, wanted, before=before, limit=wanted.limit + 1
        )
    return page_of(found, wanted.limit, lambda last: _STATEMENTS.encode(last.statement_id))


async def list_lines(
    database: Database, staff: Principal, statement_id: str, wanted: LinesRequest
) -> Page[StatementLineView]:
    """Return a page of a statement's rows. Raises NotFound, InvalidRequest."""
    after = _LINES.decode(wanted.cursor)
    statement = await visible_statement(database, staff, statement_id)
    async with reading(database, staff) as session:
        found = await queries.list_lines(
            session,
            statement.statement_id,
            quarantined=wanted.quarantined,
            after=0 if after is None else after.line_no,
            limit=wanted.limit + 1,
        )
    return page_of(found, wanted.limit, lambda last: _LINES.encode(LinePosition(last.line_no)))


def _found(statement: StatementView | None) -> StatementView:
    if statement is None:
        raise NotFound("There is no such statement.")
    return statement
