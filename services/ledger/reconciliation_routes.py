"""The HTTP side of reconciliation."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from services.ledger import intake, reconciling, settling_breaks
from services.ledger.reconciliation_schemas import (
    BreaksRequest,
    BreakView,
    DifferencesRequest,
    DifferenceView,
    LinesRequest,
    MatchesRequest,
    MatchView,
    NewProposal,
    NewReconciliation,
    RunDetailView,
    RunsRequest,
    RunView,
    StatementLineView,
    StatementsRequest,
    StatementView,
    UploadRequest,
)
from services.ledger.refusals import (
    AlreadyProposed,
    Cleared,
    DayNotOver,
    Decided,
    InsufficientFunds,
    NothingToPost,
    NotProposed,
    Superseded,
    UnsupportedFileType,
)
from services.ledger.resources import Opened
from services.ledger.staff import CREATING_REFUSALS, Approver, Creating, Finance, Reader
from shared.errors import NotFound, SamePerson
from shared.web.pages import Page
from shared.web.problems import problems

STATEMENTS_PATH = "/v1/statements"
_MEDIA_TYPES = ("text/csv", "text/plain", "application/octet-stream")
router = APIRouter(prefix="/v1", tags=["reconciliation"])

_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            media_type: {"schema": {"type": "string", "format": "binary"}}
            for media_type in _MEDIA_TYPES
        },
    }
}


@router.post(
    "/statements",
    status_code=201,
    openapi_extra=_FILE,
    responses={
        200: {"model": StatementView, "description": "These bytes were taken before"},
        **problems(NotFound, UnsupportedFileType, *CREATING_REFUSALS),
    },
)
async def upload_statement(
    creation: Creating,
    request: Request,
    response: Response,
    wanted: Annotated[UploadRequest, Query()],
) -> StatementView:
    """Take the file of a bank or operator about one account and day, of at most 5 MiB.

    Its control totals are checked before a row is used; rows that cannot be read are quarantined.
    The same bytes again are the same statement (200); other bytes of the same account and day are
    its next version.
    """
    content = await _read_file(request)
    attempt = creation.attempt(intake.identify_upload(wanted, content))
    statement = creation.answer(
        await intake.take_statement(
            creation.opened.database, creation.finance, attempt, wanted, content
        )
    )
    if statement.duplicate:
        response.status_code = 200
    return statement


async def _read_file(request: Request) -> bytes:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in _MEDIA_TYPES:
        raise UnsupportedFileType
    return await request.body()


@router.get("/statements", responses=problems(NotFound))
async def list_statements(
    reader: Reader, opened: Opened, wanted: Annotated[StatementsRequest, Query()]
) -> Page[StatementView]:
    """The statements of a programme's accounts, the last taken first."""
    return await intake.list_statements(opened.database, reader, wanted)


@router.get("/statements/{statement_id}", responses=problems(NotFound))
async def show_statement(statement_id: str, reader: Reader, opened: Opened) -> StatementView:
    """One statement."""
    return await intake.visible_statement(opened.database, reader, statement_id)


@router.get("/statements/{statement_id}/lines", responses=problems(NotFound))
async def list_statement_lines(
    statement_id: str, reader: Reader, opened: Opened, wanted: Annotated[LinesRequest, Query()]
) -> Page[StatementLineView]:
    """The rows of a statement in their order, or only those in quarantine."""
    return await intake.list_lines(opened.database, reader, statement_id, wanted)


@router.post(
    "/reconciliations",
    status_code=201,
    responses=problems(NotFound, Superseded, DayNotOver, *CREATING_REFUSALS),
)
async def reconcile(creation: Creating, body: NewReconciliation) -> RunDetailView:
    """Compare a statement with the books. Differences become breaks, or stay those they were.

    Running again changes nothing unless the books, or other statements, have changed.
    """
    return creation.answer(
        await reconciling.reconcile(
            creation.opened.database, creation.finance, creation.attempt(body), body
        )
    )


@router.get("/reconciliations", responses=problems(NotFound))
async def list_reconciliations(
    reader: Reader, opened: Opened, wanted: Annotated[RunsRequest, Query()]
) -> Page[RunView]:
    """The runs of a programme, the last first."""
    return await reconciling.list_runs(opened.database, reader, wanted)


@router.get("/reconciliations/{reconciliation_id}", responses=problems(NotFound))
async def show_reconciliation(
    reconciliation_id: str, reader: Reader, opened: Opened
) -> RunDetailView:
    """One run: its totals, the way from the books' balance to the statement's, what is missing."""
    return await reconciling.find_run(opened.database, reader, reconciliation_id)


@router.get("/reconciliations/{reconciliation_id}/differences", responses=problems(NotFound))
async def list_differences(
    reconciliation_id: str,
    reader: Reader,
    opened: Opened,
    wanted: Annotated[DifferencesRequest, Query()],
) -> Page[DifferenceView]:
    """Everything that a run found."""
    return await reconciling.list_differences(opened.database, reader, reconciliation_id, wanted)


@router.get("/reconciliations/{reconciliation_id}/matches", responses=problems(NotFound))
async def list_matches(
    reconciliation_id: str,
    reader: Reader,
    opened: Opened,
    wanted: Annotated[MatchesRequest, Query()],
) -> Page[MatchView]:
    """The pairs of a run: a row of the statement and the journal that it speaks of."""
    return await reconciling.list_matches(opened.database, reader, reconciliation_id, wanted)


@router.get("/breaks", responses=problems(NotFound))
async def list_breaks(
    reader: Reader, opened: Opened, wanted: Annotated[BreaksRequest, Query()]
) -> Page[BreakView]:
    """The breaks of a programme's accounts, the last found first."""
    return await settling_breaks.list_breaks(opened.database, reader, wanted)


@router.get("/breaks/{break_id}", responses=problems(NotFound))
async def show_break(break_id: str, reader: Reader, opened: Opened) -> BreakView:
    """One break."""
    return await settling_breaks.visible_break(opened.database, reader, break_id)


@router.post(
    "/breaks/{break_id}/propose",
    responses=problems(NotFound, Decided, Cleared, AlreadyProposed, NothingToPost),
)
async def propose_break(
    break_id: str, finance: Finance, opened: Opened, body: NewProposal
) -> BreakView:
    """Propose to book a break (J24, J25) or to accept it as it is."""
    return await settling_breaks.propose(opened.database, finance, break_id, body)


@router.post(
    "/breaks/{break_id}/approve",
    responses=problems(NotFound, NotProposed, SamePerson, InsufficientFunds),
)
async def approve_break(break_id: str, approver: Approver, opened: Opened) -> BreakView:
    """Approve what somebody else has proposed; posting books the difference."""
    return await settling_breaks.approve(opened.database, approver, break_id)


@router.post("/breaks/{break_id}/reject", responses=problems(NotFound, Decided, Cleared))
async def reject_break(break_id: str, approver: Approver, opened: Opened) -> BreakView:
    """Reject what is proposed; the break is open again and nothing is booked."""
    return await settling_breaks.reject(opened.database, approver, break_id)
