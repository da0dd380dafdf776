"""Which cities a member of staff may see."""

from sqlalchemy import select

from shared.auth.principals import EVERY_CITY, Principal
from shared.db.database import Database
from shared.tables.campaign import City


async def visible_cities(database: Database, staff: Principal) -> frozenset[int] | None:
    """Return the numbers of the cities in the token, None for every city.

    `Database.transaction` takes them: row-level security then hides every other city's rows.
    """
    if EVERY_CITY in staff.cities:
        return None
    async with database.transaction([]) as session:
        known = select(City.city_id).where(City.city_code.in_(staff.cities))
        return frozenset(await session.scalars(known))
