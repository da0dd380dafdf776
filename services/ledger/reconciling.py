"""Running a statement against the books, and reading what a run found."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.ledger import reconciliation_queries as queries
from services.ledger.intake import visible_statement
from services.ledger.paging import page_of
from services.ledger.reconciliation_schemas import (
    DifferencePosition,
    DifferencesRequest,
    DifferenceView,
    LinePosition,
    MatchesRequest,
    MatchView,
    NewReconciliation,
    RunDetailView,
    RunsRequest,
    RunView,
)
from services.ledger.refusals import DayNotOver, Superseded
from services.ledger.visibility import reading, reading_book
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import NotFound
from shared.ids import city_of, new_id, parse_id
from shared.invariant import invariant
from shared.web.idempotency import Attempt, Created, create_once
from shared.web.pages import Cursor, Page

SHOWN_MAX = 100
_RUN = text("""
    SELECT ledger.reconcile(CAST(:city_id AS smallint), :statement_id, :run_id, :actor)
""")
_RUNS = Cursor(UUID)
_DIFFERENCES = Cursor(DifferencePosition)
_MATCHES = Cursor(LinePosition)


async def reconcile(
    database: Database, finance: Principal, attempt: Attempt, wanted: NewReconciliation
) -> Created[RunDetailView]:
    """Compare a statement with the books; what is different becomes or stays a break.

    Raises:
        NotFound: no such statement is visible.
        Superseded, DayNotOver: nothing was run.
    """
    statement = await visible_statement(database, finance, wanted.statement_id)
    city_id = city_of(statement.statement_id)

    async def create(session: AsyncSession) -> RunDetailView:
        run_id = new_id(city_id)
        outcome = await session.scalar(
            _RUN,
            {
                "city_id": city_id,
                "statement_id": statement.statement_id,
                "run_id": run_id,
                "actor": finance.subject,
            },
        )
        if outcome == "superseded":
            raise Superseded(f"A later file of {statement.account} and {statement.day} was taken.")
        if outcome == "day_not_over":
            raise DayNotOver(f"{statement.day} is not over; run it on the day after.")
        invariant(outcome == "run", f"ledger.reconcile answered {outcome}")
        run = await queries.find_run(session, run_id)
        assert run is not None  # noqa: S101 - it was just made
        return await _detailed(session, run)

    return await create_once(database, city_id, attempt, RunDetailView, create)


async def find_run(database: Database, staff: Principal, run_id: str) -> RunDetailView:
    """Return one run with the first of its differences. Raises NotFound."""
    async with _reading_run(database, staff, run_id) as (session, run):
        return await _detailed(session, run)


async def list_runs(database: Database, staff: Principal, wanted: RunsRequest) -> Page[RunView]:
    """Return a page of a programme's runs, last first. Raises NotFound, InvalidRequest."""
    before = _RUNS.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        found = await queries.list_runs(
            session,
            programme_id,
            statement_id=wanted.statement_id,
            before=before,
            limit=wanted.limit + 1,
        )
    return page_of(found, wanted.limit, lambda last: _RUNS.encode(last.reconciliation_id))


async def list_differences(
    database: Database, staff: Principal, run_id: str, wanted: DifferencesRequest
) -> Page[DifferenceView]:
    """Return a page of what a run found. Raises NotFound, InvalidRequest."""
    after = _DIFFERENCES.decode(wanted.cursor)
    async with _reading_run(database, staff, run_id) as (session, run):
        found = await queries.list_differences(
            session,
            run.reconciliation_id,
            () if wanted.type is None else (wanted.type,),
            after=0 if after is None else after.place,
            limit=wanted.limit + 1,
        )
    return page_of(
        found, wanted.limit, lambda last: _DIFFERENCES.encode(DifferencePosition(last.place))
    )


async def list_matches(
    database: Database, staff: Principal, run_id: str, wanted: MatchesRequest
) -> Page[MatchView]:
    """Return a page of the pairs of a run. Raises NotFound, InvalidRequest."""
    after = _MATCHES.decode(wanted.cursor)
    async with _reading_run(database, staff, run_id) as (session, run):
        found = await queries.list_matches(
            session,
            run.reconciliation_id,
            after=0 if after is None else after.line_no,
            limit=wanted.limit + 1,
        )
    return page_of(found, wanted.limit, lambda last: _MATCHES.encode(LinePosition(last.line_no)))


@asynccontextmanager
async def _reading_run(
    database: Database, staff: Principal, run_id: str
) -> AsyncIterator[tuple[AsyncSession, RunView]]:
    """Open a transaction on one run. Raises NotFound where none is visible."""
    parsed = parse_id(run_id)
    if parsed is not None:
        async with reading(database, staff) as session:
            run = await queries.find_run(session, parsed)
            if run is not None:
                yield session, run
                return
    raise NotFound("There is no such reconciliation.")


async def _detailed(session: AsyncSession, run: RunView) -> RunDetailView:
    run_id = run.reconciliation_id
    return RunDetailView(
        **run.model_dump(),
        by_type=await queries.total_differences(session, run_id),
        missing_in_ledger=await queries.list_differences(
            session, run_id, ("missing_in_ledger", "duplicate"), after=0, limit=SHOWN_MAX
        ),
        missing_in_channel=await queries.list_differences(
            session, run_id, ("missing_in_channel",), after=0, limit=SHOWN_MAX
        ),
    )
