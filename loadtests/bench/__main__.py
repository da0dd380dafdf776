"""`python -m loadtests.bench`: claims per second over a FastAPI echo, in one run."""

import asyncio
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests.bench import report, wrk
from loadtests.bench.figures import FIGURES, Measured, Round, measure, wrong_answers
from loadtests.bench.pinning import choose_cores
from loadtests.bench.rounds import Bench, echoing
from loadtests.bench.wrk import Load
from loadtests.deployment import deployed
from loadtests.faults import LoadTestError
from loadtests.planning import Planner
from loadtests.provenance import RESULTS, keep_result, provenance
from loadtests.verdict import audit_books, broken


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures, and every reason not to believe them."""

    measured: list[Measured]
    faults: list[str]


def main(
    connections: Annotated[int, typer.Option(min=1, max=4096, help="Open at once.")] = 64,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Each measures every figure.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, max=60, help="Of one figure in a round.")] = 3,
    threads: Annotated[int, typer.Option(min=1, max=16, help="Of wrk.")] = 1,
    results: Annotated[Path, typer.Option(help="Where the result is kept.")] = RESULTS,
) -> None:
    """Measure claims as ratios to a FastAPI echo; exit 1 if any answer or any book is wrong."""
    console = Console()
    load = Load(connections, min(threads, connections), seconds)
    began_s = time.monotonic()
    try:
        outcome = asyncio.run(bench(console, load, rounds, results))
    except LoadTestError as error:
        console.print(f"No result: {error}", style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    console.print(f"Took {time.monotonic() - began_s:.0f} s.", highlight=False)
    raise typer.Exit(1 if outcome.faults else 0)


async def bench(console: Console, load: Load, rounds: int, results: Path) -> Outcome:
    """Measure, check, report, and keep the result if it may be believed.

    Raises:
        LoadTestError: it could not be measured.
    """
    program = wrk.find_or_install()
    origin = provenance("loadtests.bench")
    pinning = choose_cores()
    made_at = datetime.now(UTC)
    console.print(f"{origin}\n{pinning}", highlight=False)
    pinning.take_others()
    async with deployed(workers=1) as deployment, echoing(pinning) as reference:
        pinning.give_measured(deployment.claim_pids[0])
        with tempfile.TemporaryDirectory(prefix="fairdrop-bench-") as folder:
            async with Planner(deployment) as planner:
                running = Bench(
                    deployment,
                    planner,
                    program=program,
                    load=load,
                    reference=reference,
                    folder=Path(folder),
                )
                console.print("Warming up ...")
                await running.warm_up()
                played: list[Round] = []
                for number in range(1, rounds + 1):
                    console.print(f"Round {number} of {rounds} ...", highlight=False)
                    played.append(await running.round())
            faults = await running.faults()
        console.print("Auditing ...")
        faults += broken(await audit_books(deployment))
    for one in played:
        faults += [text for figure in FIGURES for text in wrong_answers(figure, one[figure])]
    outcome = Outcome([measure(figure, played) for figure in FIGURES], faults)
    _tell(console, outcome)
    if not faults:
        content = report.document(
            outcome.measured,
            load=load,
            rounds=rounds,
            pinning=pinning,
            made_at=made_at,
            origin=origin,
        )
        path = keep_result("bench", content, results, made_at=made_at, commit=origin.commit)
        console.print(f"Kept in {path}", highlight=False)
    return outcome


def _tell(console: Console, outcome: Outcome) -> None:
    console.print(report.table(outcome.measured))
    report.print_notes(console, outcome.measured)
    for fault in outcome.faults:
        console.print(f"WRONG: {fault}", style="red", markup=False, highlight=False)
    if outcome.faults:
        console.print("These figures are not a result.", style="red")
    else:
        console.print("Every acknowledged claim is in the ledger once; every invariant holds.")


if __name__ == "__main__":
    typer.run(main)
