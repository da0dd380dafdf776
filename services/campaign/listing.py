"""Lists of what a member of staff may see, page by page."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from services.campaign import queries
from services.campaign.schemas import DropsRequest, DropView, ProgrammeView
from services.campaign.till_schemas import MerchantsRequest, MerchantView, TerminalView
from services.campaign.visibility import visible_merchant
from shared.auth.cities import visible_cities
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.ids import city_of, parse_id
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


async def list_merchants(
    database: Database, staff: Principal, wanted: MerchantsRequest
) -> Page[MerchantView]:
    """Return a page of merchants, the newest first. Raises InvalidRequest for a bad cursor."""
    before = _CURSOR.decode(wanted.cursor)
    cities = await visible_cities(database, staff)
    async with database.transaction(cities) as session:
        found = await queries.list_merchants(
            session, state=wanted.state, before=before, limit=wanted.limit + 1
        )
    return Page[MerchantView](
        items=found[: wanted.limit],
        next_cursor=_next_cursor(found, wanted.limit, lambda merchant: merchant.merchant_id),
    )


async def list_terminals(
    database: Database, staff: Principal, merchant_id: str, wanted: PageRequest
) -> Page[TerminalView]:
    """Return a page of a merchant's tills, the newest first.

    Raises:
        NotFound: there is no such merchant in the cities of the token.
        InvalidRequest: the cursor is not of this list.
    """
    before = _CURSOR.decode(wanted.cursor)
    merchant = UUID((await visible_merchant(database, staff, merchant_id)).merchant_id)
    async with database.transaction([city_of(merchant)]) as session:
        found = await queries.list_terminals(
            session, merchant, before=before, limit=wanted.limit + 1
        )
    return Page[TerminalView](
        items=found[: wanted.limit],
        next_cursor=_next_cursor(found, wanted.limit, lambda terminal: terminal.terminal_id),
    )


def _next_cursor(found: Sequence[_T], limit: int, id_of: Callable[[_T], str]) -> str | None:
    """Return the position of the last item shown, if one more was found than is shown."""
    return _CURSOR.encode(UUID(id_of(found[limit - 1]))) if len(found) > limit else None
