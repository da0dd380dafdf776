"""Enrolling merchants, and approving and suspending them."""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as insert_or_keep
from sqlalchemy.ext.asyncio import AsyncSession

from services.campaign import queries
from services.campaign.refusals import WrongState
from services.campaign.till_schemas import MerchantView, NewEnrolment, NewMerchant
from services.campaign.visibility import visible_merchant
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import Forbidden, NotFound, SamePerson
from shared.ids import city_of, new_id, parse_id
from shared.invariant import invariant
from shared.tables.campaign import City, Programme
from shared.tables.merchants import Enrolment, Merchant
from shared.web.idempotency import Attempt, Created, create_once

Change = Literal["approve", "suspend"]

_CHANGE_MERCHANT = """
    SELECT campaign.change_merchant(
        CAST(:city_id AS smallint), :merchant_id, :change, :actor
    ) AS outcome
"""

_HOLD_STATE = text("""
    SELECT pg_advisory_xact_lock_shared(campaign.till_lock(CAST(:city_id AS smallint)))
""")


async def enrol_merchant(
    database: Database, operator: Principal, attempt: Attempt, wanted: NewMerchant
) -> Created[MerchantView]:
    """Enrol a merchant, who takes nothing before a second person approves it.

    Raises:
        Forbidden: the city is not in the operator's token.
        NotFound: a programme is not one of the city.
    """
    if not operator.may_act_in(wanted.city_code):
        raise Forbidden(f"The token does not cover the city {wanted.city_code}.")
    city_id = await _known_city(database, wanted.city_code)

    async def create(session: AsyncSession) -> MerchantView:
        programmes = await _programmes_of_city(session, city_id, wanted.programmes)
        merchant_id = new_id(city_id)
        await session.execute(
            insert(Merchant).values(
                **wanted.model_dump(exclude={"city_code", "programmes"}),
                city_id=city_id,
                merchant_id=merchant_id,
                state="pending",
                created_at=func.campaign.now(),
                created_by=operator.subject,
            )
        )
        await _enrol(session, merchant_id, programmes)
        return await _merchant(session, merchant_id)

    return await create_once(database, city_id, attempt, MerchantView, create)


async def enrol_in_programme(
    database: Database,
    operator: Principal,
    attempt: Attempt,
    merchant_id: str,
    wanted: NewEnrolment,
) -> Created[MerchantView]:
    """Let a merchant that is not approved yet take part in one more programme of its city.

    Raises:
        NotFound: there is no such merchant, or the programme is not one of its city.
        WrongState: the merchant was approved, for the programmes that it had, or is suspended.
    """
    merchant = await visible_merchant(database, operator, merchant_id)
    known = UUID(merchant.merchant_id)

    async def create(session: AsyncSession) -> MerchantView:
        # Shared with the tills: an approval is decided before or after this, not in between.
        await session.execute(_HOLD_STATE, {"city_id": city_of(known)})
        _refuse_approved(await _merchant(session, known))
        programmes = await _programmes_of_city(session, city_of(known), [wanted.programme_id])
        await _enrol(session, known, programmes)
        return await _merchant(session, known)

    return await create_once(database, city_of(known), attempt, MerchantView, create)


async def change_merchant(
    database: Database, staff: Principal, merchant_id: str, change: Change
) -> MerchantView:
    """Approve or suspend a merchant; once it is suspended, nothing of its tills commits.

    Raises:
        NotFound: it is not in the cities of the token.
        SamePerson: who enrolled a merchant does not approve it.
        WrongState: a suspended merchant is not approved again.
    """
    before = await visible_merchant(database, staff, merchant_id)
    known = UUID(before.merchant_id)
    row = await database.call(
        _CHANGE_MERCHANT,
        {
            "city_id": city_of(known),
            "merchant_id": known,
            "change": change,
            "actor": staff.subject,
        },
    )
    outcome = row["outcome"]
    if outcome == "same_person":
        raise SamePerson(f"{staff.subject} enrolled this merchant; somebody else approves it.")
    if outcome == "wrong_state":
        raise WrongState("The merchant was suspended; enrol it anew.", extra={"state": "suspended"})
    invariant(outcome in {"done", "unchanged"}, f"campaign.change_merchant answered {outcome}")
    return await visible_merchant(database, staff, merchant_id)


def refuse_suspended(merchant: MerchantView) -> None:
    """Raise WrongState for a merchant who may not get anything new."""
    if merchant.state == "suspended":
        raise WrongState("The merchant is suspended.", extra={"state": "suspended"})


def _refuse_approved(merchant: MerchantView) -> None:
    """Raise WrongState for a merchant whose programmes a second person has agreed to."""
    refuse_suspended(merchant)
    if merchant.state != "pending":
        raise WrongState(
            "The merchant was approved for the programmes that it has; enrol it anew for others.",
            extra={"state": merchant.state},
        )


async def _known_city(database: Database, city_code: str) -> int:
    async with database.transaction([]) as session:
        city_id = await session.scalar(select(City.city_id).where(City.city_code == city_code))
    if city_id is None:
        raise NotFound(f"There is no programme in the city {city_code} yet; create one first.")
    return city_id


async def _programmes_of_city(
    session: AsyncSession, city_id: int, given: Sequence[str]
) -> set[UUID]:
    """Return the programmes that these ids name. Raises NotFound if one is not of the city."""
    parsed = [parse_id(programme) for programme in given]
    known = await session.scalars(
        select(Programme.programme_id).where(
            Programme.city_id == city_id, Programme.programme_id.in_(set(parsed) - {None})
        )
    )
    found = set(known)
    for at, programme_id in enumerate(parsed):
        if programme_id not in found:
            raise NotFound(f"The {at + 1}. programme is not one of the merchant's city.")
    return found


async def _enrol(session: AsyncSession, merchant_id: UUID, programmes: set[UUID]) -> None:
    if not programmes:
        return
    await session.execute(
        insert_or_keep(Enrolment).on_conflict_do_nothing(),
        [
            {
                "city_id": city_of(merchant_id),
                "merchant_id": merchant_id,
                "programme_id": programme_id,
            }
            for programme_id in sorted(programmes)
        ],
    )


async def _merchant(session: AsyncSession, merchant_id: UUID) -> MerchantView:
    merchant = await queries.find_merchant(session, merchant_id)
    invariant(merchant is not None, f"merchant {merchant_id} is gone before it was committed")
    assert merchant is not None  # noqa: S101 - narrows the type; the line above checks it
    return merchant
