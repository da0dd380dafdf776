"""Lists of what a member of staff may see, page by page."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from services.campaign import queries
from services.campaign.schemas import DropsRequest, DropView, ProgrammeView
from shared.auth.cities import visible_cities
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.ids import parse_id
from shared.web.pages import Cursor, Page, PageRequest

_CURSOR = Cursor(UUID)
_T = TypeVar("_T")


async def list_programmes(
    database: Database, staff: Principal, wanted: PageRequest
) -> Page[ProgrammeView]:
    """Return a page of programmes, the newest first. Raises InvalidRequest for a bad cursor."""
    before = _CURSOR.decode(wanted.cursor)
    cities = await visible_cities(database, staff)
    async with database.transaction(cities) as session:
        found = await queries.list_programmes(session, before=before, limit=wanted.limit + 1)
    return Page[ProgrammeView](
        items=found[: wanted.limit],
        next_cursor=_next_cursor(found, wanted.limit, lambda programme: programme.programme_id),
    )


async def list_drops(database: Database, staff: Principal, wanted: DropsRequest) -> Page[DropView]:
    """Return a page of drops, the newest first; an unknown programme has none.

    Raises:
        InvalidRequest: the cursor is not of this list.
    """
    before = _CURSOR.decode(wanted.cursor)
    programme_id = None
    if wanted.programme_id is not None:
        programme_id = parse_id(wanted.programme_id)
        if programme_id is None:
            return Page[DropView](items=[], next_cursor=None)
    cities = await visible_cities(database, staff)
    async with database.transaction(cities) as session:
        found = await queries.list_drops(
            session, programme_id=programme_id, before=before, limit=wanted.limit + 1
        )
    return Page[DropView](
        items=found[: wanted.limit],
        next_cursor=_next_cursor(found, wanted.limit, lambda drop: drop.drop_id),
    )


def _next_cursor(found: Sequence[_T], limit: int, id_of: Callable[[_T], str]) -> str | None:
    """Return the position of the last item shown, if one more was found than is shown."""
    return _CURSOR.encode(UUID(id_of(found[limit - 1]))) if len(found) > limit else None
