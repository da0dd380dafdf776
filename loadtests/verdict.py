"""Whether a load test may be believed: nothing acknowledged is lost, and the books are sound."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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
_REDEMPTIONS = """
    SELECT
        r.redemption_id::text AS redemption_id, r.claim_id::text AS claim_id, r.position, r.state,
        (
            SELECT count(*) FROM ledger.journals AS j
            WHERE j.city_id = r.city_id AND j.kind = 'J10' AND j.event = r.redemption_id::text
        ) AS captures,
        (
            SELECT count(*) FROM ledger.settlement_records AS s
            WHERE s.city_id = r.city_id AND s.settlement_id = r.settlement_id
                AND s.record_type = 'REDEEM'
        ) AS records
    FROM redeem.redemptions AS r
    WHERE r.city_id = $1 AND r.drop_id = $2
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
    return _first([f"{claim.claim_id} (serial {claim.serial})" for claim in claims])


def _first(shown: Sequence[str]) -> str:
    return ", ".join(shown[:_SHOWN_MAX]) + (" …" if len(shown) > _SHOWN_MAX else "")


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A redemption in the ledger, with its capture journals and settlement records."""

    redemption_id: str
    claim_id: str
    position: int
    state: str
    captures: int
    records: int


async def faults_of_redemptions(
    postgres_url: str, drop: Drop, told: Mapping[str, str]
) -> list[str]:
    """Return how the ledger's redemptions contradict what tills were told of each in the end."""
    connection = await asyncpg.connect(postgres_url)
    try:
        rows = await connection.fetch(_REDEMPTIONS, drop.city_id, drop.drop_id)
    finally:
        await connection.close()
    return compare_redemptions([Redeemed(**row) for row in rows], told)


def compare_redemptions(redeemed: Collection[Redeemed], told: Mapping[str, str]) -> list[str]:
    """Return the contradictions; nothing if every capture told of is booked exactly once."""
    faults = []
    known = {one.redemption_id: one for one in redeemed}
    if lost := sorted(told.keys() - known.keys()):
        faults.append(f"{len(lost)} acknowledged redemptions are not there: {_first(lost)}")
    if unheard := sorted(known.keys() - told.keys()):
        faults.append(f"{len(unheard)} redemptions that no till was told of: {_first(unheard)}")
    other = [
        f"{name} is {known[name].state}, told {state}"
        for name, state in told.items()
        if name in known and known[name].state != state
    ]
    if other:
        faults.append(f"{len(other)} redemptions are not as they were told: {_first(other)}")
    captured = [one for one in redeemed if one.state == "captured"]
    booked = [one.redemption_id for one in captured if (one.captures, one.records) != (1, 1)]
    if booked:
        faults.append(f"{len(booked)} captures are not booked exactly once: {_first(booked)}")
    spent = Counter((one.claim_id, one.position) for one in captured)
    if twice := [f"{claim} {at}" for (claim, at), times in spent.items() if times > 1]:
        faults.append(f"{len(twice)} vouchers were redeemed twice: {_first(twice)}")
    return faults


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
