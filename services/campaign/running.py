"""Running a drop: publish, pause, resume, close, and its quota.

Each is one server-side call that is one transaction; after it the gate is told, best effort.
"""

from typing import Literal
from uuid import UUID

from sqlalchemy import RowMapping

from services.campaign import queries
from services.campaign.refusals import InsufficientFunds, QuotaBelowClaims, WrongState
from services.campaign.resources import Resources
from services.campaign.schemas import DROP_FACE_FEN_MAX, DropView
from services.campaign.visibility import visible_drop
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import AppError, InvalidRequest
from shared.gate.statement import Statement
from shared.ids import city_of
from shared.invariant import invariant

Change = Literal["publish", "pause", "resume", "close", "quota"]

_CHANGE_DROP = """
    SELECT * FROM campaign.change_drop(
        CAST(:city_id AS smallint), :drop_id, :change, CAST(:quota AS integer), :actor
    )
"""


async def change_drop(
    opened: Resources,
    operator: Principal,
    drop_id: str,
    change: Change,
    *,
    quota: int | None = None,
) -> DropView:
    """Change a drop; when this returns, no later claim commits that the change forbids.

    Raises:
        NotFound: it is not in the operator's cities.
        WrongState, InsufficientFunds, QuotaBelowClaims: nothing was changed.
    """
    before = await visible_drop(opened.database, operator, drop_id)
    if quota is not None and quota * before.pack_face_fen > DROP_FACE_FEN_MAX:
        raise InvalidRequest.at(
            *("body", "quota"),
            msg=f"quota times the pack's face may be {DROP_FACE_FEN_MAX} fen at most",
        )
    known = UUID(before.drop_id)
    row = await opened.database.call(
        _CHANGE_DROP,
        {
            "city_id": city_of(known),
            "drop_id": known,
            "change": change,
            "quota": quota,
            "actor": operator.subject,
        },
    )
    if row["outcome"] not in {"done", "unchanged"}:
        raise await _refusal(opened.database, row, before, change, quota)
    # Committed: from here on nothing can turn this into an error of the change itself.
    await opened.teller.tell(known, Statement.of_row({**row}))
    return await visible_drop(opened.database, operator, drop_id)


async def _refusal(
    database: Database, row: RowMapping, drop: DropView, change: Change, quota: int | None
) -> AppError:
    outcome, state = row["outcome"], row["drop_state"]
    if outcome == "insufficient_funds":
        packs = row["drop_quota"] if quota is None else quota - row["drop_quota"]
        return await _insufficient_funds(database, drop, row["short_funder"], packs)
    if outcome == "below_live_claims":
        live = row["drop_live"]
        return QuotaBelowClaims(f"{live} packs are claimed.", extra={"live": live})
    invariant(outcome == "wrong_state", f"campaign.change_drop answered {outcome}")
    if change == "publish" and state == "draft":
        return WrongState("Its closing time has passed.", extra={"state": state})
    return WrongState(f"The drop is {state}.", extra={"state": state})


async def _insufficient_funds(
    database: Database, drop: DropView, funder_id: str, packs: int
) -> InsufficientFunds:
    drop_id = UUID(drop.drop_id)
    async with database.transaction([city_of(drop_id)]) as session:
        needed_fen = packs * await queries.pack_share_fen(session, drop_id, funder_id)
    told = f"This takes {needed_fen} fen of {funder_id}, who has less available."
    if drop.rail == "ecny":
        told += " On the e-CNY rail only cash counts, and the merchants' own pledge."
    return InsufficientFunds(
        told,
        extra={"funder_id": funder_id, "needed_fen": needed_fen},
    )
