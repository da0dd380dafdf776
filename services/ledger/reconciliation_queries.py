"""What others say and what came of it, read back, held to the caller's cities."""

from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    and_,
    case,
    cast,
    exists,
    func,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from services.ledger.reconciliation_schemas import (
    BreaksRequest,
    BreakView,
    DifferenceTotals,
    DifferenceView,
    MatchView,
    RunView,
    Side,
    StatementLineView,
    StatementsRequest,
    StatementView,
)
from shared.ids import city_of
from shared.tables.ledger import Journal
from shared.tables.reconciling import (
    Break,
    Difference,
    Match,
    Reconciliation,
    Statement,
    StatementLine,
)

_LATER = aliased(Statement)
_PRESENT_IN: dict[str, list[Side]] = {
    "missing_in_ledger": ["channel"],
    "duplicate": ["channel"],
    "unreadable": ["channel"],
    "missing_in_channel": ["ledger"],
}
_MISSING_IN: dict[str, Side] = {
    "missing_in_ledger": "ledger",
    "duplicate": "ledger",
    "missing_in_channel": "channel",
}


# Every column but the file itself, which may have megabytes.
_STATEMENTS = select(
    Statement.statement_id,
    Statement.programme_id,
    Statement.format,
    Statement.account,
    Statement.day,
    Statement.version,
    (
        ~exists().where(
            _LATER.city_id == Statement.city_id,
            _LATER.programme_id == Statement.programme_id,
            _LATER.account == Statement.account,
            _LATER.day == Statement.day,
            _LATER.version > Statement.version,
        )
    ).label("is_current"),
    func.encode(Statement.sha256, "hex").label("sha256"),
    Statement.lines.label("rows"),
    Statement.quarantined,
    Statement.totals,
    Statement.uploaded_at,
    Statement.uploaded_by,
)


async def find_statement(session: AsyncSession, statement_id: UUID) -> StatementView | None:
    wanted = _STATEMENTS.where(
        Statement.city_id == city_of(statement_id), Statement.statement_id == statement_id
    )
    row = (await session.execute(wanted)).one_or_none()
    return None if row is None else StatementView.model_validate(row)


async def list_statements(
    session: AsyncSession,
    programme_id: UUID,
    wanted: StatementsRequest,
    *,
    before: UUID | None,
    limit: int,
) -> list[StatementView]:
    """Return the statements of a programme, the last taken first: their ids grow with time."""
    statement = _STATEMENTS.where(
        Statement.city_id == city_of(programme_id), Statement.programme_id == programme_id
    )
    if wanted.format is not None:
        statement = statement.where(Statement.format == wanted.format)
    if wanted.day is not None:
        statement = statement.where(Statement.day == wanted.day)
    if before is not None:
        statement = statement.where(Statement.statement_id < before)
    rows = await session.execute(statement.order_by(Statement.statement_id.desc()).limit(limit))
    return [StatementView.model_validate(row) for row in rows]


async def list_lines(
    session: AsyncSession,
    statement_id: UUID,
    *,
    quarantined: bool | None,
    after: int,
    limit: int,
) -> list[StatementLineView]:
    wanted = select(
        StatementLine.line_no,
        StatementLine.direction,
        StatementLine.amount_fen,
        StatementLine.end_to_end_no,
        StatementLine.channel_no,
        StatementLine.happened_at,
        StatementLine.fault,
        StatementLine.raw,
    ).where(
        StatementLine.city_id == city_of(statement_id),
        StatementLine.statement_id == statement_id,
        StatementLine.line_no > after,
    )
    if quarantined is not None:
        fault = StatementLine.fault
        wanted = wanted.where(fault.is_not(None) if quarantined else fault.is_(None))
    rows = await session.execute(wanted.order_by(StatementLine.line_no).limit(limit))
    return [StatementLineView.model_validate(row) for row in rows]


_RUNS = select(
    Reconciliation.reconciliation_id,
    Reconciliation.programme_id,
    Reconciliation.statement_id,
    Statement.account,
    Statement.day,
    Reconciliation.lines,
    Reconciliation.movements,
    Reconciliation.matched,
    Reconciliation.differences,
    Reconciliation.difference_fen,
    Reconciliation.is_continuous,
    Reconciliation.missing_days,
    Reconciliation.waterfall,
    func.encode(Reconciliation.result_hash, "hex").label("result_hash"),
    Reconciliation.run_at,
    Reconciliation.run_by,
).join(
    Statement,
    and_(
        Statement.city_id == Reconciliation.city_id,
        Statement.statement_id == Reconciliation.statement_id,
    ),
)


async def find_run(session: AsyncSession, run_id: UUID) -> RunView | None:
    wanted = _RUNS.where(
        Reconciliation.city_id == city_of(run_id), Reconciliation.reconciliation_id == run_id
    )
    row = (await session.execute(wanted)).one_or_none()
    return None if row is None else RunView.model_validate(row)


