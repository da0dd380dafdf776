"""Returning to a funder what is left of its money, once two persons agree."""

from typing import Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.ledger import settlement_queries as queries
from services.ledger.paging import page_of
from services.ledger.refusals import Decided, InsufficientFunds, NothingToReturn, ReturnProposed
from services.ledger.settlement_schemas import NewReturn, ReturnsRequest, ReturnView
from services.ledger.visibility import reading, reading_book, visible_programme
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import NotFound, SamePerson
from shared.ids import city_of, new_id, parse_id
from shared.invariant import invariant
from shared.web.idempotency import Attempt, Created, create_once
from shared.web.pages import Cursor, Page

Decision = Literal["approved", "rejected"]

_PROPOSE = text("""
    SELECT ledger.propose_return(
        CAST(:city_id AS smallint), :programme_id, :funder_id, :include_budget, :return_id, :actor
    )
""")
_DECIDE = """
    SELECT ledger.decide_return(CAST(:city_id AS smallint), :return_id, :decision, :actor)
        AS outcome
"""
_CURSOR = Cursor(UUID)


async def propose_return(
    database: Database, finance: Principal, attempt: Attempt, wanted: NewReturn
) -> Created[ReturnView]:
    """Propose to give a funder back what is free; nothing moves yet.

    Raises:
        NotFound: no such programme is visible, or it has no such funder.
        NothingToReturn, ReturnProposed, InsufficientFunds: nothing was proposed.
    """
    programme_id = await visible_programme(database, finance, wanted.programme_id)
    city_id = city_of(programme_id)

    async def create(session: AsyncSession) -> ReturnView:
        return_id = new_id(city_id)
        outcome = await session.scalar(
            _PROPOSE,
            {
                "city_id": city_id,
                "programme_id": programme_id,
                "funder_id": wanted.funder_id,
                "include_budget": wanted.include_budget,
                "return_id": return_id,
                "actor": finance.subject,
            },
        )
        match outcome:
            case "not_found":
                raise NotFound(f"The programme has no funder {wanted.funder_id}.")
            case "nothing_to_return":
                raise NothingToReturn
            case "in_progress":
                raise ReturnProposed(f"Decide the return to {wanted.funder_id} first.")
            case "insufficient_funds":
                raise InsufficientFunds(
                    "The accounts hold what merchants are owed or may still earn, and somebody has"
                    " not paid what they promised; the rest does not cover this return."
                )
        invariant(outcome == "proposed", f"ledger.propose_return answered {outcome}")
        return _found(await queries.find_return(session, return_id))

    return await create_once(database, city_id, attempt, ReturnView, create)


async def decide_return(
    database: Database, approver: Principal, return_id: str, decision: Decision
) -> ReturnView:
    """Approve a return, which books it (J33, J20, J19), or reject it.

    Raises:
        NotFound: it is not in the approver's cities.
        SamePerson, Decided, InsufficientFunds: nothing was changed.
    """
    known = (await visible_return(database, approver, return_id)).return_id
    row = await database.call(
        _DECIDE,
        {
            "city_id": city_of(known),
            "return_id": known,
            "decision": decision,
            "actor": approver.subject,
        },
    )
    after = await visible_return(database, approver, return_id)
    outcome = row["outcome"]
    if outcome == "same_person":
        raise SamePerson(f"{approver.subject} proposed this return; somebody else decides it.")
    if outcome == "decided":
        raise Decided(f"The return is {after.state}.", extra={"state": after.state})
    if outcome == "insufficient_funds":
        raise InsufficientFunds(
            "The money has moved since this was proposed: reject it and propose it again."
        )
    invariant(outcome in {decision, "unchanged"}, f"ledger.decide_return answered {outcome}")
    return after


async def visible_return(database: Database, staff: Principal, return_id: str) -> ReturnView:
    """Find a return by the id a client sent. Raises NotFound."""
    parsed = parse_id(return_id)
    if parsed is None:
        return _found(None)
    async with reading(database, staff) as session:
        return _found(await queries.find_return(session, parsed))


async def list_returns(
    database: Database, staff: Principal, wanted: ReturnsRequest
) -> Page[ReturnView]:
    """Return a page of a programme's returns, newest first. Raises NotFound, InvalidRequest."""
    before = _CURSOR.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        found = await queries.list_returns(
            session, programme_id, state=wanted.state, before=before, limit=wanted.limit + 1
        )
    return page_of(found, wanted.limit, lambda last: _CURSOR.encode(last.return_id))


def _found(proposed: ReturnView | None) -> ReturnView:
    if proposed is None:
        raise NotFound("There is no such return.")
    return proposed
