"""Whether a load test may be believed: nothing acknowledged is lost, and the books are sound."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import asyncpg

from loadtests.deployment import Deployment
from loadtests.planning import Drop
from services.auditing import audit
from shared.bookkeeping.invariants import Check

_LIVE_CLAIMS = """
    SELECT claim_id::text AS claim_id, serial FROM claim.claims
    WHERE city_id = $1 AND drop_id = $2 AND state = 'live'
"""
_SHOWN_MAX = 3


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a client was told with a 201."""

    claim_id: str
    serial: int


async def faults_of_drop(
    postgres_url: str, drop: Drop, acknowledged: Sequence[Acknowledged], *, unheard_max: int
) -> list[str]:
    """Return what is wrong with a drop's claims, given every 201 that its clients were told.

    `unheard_max` bounds the claims that nobody was told of: those whose answer was on its way when
    a client left.
    """
    connection = await asyncpg.connect(postgres_url)
    try:
        rows = await connection.fetch(_LIVE_CLAIMS, drop.city_id, drop.drop_id)
    finally:
        await connection.close()
    claims = [Acknowledged(row["claim_id"], row["serial"]) for row in rows]
    return compare(claims, acknowledged, quota=drop.quota, unheard_max=unheard_max)


def compare(
    claims: Collection[Acknowledged],
    acknowledged: Collection[Acknowledged],
    *,
    quota: int,
    unheard_max: int,
) -> list[str]:
    """Return how the ledger's live claims contradict what clients were told; nothing if sound."""
    faults = []
    if len(claims) > quota:
        faults.append(f"oversold: {len(claims)} live claims for a quota of {quota}")
    told = Counter(acknowledged)
    if twice := [claim for claim, times in told.items() if times > 1]:
        faults.append(f"{len(twice)} claims were given to two requests: {_some(twice)}")
    if lost := told.keys() - set(claims):
        faults.append(f"{len(lost)} acknowledged claims are not in the ledger: {_some(lost)}")
    unheard = len(set(claims) - told.keys())
    if unheard > unheard_max:
        faults.append(f"{unheard} claims that no client was told of; {unheard_max} are explained")
    return faults


def _some(claims: Collection[Acknowledged]) -> str:
    shown = [f"{claim.claim_id} (serial {claim.serial})" for claim in list(claims)[:_SHOWN_MAX]]
    return ", ".join(shown) + (" …" if len(claims) > _SHOWN_MAX else "")


async def audit_books(deployment: Deployment) -> list[Check]:
    """Run every invariant over every city."""
    return await audit(deployment.postgres_url, deployment.redis_url)


def broken(checks: Collection[Check]) -> list[str]:
    """Return one sentence for each invariant that does not hold."""
    return [
        f"{check.name} has {check.offenders} offenders, such as {check.sample[:1]}"
        for check in checks
        if check.offenders
    ]
