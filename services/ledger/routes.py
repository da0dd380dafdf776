"""The HTTP side of the books."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from services.ledger import auditing, statements
from services.ledger.resources import Opened
from services.ledger.schemas import (
    ACCOUNT_CODE,
    AccountView,
    BalanceRequest,
    BalanceView,
    BookPageRequest,
    InvariantsView,
    JournalsRequest,
    JournalView,
    TransferWithJournal,
    TrialBalanceView,
)
from services.ledger.staff import Reader
from shared.errors import NotFound
from shared.web.pages import Page
from shared.web.problems import problems

router = APIRouter(prefix="/v1", tags=["ledger"])

AccountCode = Annotated[
    str,
    Path(
        pattern=ACCOUNT_CODE,
        description="`family:part:part`, as in the list of accounts.",
        examples=["available:city"],
    ),
]


@router.get("/invariants")
async def check_invariants(reader: Reader, opened: Opened) -> InvariantsView:
    """Check every invariant over the cities of the token, the gates of their drops included."""
    return await auditing.audit(opened, reader)


@router.get("/trial-balance", responses=problems(NotFound))
async def read_trial_balance(
    reader: Reader, opened: Opened, wanted: Annotated[BalanceRequest, Query()]
) -> TrialBalanceView:
    """The balances of a programme's accounts, each on its side; both totals are equal."""
    return await statements.trial_balance(opened.database, reader, wanted)


@router.get("/accounts", responses=problems(NotFound))
async def list_accounts(
    reader: Reader, opened: Opened, wanted: Annotated[BookPageRequest, Query()]
) -> Page[AccountView]:
    """The accounts of a programme's book, by code."""
    return await statements.list_accounts(opened.database, reader, wanted)


@router.get("/accounts/{code}/balance", responses=problems(NotFound))
async def read_balance(
    reader: Reader, opened: Opened, code: AccountCode, wanted: Annotated[BalanceRequest, Query()]
) -> BalanceView:
    """The balance of one account; 0 before its first transfer."""
    return await statements.balance(opened.database, reader, code, wanted)


@router.get("/accounts/{code}/transfers", responses=problems(NotFound))
async def list_transfers(
    reader: Reader, opened: Opened, code: AccountCode, wanted: Annotated[BookPageRequest, Query()]
) -> Page[TransferWithJournal]:
    """What was booked on one account, the newest first."""
    return await statements.list_transfers(opened.database, reader, code, wanted)


@router.get("/journals", responses=problems(NotFound))
async def list_journals(
    reader: Reader, opened: Opened, wanted: Annotated[JournalsRequest, Query()]
) -> Page[JournalView]:
    """The journals of a programme's book with their transfers, the newest first."""
    return await statements.list_journals(opened.database, reader, wanted)


@router.get("/journals/{journal_id}", responses=problems(NotFound))
async def read_journal(reader: Reader, opened: Opened, journal_id: str) -> JournalView:
    """One journal with its transfers."""
    return await statements.find_journal(opened.database, reader, journal_id)
