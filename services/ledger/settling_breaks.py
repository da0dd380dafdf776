"""Settling a break: proposed by one person, approved by a second."""

from uuid import UUID

from services.ledger import reconciliation_queries as queries
from services.ledger.paging import page_of
from services.ledger.reconciliation_schemas import BreaksRequest, BreakView, NewProposal
from services.ledger.refusals import (
    AlreadyProposed,
    Cleared,
    Decided,
    InsufficientFunds,
    NothingToPost,
    NotProposed,
)
from services.ledger.visibility import reading, reading_book
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import AppError, NotFound, SamePerson
from shared.ids import city_of, parse_id
from shared.invariant import invariant
from shared.web.pages import Cursor, Page

_PROPOSE = """
    SELECT ledger.propose_break(
        CAST(:city_id AS smallint), :break_id, :proposal, :reason, :actor
    ) AS outcome
"""
_APPROVE = """
    SELECT ledger.approve_break(CAST(:city_id AS smallint), :break_id, :actor) AS outcome
"""
_REJECT = "SELECT ledger.reject_break(CAST(:city_id AS smallint), :break_id) AS outcome"
_CURSOR = Cursor(UUID)


async def propose(
    database: Database, finance: Principal, break_id: str, wanted: NewProposal
) -> BreakView:
    """Propose to book a break or to accept it.

    Raises:
        NotFound: it is not in the cities of the token.
        Decided, Cleared, AlreadyProposed, NothingToPost: nothing was changed.
    """
    known = (await visible_break(database, finance, break_id)).break_id
    row = await database.call(
        _PROPOSE,
        {
            "city_id": city_of(known),
            "break_id": known,
            "proposal": wanted.proposal,
            "reason": wanted.reason,
            "actor": finance.subject,
        },
    )
    found = await visible_break(database, finance, break_id)
    outcome = row["outcome"]
    if outcome == "already_proposed":
        raise AlreadyProposed(f"{found.proposed_by} proposed to {found.proposal} it.")
    if outcome == "nothing_to_post":
        raise NothingToPost("Accept it, or have the file issued again.")
    _refuse_settled(found, outcome)
    invariant(outcome in {"proposed", "unchanged"}, f"ledger.propose_break answered {outcome}")
    return found


async def approve(database: Database, approver: Principal, break_id: str) -> BreakView:
    """Approve what somebody else has proposed: book it (J24, J25) or accept it.

    Raises:
        NotFound: it is not in the cities of the token.
        NotProposed, SamePerson, InsufficientFunds: nothing was changed.
    """
    known = (await visible_break(database, approver, break_id)).break_id
    row = await database.call(
        _APPROVE,
        {"city_id": city_of(known), "break_id": known, "actor": approver.subject},
    )
    found = await visible_break(database, approver, break_id)
    outcome = row["outcome"]
    if outcome == "not_proposed":
        raise NotProposed(f"The break is {found.state}.", extra={"state": found.state})
    if outcome == "same_person":
        raise SamePerson(f"{approver.subject} proposed this; somebody else approves it.")
    if outcome == "insufficient_funds":
        raise InsufficientFunds(
            f"The books have less than {-found.difference_fen} fen on {found.account},"
            " payments under way aside."
        )
    invariant(
        outcome in {"posted", "accepted", "unchanged"}, f"ledger.approve_break answered {outcome}"
    )
    return found


async def reject(database: Database, approver: Principal, break_id: str) -> BreakView:
    """Reject what is proposed: the break is open again.

    Raises:
        NotFound: it is not in the cities of the token.
        Decided, Cleared: nothing was changed.
    """
    known = (await visible_break(database, approver, break_id)).break_id
    row = await database.call(_REJECT, {"city_id": city_of(known), "break_id": known})
    found = await visible_break(database, approver, break_id)
    _refuse_settled(found, row["outcome"])
    invariant(
        row["outcome"] in {"open", "unchanged"}, f"ledger.reject_break answered {row['outcome']}"
    )
    return found


def _refuse_settled(found: BreakView, outcome: str) -> None:
    refusals: dict[str, type[AppError]] = {"decided": Decided, "cleared": Cleared}
    if outcome in refusals:
        raise refusals[outcome](f"The break is {found.state}.", extra={"state": found.state})


async def visible_break(database: Database, staff: Principal, break_id: str) -> BreakView:
    """Find a break by the id a client sent. Raises NotFound."""
    parsed = parse_id(break_id)
    if parsed is not None:
        async with reading(database, staff) as session:
            found = await queries.find_break(session, parsed)
        if found is not None:
            return found
    raise NotFound("There is no such break.")


async def list_breaks(
    database: Database, staff: Principal, wanted: BreaksRequest
) -> Page[BreakView]:
    """Return a page of a programme's breaks, last first. Raises NotFound, InvalidRequest."""
    before = _CURSOR.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        found = await queries.list_breaks(
            session, programme_id, wanted, before=before, limit=wanted.limit + 1
        )
    return page_of(found, wanted.limit, lambda last: _CURSOR.encode(last.break_id))
