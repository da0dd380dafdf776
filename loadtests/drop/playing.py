"""A timed drop: a crowd at the door, T-0, and the question whether it ended as it must."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from loadtests.crowds import STARTS_S, Crowd
from loadtests.deployment import Deployment
from loadtests.drop import report
from loadtests.drop.record import Plan, Record
from loadtests.planning import Drop, Planner
from loadtests.residents import Residents
from loadtests.verdict import Acknowledged, faults_of_drop
from shared.gate.statement import microseconds

_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class DropSize:
    """How big the drop is; `arrivals_per_s` is how fast the crowd gathers before T-0."""

    residents: int
    packs: int
    arrivals_per_s: int


@dataclass(frozen=True, slots=True)
class Played:
    """A drop after its crowd has gone, and what was wrong."""

    drop: Drop
    record: Record
    faults: list[str]


async def play_drop(
    deployment: Deployment, planner: Planner, size: DropSize, folder: Path
) -> Played:
    """Publish a drop and run its crowd to the end. Raises LoadTestError without a result."""
    gathering_s = size.residents / size.arrivals_per_s
    opens_at = datetime.now(UTC) + timedelta(seconds=STARTS_S + 1.5 * gathering_s)
    drop = await planner.publish("Drop", quota=size.packs, opens_at=opens_at)
    subjects = [f"resident-{number}" for number in range(size.residents)]
    tokens_path = folder / "tokens"
    residents = Residents(deployment.data.path, deployment.postgres_url)
    tokens_path.write_text("\n".join(residents.tokens(subjects)))
    crowd = Crowd(
        Path(__file__).with_name("crowd.py"),
        host=deployment.urls["claim"],
        users=size.residents,
        per_s=size.arrivals_per_s,
        limit_s=int(_PATIENCE_S + gathering_s),
    )
    plan = Plan(
        drop_id=str(drop.drop_id),
        opens_at_us=microseconds(opens_at),
        residents=size.residents,
        tokens_path=str(tokens_path),
    )
    record, faults = await crowd.play(plan, Record, folder)
    faults += report.faults_of_crowd(record, residents=size.residents, packs=size.packs)
    told = [Acknowledged(*claim) for claim in record.acknowledged]
    faults += await faults_of_drop(deployment.postgres_url, drop, told, unheard_max=0)
    return Played(drop, record, faults)
