"""`python -m loadtests.drop`: a timed drop under Locust, believed only after its audit."""

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests.deployment import Deployment, deployed
from loadtests.drop import report
from loadtests.drop.record import PLAN_VARIABLE, Plan, Record, dump_plan, load_record
from loadtests.faults import LoadTestError
from loadtests.planning import Drop, Planner
from loadtests.provenance import provenance
from loadtests.residents import Residents
from loadtests.verdict import Acknowledged, audit_books, broken, faults_of_drop
from shared.gate.statement import microseconds

# Locust takes about two seconds to start; a crowd that is still spawning at T-0 is no spike.
_LOCUST_STARTS_S = 4.0
_CROWD_PATIENCE_S = 60.0
_GRACE_S = 30.0


@dataclass(frozen=True, slots=True)
class Size:
    """How big the drop is; `arrivals_per_s` is how fast the crowd gathers before T-0."""

    residents: int
    packs: int
    workers: int
    arrivals_per_s: int


def main(
    users: Annotated[int, typer.Option(min=1, max=20_000, help="Residents in the crowd.")] = 2000,
    packs: Annotated[int, typer.Option(min=1, max=20_000, help="The drop's quota.")] = 500,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Claim processes.")] = 2,
    spawn_rate: Annotated[
        int, typer.Option(min=1, max=2000, help="Residents a second who gather before T-0.")
    ] = 250,
) -> None:
    """Play a timed drop; exit 1 unless every answer is right and every invariant holds."""
    console = Console()
    console.print(str(provenance("loadtests.drop")), highlight=False)
    try:
        faults = asyncio.run(play(console, Size(users, packs, workers, spawn_rate)))
    except LoadTestError as error:
        faults = [str(error)]
    for fault in faults:
        console.print(f"WRONG: {fault}", style="red", markup=False, highlight=False)
    if not faults:
        console.print("Every acknowledged claim is in the ledger once; every invariant holds.")
    raise typer.Exit(1 if faults else 0)


async def play(console: Console, size: Size) -> list[str]:
    """Run the drop and return what is wrong with it. Raises LoadTestError without a result."""
    async with deployed(workers=size.workers) as deployment:
        with tempfile.TemporaryDirectory(prefix="fairdrop-drop-") as folder:
            opens_in_s = _LOCUST_STARTS_S + 1.5 * size.residents / size.arrivals_per_s
            opens_at = datetime.now(UTC) + timedelta(seconds=opens_in_s)
            async with Planner(deployment) as planner:
                drop = await planner.publish("Drop", quota=size.packs, opens_at=opens_at)
            residents = Residents(deployment.data.path, deployment.postgres_url)
            subjects = [f"resident-{number}" for number in range(size.residents)]
            tokens_path = Path(folder) / "tokens"
            tokens_path.write_text("\n".join(residents.tokens(subjects)))
            plan = Plan(
                drop_id=str(drop.drop_id),
                opens_at_us=microseconds(opens_at),
                residents=size.residents,
                tokens_path=str(tokens_path),
                record_path=str(Path(folder) / "record"),
            )
            code = await _gather_crowd(deployment, plan, size, Path(folder))
            record = _record_of(plan, code)
        console.print(report.table(record, residents=size.residents, packs=size.packs))
        faults = [f"Locust exited with {code}; its failures stand above"] if code else []
        return faults + await _faults(deployment, drop, record, size)


async def _gather_crowd(deployment: Deployment, plan: Plan, size: Size, folder: Path) -> int:
    """Run Locust to its end; return its exit code, 1 where any answer was not expected."""
    plan_path = folder / "plan"
    dump_plan(plan, plan_path)
    limit_s = int(_CROWD_PATIENCE_S + size.residents / size.arrivals_per_s)
    options = {
        "--locustfile": str(Path(__file__).with_name("crowd.py")),
        "--host": deployment.urls["claim"],
        "--users": str(size.residents),
        "--spawn-rate": str(size.arrivals_per_s),
        "--run-time": f"{limit_s}s",
    }
    locust = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "--headless", "--only-summary", "--loglevel", "ERROR"),
        *(text for option in options.items() for text in option),
        env={**os.environ, PLAN_VARIABLE: str(plan_path)},
    )
    try:
        return await asyncio.wait_for(locust.wait(), limit_s + _GRACE_S)
    except TimeoutError:
        raise LoadTestError(f"Locust had not ended after {limit_s + _GRACE_S:.0f} s") from None
    finally:
        if locust.returncode is None:
            locust.kill()
            await locust.wait()


def _record_of(plan: Plan, code: int) -> Record:
    path = Path(plan.record_path)
    if not path.exists():
        raise LoadTestError(f"Locust exited with {code} before its crowd had claimed anything")
    return load_record(path)


async def _faults(deployment: Deployment, drop: Drop, record: Record, size: Size) -> list[str]:
    found = report.faults_of_crowd(record, residents=size.residents, packs=size.packs)
    if deployment.restarted():
        found.append("a claim process died during the drop")
    told = [Acknowledged(*claim) for claim in record.acknowledged]
    found += await faults_of_drop(deployment.postgres_url, drop, told, unheard_max=0)
    return found + broken(await audit_books(deployment))


if __name__ == "__main__":
    typer.run(main)
