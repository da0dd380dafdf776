"""Requests and answers of the ledger."""

import re
from datetime import date, datetime
from typing import Annotated, NamedTuple
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema

from shared.bookkeeping.accounts import Side
from shared.web.fields import UtcTime
from shared.web.pages import PageRequest

ACCOUNT_CODE = r"^[a-z_]{1,32}(:[A-Za-z0-9_-]{1,64}){1,3}$"
JOURNAL_KIND = r"^J[0-9]{1,3}[a-z]?$"
_LINE_MAX = 32_767
# Dates in this form sort as texts.
_YEAR_MIN, _YEAR_MAX = "2000", "2200"
_PLAIN_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _to_end_of_day(given: object) -> object:
    """Turn a plain date into the last instant of that accounting day, in city time."""
    if isinstance(given, str) and _PLAIN_DATE.fullmatch(given):
        return f"{given}T23:59:59.999999+08:00"
    return given


def _to_day(given: object) -> object:
    if isinstance(given, str) and _PLAIN_DATE.fullmatch(given) and _YEAR_MIN <= given <= _YEAR_MAX:
        return date.fromisoformat(given)
    if type(given) is date:
        return given
    raise ValueError("must be a date of the years 2000 to 2199, as 2026-05-01")


Day = Annotated[
    date,
    BeforeValidator(_to_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-05-01"]}),
]
"""An accounting day (会计日) in Asia/Shanghai."""

AsOf = Annotated[
    UtcTime,
    BeforeValidator(_to_end_of_day),
    WithJsonSchema(
        {
            "type": "string",
            "examples": ["2026-05-01T10:00:00Z", "2026-05-01"],
            "description": "What was posted up to this time; a date stands for the end of that "
            "accounting day in Asia/Shanghai. Left out: everything.",
        }
    ),
]


class BookRequest(BaseModel):
    """A query on one programme's book.

    An unknown parameter is refused: a restriction that was misspelt, or is not built, and was
    ignored would give wrong figures.
    """

    model_config = ConfigDict(extra="forbid")

    programme_id: str


class BalanceRequest(BookRequest):
    as_of: AsOf | None = None


class BookPageRequest(BookRequest, PageRequest):
    """A query on a list of one programme's book."""


class JournalsRequest(BookPageRequest):
    kind: Annotated[str | None, Field(pattern=JOURNAL_KIND, examples=["J6"])] = None


class AccountPosition(NamedTuple):
    """Where a page of accounts ended."""

    code: Annotated[str, Field(pattern=ACCOUNT_CODE)]


class JournalPosition(NamedTuple):
    """Where a page of journals ended."""

    posted_at: UtcTime
    journal_id: UUID


class TransferPosition(NamedTuple):
    """Where a page of an account's transfers ended."""

    journal_id: UUID
    line: Annotated[int, Field(ge=1, le=_LINE_MAX)]


class LedgerView(BaseModel):
    """The base of answers; they are read from rows and never changed."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class CheckView(LedgerView):
    """One invariant: how many rows break it, and the first few of them."""

    name: str
    description: str
    offenders: int
    sample: list[dict[str, JsonValue]]


class InvariantsView(LedgerView):
    sound: bool
    checks: list[CheckView]


class AccountView(LedgerView):
    """An account, with its family in the chart of accounts."""

    code: Annotated[str, Field(examples=["available:city"])]
    family: str
    chart_code: Annotated[str, Field(examples=["2001"])]
    normal_side: Side
    meaning: str


class SidedBalance(LedgerView):
    """A balance on the side on which it stands; the other side is 0."""

    code: str
    debit_fen: int
    credit_fen: int


class BalanceView(SidedBalance):
    """`balance_fen` is the balance on the account's normal side."""

    programme_id: UUID
    as_of: datetime | None
    normal_side: Side
    balance_fen: int


class TrialBalanceView(LedgerView):
    """The balances of every account that has moved; both totals are equal."""

    programme_id: UUID
    as_of: datetime | None
    accounts: list[SidedBalance]
    debit_total_fen: int
    credit_total_fen: int


class TransferView(LedgerView):
    """`amount_fen` moved from the credit side of `debit` to the credit side of `credit`."""

    line: int
    debit: str
    credit: str
    amount_fen: int


class TransferWithJournal(TransferView):
    journal_id: UUID
    kind: str
    event: str
    drop_id: UUID | None
    accounting_date: date
    posted_at: datetime


class JournalView(LedgerView):
    """The transfers of one event; `event` names it within its `kind`."""

    journal_id: UUID
    programme_id: UUID
    kind: str
    event: str
    drop_id: UUID | None
    accounting_date: date
    posted_at: datetime
    actor: str
    transfers: list[TransferView]
