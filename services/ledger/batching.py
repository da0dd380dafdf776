"""Settlement batches: cut by one person, decided by a second, paid by the bank."""

from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.ledger import settlement_queries as queries
from services.ledger.paging import page_of
from services.ledger.payout_files import make_payout_file
from services.ledger.refusals import (
    DayNotOver,
    Decided,
    InsufficientFunds,
    NotApproved,
    NothingDue,
    NothingToPay,
)
from services.ledger.settlement_schemas import (
    BatchesRequest,
    BatchView,
    NewBatch,
    PayoutsRequest,
    PayoutView,
)
from services.ledger.visibility import reading, reading_book, visible_programme
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import NotFound, SamePerson
from shared.ids import city_of, new_id, parse_id
from shared.invariant import invariant
from shared.web.idempotency import Attempt, Created, create_once
from shared.web.pages import Cursor, Page

Decision = Literal["approved", "rejected"]

_CUT = text("""
    SELECT ledger.cut_batch(
        CAST(:city_id AS smallint), :programme_id, CAST(:cut_off AS date), :batch_id, :actor
    )
""")
_DECIDE = """
    SELECT ledger.decide_batch(CAST(:city_id AS smallint), :batch_id, :decision, :actor) AS outcome
"""
_CURSOR = Cursor(UUID)


async def cut_batch(
    database: Database, finance: Principal, attempt: Attempt, wanted: NewBatch
) -> Created[BatchView]:
    """Cut a payout for each merchant who is owed something up to a day (J13, J14).

    Raises:
        NotFound: no such programme is visible.
        NothingDue, DayNotOver: nothing was cut.
    """
    programme_id = await visible_programme(database, finance, wanted.programme_id)
    city_id = city_of(programme_id)

    async def create(session: AsyncSession) -> BatchView:
        batch_id = new_id(city_id)
        outcome = await session.scalar(
            _CUT,
            {
                "city_id": city_id,
                "programme_id": programme_id,
                "cut_off": wanted.cut_off,
                "batch_id": batch_id,
                "actor": finance.subject,
            },
        )
        if outcome == "nothing_due":
            raise NothingDue
        if outcome == "day_not_over":
            raise DayNotOver(f"{wanted.cut_off} is not over; cut off a day that is.")
        invariant(outcome == "cut", f"ledger.cut_batch answered {outcome}")
        return _found(await queries.find_batch(session, batch_id))

    return await create_once(database, city_id, attempt, BatchView, create)


async def decide_batch(
    database: Database, approver: Principal, batch_id: str, decision: Decision
) -> BatchView:
    """Approve a batch, so that the bank is instructed, or reject it (J16).

    Raises:
        NotFound: it is not in the approver's cities.
        SamePerson, Decided, InsufficientFunds: nothing was changed.
    """
    known = (await visible_batch(database, approver, batch_id)).batch_id
    row = await database.call(
        _DECIDE,
        {
            "city_id": city_of(known),
            "batch_id": known,
            "decision": decision,
            "actor": approver.subject,
        },
    )
    batch = await visible_batch(database, approver, batch_id)
    outcome = row["outcome"]
    if outcome == "same_person":
        raise SamePerson(f"{approver.subject} cut this batch; somebody else decides it.")
    if outcome == "decided":
        raise Decided(f"The batch is {batch.state}.", extra={"state": batch.state})
    if outcome == "insufficient_funds":
        raise InsufficientFunds(
            f"The bank account does not hold {batch.amount_fen} fen beyond the payouts under way."
        )
    invariant(outcome in {decision, "unchanged"}, f"ledger.decide_batch answered {outcome}")
    return batch


async def visible_batch(database: Database, staff: Principal, batch_id: str) -> BatchView:
    """Find a batch by the id a client sent. Raises NotFound."""
    parsed = parse_id(batch_id)
    if parsed is None:
        return _found(None)
    async with reading(database, staff) as session:
        return _found(await queries.find_batch(session, parsed))


async def list_batches(
    database: Database, staff: Principal, wanted: BatchesRequest
) -> Page[BatchView]:
    """Return a page of a programme's batches, newest first. Raises NotFound, InvalidRequest."""
    before = _CURSOR.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        found = await queries.list_batches(
            session, programme_id, state=wanted.state, before=before, limit=wanted.limit + 1
        )
    return page_of(found, wanted.limit, lambda last: _CURSOR.encode(last.batch_id))


async def list_payouts(
    database: Database, staff: Principal, batch_id: str, wanted: PayoutsRequest
) -> Page[PayoutView]:
    """Return a page of a batch's payouts. Raises NotFound, InvalidRequest."""
    after = _CURSOR.decode(wanted.cursor)
    batch = await visible_batch(database, staff, batch_id)
    async with reading(database, staff) as session:
        found = await queries.list_payouts(
            session, batch.batch_id, after=after, limit=wanted.limit + 1
        )
    return page_of(found, wanted.limit, lambda last: _CURSOR.encode(last.payout_id))


async def payout_file(database: Database, staff: Principal, batch_id: str) -> bytes:
    """Return the file that the bank is given for an approved batch.

    Raises:
        NotFound: it is not in the caller's cities.
        NotApproved, NothingToPay: there is no such file.
    """
    batch = await visible_batch(database, staff, batch_id)
    if batch.state != "approved":
        raise NotApproved(f"The batch is {batch.state}.")
    async with reading(database, staff) as session:
        file = await make_payout_file(session, batch.batch_id)
    if file is None:
        raise NothingToPay
    return file


def _found(batch: BatchView | None) -> BatchView:
    if batch is None:
        raise NotFound("There is no such settlement batch.")
    return batch
