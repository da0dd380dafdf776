"""Creating a programme; its book in the ledger begins with its first funding."""

from sqlalchemy import func, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from services.campaign.schemas import NewProgramme, ProgrammeView
from shared.auth.principals import Principal
from shared.db.database import Database, constraint_name
from shared.errors import Forbidden, InvalidRequest
from shared.ids import new_id
from shared.tables.campaign import Funder, Programme
from shared.web.idempotency import Attempt, Created, create_once

_CITIES_ARE_BOUNDED = "city_id_fits_the_public_ids"


async def create_programme(
    database: Database, operator: Principal, attempt: Attempt, wanted: NewProgramme
) -> Created[ProgrammeView]:
    """Create a programme with its funders. Raises Forbidden outside the operator's cities."""
    if not operator.may_act_in(wanted.city_code):
        raise Forbidden(f"The token does not cover the city {wanted.city_code}.")
    city_id = await _city_number(database, wanted.city_code)

    async def create(session: AsyncSession) -> ProgrammeView:
        programme_id = new_id(city_id)
        created_at = await session.scalar(
            insert(Programme)
            .values(
                city_id=city_id,
                programme_id=programme_id,
                name=wanted.name,
                created_at=func.campaign.now(),
                created_by=operator.subject,
            )
            .returning(Programme.created_at)
        )
        await session.execute(
            insert(Funder),
            [
                {
                    "city_id": city_id,
                    "programme_id": programme_id,
                    "position": position,
                    **funder.model_dump(),
                }
                for position, funder in enumerate(wanted.funders)
            ],
        )
        return ProgrammeView.model_validate(
            {
                **wanted.model_dump(),
                "programme_id": programme_id,
                "created_at": created_at,
                "created_by": operator.subject,
            }
        )

    return await create_once(database, city_id, attempt, ProgrammeView, create)


async def _city_number(database: Database, city_code: str) -> int:
    try:
        row = await database.call(
            "SELECT campaign.city_number(:code) AS city_id", {"code": city_code}
        )
    except DBAPIError as error:
        if constraint_name(error) != _CITIES_ARE_BOUNDED:
            raise
        raise InvalidRequest.at(
            "body", "city_code", msg="this deployment has no room for another city"
        ) from error
    return int(row["city_id"])
