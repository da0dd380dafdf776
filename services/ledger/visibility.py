"""What a member of staff may see: the books of the cities in their token.

Row-level security holds them to it; everything else does not exist for them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.ledger import queries
from shared.auth.cities import visible_cities
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import NotFound
from shared.ids import parse_id


@asynccontextmanager
async def reading(database: Database, staff: Principal) -> AsyncIterator[AsyncSession]:
    """Open a transaction that sees what this member of staff may see."""
    cities = await visible_cities(database, staff)
    async with database.transaction(cities) as session:
        yield session


@asynccontextmanager
async def reading_book(
    database: Database, staff: Principal, programme_id: str
) -> AsyncIterator[tuple[AsyncSession, UUID]]:
    """Open a transaction on one programme's book. Raises NotFound where none is visible."""
    parsed = parse_id(programme_id)
    if parsed is not None:
        async with reading(database, staff) as session:
            if await queries.has_programme(session, parsed):
                yield session, parsed
                return
    raise NotFound("There is no such programme.")


async def visible_programme(database: Database, staff: Principal, programme_id: str) -> UUID:
    """Return the id of a programme by what a client sent. Raises NotFound."""
    async with reading_book(database, staff, programme_id) as (_, found):
        return found
