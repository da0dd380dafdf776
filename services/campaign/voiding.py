"""Voiding a claim: its pack goes back on sale (J7a) or is withdrawn (J7b)."""

from uuid import UUID

from services.campaign import queries
from services.campaign.refusals import ClaimExpired, ClaimInUse
from services.campaign.resources import Resources
from services.campaign.schemas import NewVoid, VoidView
from shared.auth.cities import visible_cities
from shared.auth.principals import Principal
from shared.errors import NotFound
from shared.gate.statement import Statement
from shared.ids import city_of, parse_id
from shared.invariant import invariant

_RELEASE = """
    SELECT * FROM claim.release(
        CAST(:city_id AS smallint), :claim_id, :reopen, :reason, :actor
    )
"""


async def void_claim(
    opened: Resources, operator: Principal, claim_id: str, wanted: NewVoid
) -> VoidView:
    """Void a claim; when this returns, none of its vouchers can be redeemed any more.

    A claim that was voided before stays as it was voided then, and that is the answer.

    Raises:
        NotFound: it is not in the operator's cities.
        ClaimInUse, ClaimExpired: nothing was changed.
    """
    parsed = parse_id(claim_id)
    cities = await visible_cities(opened.database, operator)
    drop_id = None
    if parsed is not None:
        async with opened.database.transaction(cities) as session:
            drop_id = await queries.drop_of_claim(session, parsed)
    if parsed is None or drop_id is None:
        raise NotFound("There is no such claim.")
    row = await opened.database.call(
        _RELEASE,
        {
            "city_id": city_of(parsed),
            "claim_id": parsed,
            "reopen": wanted.reopen,
            "reason": wanted.reason,
            "actor": operator.subject,
        },
    )
    outcome = row["outcome"]
    if outcome == "in_use":
        raise ClaimInUse("Release or reverse what tills hold or took of it first.")
    if outcome == "expired":
        raise ClaimExpired
    invariant(outcome in {"released", "released_before"}, f"claim.release answered {outcome}")
    await opened.teller.tell(drop_id, Statement.of_row({**row}))
    return await _voided(opened, parsed)


async def _voided(opened: Resources, claim_id: UUID) -> VoidView:
    async with opened.database.transaction([city_of(claim_id)]) as session:
        void = await queries.find_void(session, claim_id)
    invariant(void is not None, f"claim {claim_id} was released without a record of it")
    assert void is not None  # noqa: S101 - narrows the type; the line above checks it
    return void
