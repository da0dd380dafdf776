"""`python -m loadtests`: a timed drop and its vouchers at the tills, believed after an audit."""

import asyncio
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtests.deployment import deployed
from loadtests.drop import report as drop_report
from loadtests.drop.playing import DropSize, play_drop
from loadtests.faults import LoadTestError
from loadtests.planning import Planner
from loadtests.provenance import RESULTS, keep_result, provenance
from loadtests.tills import report as tills_report
from loadtests.tills.playing import TillsSize, play_tills
from loadtests.verdict import audit_books, broken
from shared.clock import rfc3339

# How fast residents gather before T-0: as fast as Locust starts them.
_GATHERING_PER_S = 250


@dataclass(frozen=True, slots=True)
class Sizes:
    """How big everything is."""

    workers: int
    drop: DropSize
    tills: TillsSize


def main(
    users: Annotated[int, typer.Option(min=1, max=20_000, help="Residents in the crowd.")] = 2000,
    packs: Annotated[int, typer.Option(min=1, max=20_000, help="The drop's quota.")] = 500,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Claim processes.")] = 2,
    tills: Annotated[int, typer.Option(min=2, max=1000, help="Tills.")] = 40,
    customers_per_s: Annotated[
        int, typer.Option(min=1, max=2000, help="Customers a second at all tills together.")
    ] = 150,
    results: Annotated[Path, typer.Option(help="Where a sound result is kept.")] = RESULTS,
) -> None:
    """Play a drop and redeem its vouchers; exit 1 unless every answer and every book is right."""
    console = Console()
    sizes = Sizes(
        workers, DropSize(users, packs, _GATHERING_PER_S), TillsSize(tills, customers_per_s)
    )
    began_s = time.monotonic()
    try:
        faults = asyncio.run(play(console, sizes, results))
    except LoadTestError as error:
        faults = [str(error)]
    for fault in faults:
        console.print(f"WRONG: {fault}", style="red", markup=False, highlight=False)
    if not faults:
        console.print("Every acknowledged claim and every acknowledged capture is in the ledger")
        console.print("exactly once; every invariant holds.")
    console.print(f"Took {time.monotonic() - began_s:.0f} s.", highlight=False)
    raise typer.Exit(1 if faults else 0)


async def play(console: Console, sizes: Sizes, results: Path) -> list[str]:
    """Play both and return what is wrong. Raises LoadTestError without a result."""
    origin, made_at = provenance("loadtests"), datetime.now(UTC)
    console.print(str(origin), highlight=False)
    with tempfile.TemporaryDirectory(prefix="fairdrop-crowds-") as folder:
        async with deployed(workers=sizes.workers) as deployment, Planner(deployment) as planner:
            dropped = await play_drop(deployment, planner, sizes.drop, Path(folder))
            console.print(
                drop_report.table(
                    dropped.record, residents=sizes.drop.residents, packs=sizes.drop.packs
                )
            )
            redeemed = await play_tills(
                *(deployment, planner, sizes.tills, Path(folder)),
                drop=dropped.drop,
                claims=[claim_id for claim_id, _ in dropped.record.acknowledged],
            )
            console.print(
                tills_report.table(
                    redeemed.record,
                    customers=redeemed.customers,
                    tills=sizes.tills.tills,
                    customers_per_s=sizes.tills.customers_per_s,
                )
            )
            faults = dropped.faults + redeemed.faults + broken(await audit_books(deployment))
            if deployment.restarted():
                faults.append("a process died under the load")
    if not faults:
        content = {
            "made_at": rfc3339(made_at),
            "origin": asdict(origin),
            "sizes": asdict(sizes),
            "drop": drop_report.figures(dropped.record),
            "tills": tills_report.figures(redeemed.record),
        }
        path = keep_result("load", content, results, made_at=made_at, commit=origin.commit)
        console.print(f"Kept as {path}", highlight=False)
    return faults


if __name__ == "__main__":
    typer.run(main)
