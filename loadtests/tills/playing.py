"""The winners of a drop spend their vouchers: a crowd at the tills, and what it was told."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loadtests.crowds import STARTS_S, Crowd
from loadtests.deployment import Deployment
from loadtests.planning import PACK_VOUCHERS, Drop, Planner
from loadtests.tills import report
from loadtests.tills.record import Customer, Plan, Record
from loadtests.tills.scenes import SHARES
from loadtests.verdict import faults_of_redemptions
from shared.gate.statement import microseconds

_PATIENCE_S = 60
_TILLS_OPEN_PER_S = 100
# The same customers in every run.
_SEED = 20200420


@dataclass(frozen=True, slots=True)
class TillsSize:
    """How many tills there are, and how many customers come a second to all of them."""

    tills: int
    customers_per_s: int


@dataclass(frozen=True, slots=True)
class Played:
    """Tills whose customers have gone, and what was wrong."""

    customers: int
    record: Record
    faults: list[str]


async def play_tills(
    deployment: Deployment,
    planner: Planner,
    size: TillsSize,
    folder: Path,
    *,
    drop: Drop,
    claims: Sequence[str],
) -> Played:
    """Let every voucher of these claims be redeemed. Raises LoadTestError without a result."""
    terminals = await planner.enrol_terminals(size.tills)
    customers = cast_customers(claims)
    opens_in_s = STARTS_S + size.tills / _TILLS_OPEN_PER_S
    plan = Plan(
        data_dir=str(deployment.data.path),
        starts_at_us=microseconds(datetime.now(UTC) + timedelta(seconds=opens_in_s)),
        customers_per_s=size.customers_per_s,
        terminals=terminals,
        customers=customers,
    )
    crowd = Crowd(
        Path(__file__).with_name("crowd.py"),
        host=deployment.urls["redeem"],
        users=size.tills,
        per_s=_TILLS_OPEN_PER_S,
        limit_s=int(_PATIENCE_S + opens_in_s + len(customers) / size.customers_per_s),
    )
    record, faults = await crowd.play(plan, Record, folder)
    faults += report.faults_of_crowd(record, customers=len(customers))
    faults += await faults_of_redemptions(deployment.postgres_url, drop, record.redemptions)
    return Played(len(customers), record, faults)


def cast_customers(claims: Sequence[str]) -> list[Customer]:
    """Return a customer for each voucher, in a random order that is always the same."""
    dice = random.Random(_SEED)
    vouchers = [(claim, position) for claim in claims for position in range(PACK_VOUCHERS)]
    dice.shuffle(vouchers)
    scenes = [scene for scene, share in SHARES.items() for _ in range(share)]
    played: list[str] = []
    while len(played) < len(vouchers):
        dice.shuffle(scenes)
        played += scenes
    return [(*voucher, scene) for voucher, scene in zip(vouchers, played, strict=False)]
