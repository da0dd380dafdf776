"""Booking the money of a programme's funders: cash, promises, and promises that are paid."""

from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.campaign.refusals import PledgeAbsorbed, PledgeExceeded
from services.campaign.schemas import FundingView, NewFunding, ProgrammeView
from shared.auth.principals import Principal
from shared.db.database import Database
from shared.errors import NotFound
from shared.ids import city_of, new_id
from shared.invariant import invariant
from shared.tables.campaign import Funding
from shared.web.idempotency import Attempt, Created, create_once

_FUND = text("""
    SELECT campaign.fund(
        CAST(:city_id AS smallint), :programme_id, :funding_id, :funder_id,
        CAST(:amount_fen AS bigint), :reference, :journal_kind, :actor
    )
""")


async def fund_programme(
    database: Database,
    operator: Principal,
    attempt: Attempt,
    programme: ProgrammeView,
    wanted: NewFunding,
) -> Created[FundingView]:
    """Book J1, J2 or J3, as the funder's mode and `settles_pledge` say.

    Raises:
        NotFound: the programme has no such funder.
        PledgeExceeded: more is paid than was promised.
        PledgeAbsorbed: what is promised is taken off what merchants are paid.
    """
    programme_id = UUID(programme.programme_id)
    city_id = city_of(programme_id)
    modes = {funder.funder_id: funder.mode for funder in programme.funders}
    if wanted.funder_id not in modes:
        raise NotFound(f"The programme has no funder {wanted.funder_id}.")
    journal_kind = _journal_kind(modes[wanted.funder_id], wanted)

    async def create(session: AsyncSession) -> FundingView:
        funding_id = new_id(city_id)
        outcome = await session.scalar(
            _FUND,
            {
                "city_id": city_id,
                "programme_id": programme_id,
                "funding_id": funding_id,
                "funder_id": wanted.funder_id,
                "amount_fen": wanted.amount_fen,
                "reference": wanted.reference,
                "journal_kind": journal_kind,
                "actor": operator.subject,
            },
        )
        if outcome == "pledge_exceeded":
            raise PledgeExceeded(f"What {wanted.funder_id} still owes is less than this payment.")
        if outcome == "pledge_absorbed":
            raise PledgeAbsorbed(
                f"Drops that were published take what {wanted.funder_id} owes off what merchants"
                " are paid; less than this payment is not yet committed to them."
            )
        invariant(outcome == "booked", f"campaign.fund answered {outcome}")
        created_at = await session.scalar(
            select(Funding.created_at).where(
                Funding.city_id == city_id, Funding.funding_id == funding_id
            )
        )
        return FundingView.model_validate(
            {
                **wanted.model_dump(),
                "funding_id": funding_id,
                "programme_id": programme_id,
                "journal_kind": journal_kind,
                "created_at": created_at,
                "created_by": operator.subject,
            }
        )

    return await create_once(database, city_id, attempt, FundingView, create)


def _journal_kind(mode: str, wanted: NewFunding) -> str:
    if wanted.settles_pledge:
        return "J3"
    return "J1" if mode == "cash" else "J2"
