"""What a member of staff may see: the objects of the cities in their token.

Row-level security holds the statements to them; everything else does not exist for the caller.
"""

from services.campaign import queries
from services.campaign.schemas import DropView, ProgrammeView
from services.campaign.till_schemas import MerchantView
from shared.auth.cities import visible_cities
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import NotFound
from shared.ids import parse_id


async def visible_programme(
    database: Database, staff: Principal, programme_id: str
) -> ProgrammeView:
    """Find a programme by the id a client sent. Raises NotFound."""
    parsed = parse_id(programme_id)
    if parsed is not None:
        cities = await visible_cities(database, staff)
        async with database.transaction(cities) as session:
            programme = await queries.find_programme(session, parsed)
        if programme is not None:
            return programme
    raise NotFound("There is no such programme.")


async def visible_drop(database: Database, staff: Principal, drop_id: str) -> DropView:
    """Find a drop by the id a client sent. Raises NotFound."""
    parsed = parse_id(drop_id)
    if parsed is not None:
        cities = await visible_cities(database, staff)
        async with database.transaction(cities) as session:
            drop = await queries.find_drop(session, parsed)
        if drop is not None:
            return drop
    raise NotFound("There is no such drop.")


async def visible_merchant(database: Database, staff: Principal, merchant_id: str) -> MerchantView:
    """Find a merchant by the id a client sent. Raises NotFound."""
    parsed = parse_id(merchant_id)
    if parsed is not None:
        cities = await visible_cities(database, staff)
        async with database.transaction(cities) as session:
            merchant = await queries.find_merchant(session, parsed)
        if merchant is not None:
            return merchant
    raise NotFound("There is no such merchant.")