async def list_runs(
    session: AsyncSession,
    programme_id: UUID,
    *,
    statement_id: UUID | None,
    before: UUID | None,
    limit: int,
) -> list[RunView]:
    """Return the runs of a programme, the last first."""
    wanted = _RUNS.where(
        Reconciliation.city_id == city_of(programme_id),
        Reconciliation.programme_id == programme_id,
    )
    if statement_id is not None:
        wanted = wanted.where(Reconciliation.statement_id == statement_id)
    if before is not None:
        wanted = wanted.where(Reconciliation.reconciliation_id < before)
    rows = await session.execute(
        wanted.order_by(Reconciliation.reconciliation_id.desc()).limit(limit)
    )
    return [RunView.model_validate(row) for row in rows]


async def total_differences(session: AsyncSession, run_id: UUID) -> list[DifferenceTotals]:
    wanted = (
        select(
            Difference.type,
            func.count().label("differences"),
            cast(func.sum(Difference.difference_fen), BigInteger).label("difference_fen"),
        )
        .where(Difference.city_id == city_of(run_id), Difference.reconciliation_id == run_id)
        .group_by(Difference.type)
        .order_by(Difference.type)
    )
    return [DifferenceTotals.model_validate(row) for row in await session.execute(wanted)]


async def list_differences(
    session: AsyncSession, run_id: UUID, types: tuple[str, ...], *, after: int, limit: int
) -> list[DifferenceView]:
    """Return differences of a run in the order of the statement; no types: of every type."""
    wanted = select(Difference).where(
        Difference.city_id == city_of(run_id),
        Difference.reconciliation_id == run_id,
        Difference.place > after,
    )
    if types:
        wanted = wanted.where(Difference.type.in_(types))
    found = await session.scalars(wanted.order_by(Difference.place).limit(limit))
    return [DifferenceView.model_validate(difference) for difference in found]


async def list_matches(
    session: AsyncSession, run_id: UUID, *, after: int, limit: int
) -> list[MatchView]:
    wanted = (
        select(
            Match.line_no,
            Match.journal_id,
            Journal.kind,
            Journal.event,
            Match.pass_.label("matched_in"),
            StatementLine.end_to_end_no,
            StatementLine.direction,
            StatementLine.amount_fen,
            Journal.accounting_date,
        )
        .join(
            Journal,
            and_(Journal.city_id == Match.city_id, Journal.journal_id == Match.journal_id),
        )
        .join(
            Reconciliation,
            and_(
                Reconciliation.city_id == Match.city_id,
                Reconciliation.reconciliation_id == Match.reconciliation_id,
            ),
        )
        .join(
            StatementLine,
            and_(
                StatementLine.city_id == Match.city_id,
                StatementLine.statement_id == Reconciliation.statement_id,
                StatementLine.line_no == Match.line_no,
            ),
        )
        .where(
            Match.city_id == city_of(run_id),
            Match.reconciliation_id == run_id,
            Match.line_no > after,
        )
        .order_by(Match.line_no)
        .limit(limit)
    )
    return [MatchView.model_validate(row) for row in await session.execute(wanted)]


def _age_days() -> ColumnElement[int]:
    """Count days from when a break happened to when it was settled, or to today."""
    settled_at = case(
        (Break.state.in_(("posted", "accepted")), Break.approved_at),
        (Break.state == "cleared", Break.cleared_at),
        else_=func.campaign.now(),
    )
    return func.ledger.accounting_date(settled_at) - Break.happened_on


_BREAKS = select(Break, _age_days().label("age_days"))


async def find_break(session: AsyncSession, break_id: UUID) -> BreakView | None:
    wanted = _BREAKS.where(Break.city_id == city_of(break_id), Break.break_id == break_id)
    row = (await session.execute(wanted)).one_or_none()
    return None if row is None else _break_view(*row)


async def list_breaks(
    session: AsyncSession,
    programme_id: UUID,
    wanted: BreaksRequest,
    *,
    before: UUID | None,
    limit: int,
) -> list[BreakView]:
    """Return the breaks of a programme, the last found first: their ids grow with time."""
    statement = _BREAKS.where(
        Break.city_id == city_of(programme_id), Break.programme_id == programme_id
    )
    if wanted.state is not None:
        statement = statement.where(Break.state == wanted.state)
    if wanted.type is not None:
        statement = statement.where(Break.type == wanted.type)
    if wanted.statement_id is not None:
        statement = statement.where(Break.statement_id == wanted.statement_id)
    if before is not None:
        statement = statement.where(Break.break_id < before)
    rows = await session.execute(statement.order_by(Break.break_id.desc()).limit(limit))
    return [_break_view(*row) for row in rows]


def _break_view(found: Break, age_days: int) -> BreakView:
    told = {
        "age_days": age_days,
        "present_in": _PRESENT_IN.get(found.type, ["ledger", "channel"]),
        "missing_in": _MISSING_IN.get(found.type),
        "label": _label(found.difference_fen),
    }
    kept = {name: getattr(found, name) for name in BreakView.model_fields if name not in told}
    return BreakView.model_validate({**kept, **told})


def _label(difference_fen: int) -> str | None:
    if difference_fen == 0:
        return None
    return "over" if difference_fen > 0 else "short"
