"""The result for people (a table) and for later comparison (a file)."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from rich.console import Console
from rich.table import Table

from loadtests.bench.figures import ECHO, Measured, Spread
from loadtests.bench.pinning import Pinning
from loadtests.bench.wrk import Load
from loadtests.provenance import Provenance
from shared.clock import rfc3339

_QUIET_SHARE = 0.1


def table(measured: Sequence[Measured]) -> Table:
    """Lay the figures out; below each median stand the smallest and the largest value."""
    shown = Table(title="Claims against a FastAPI echo, in one run", title_justify="left")
    shown.add_column("figure", no_wrap=True)
    for heading in ("per second", "of the echo", "server µs", "p50 ms", "p99 ms"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in measured:
        shown.add_row(
            one.figure.title,
            _cell(one.per_second, ",.0f"),
            "1" if one.figure is ECHO else _cell(one.ratio, ".2f"),
            _cell(one.server_us, ".0f"),
            f"{one.p50_ms.median:.1f}",
            _cell(one.p99_ms, ".1f"),
            end_section=True,
        )
    return shown


def _cell(spread: Spread | None, form: str) -> str:
    if spread is None:
        return "unknown"
    return f"{spread.median:{form}}\n{spread.low:{form}}-{spread.high:{form}}"


def print_notes(console: Console, measured: Sequence[Measured]) -> None:
    """Say what each figure is, how many answers there were of each kind, and what disturbed it."""
    for one in measured:
        counted = ", ".join(f"{count:,} x {answer}" for answer, count in one.answers.most_common())
        broken = f"; {one.socket_errors} socket errors" if one.socket_errors else ""
        console.print(
            f"  {one.figure.title}: {one.figure.meaning}: {counted}{broken}", highlight=False
        )
    waited = max(one.waited_share or 0.0 for one in measured)
    if waited > _QUIET_SHARE:
        console.print(
            f"Something else was running: a server waited for its core {waited:.0%} of the time."
            " Only the processor time of an answer (server µs) is worth comparing.",
            style="yellow",
            highlight=False,
        )


def document(
    measured: Sequence[Measured],
    *,
    load: Load,
    rounds: int,
    pinning: Pinning,
    made_at: datetime,
    origin: Provenance,
) -> dict[str, object]:
    """Return everything about a result that is worth keeping."""
    return {
        "made_at": rfc3339(made_at),
        "origin": asdict(origin),
        "pinning": str(pinning),
        "load": {"generator": "wrk", **asdict(load), "rounds": rounds},
        "figures": {one.figure.name: _figure(one) for one in measured},
    }


def _figure(one: Measured) -> dict[str, object]:
    spreads = {
        "per_second": one.per_second,
        "ratio_to_echo": one.ratio,
        "server_us_per_answer": one.server_us,
        "p50_ms": one.p50_ms,
        "p99_ms": one.p99_ms,
    }
    rounded = {
        name: {edge: round(value, 3) for edge, value in asdict(spread).items()}
        for name, spread in spreads.items()
        if spread is not None
    }
    return {
        "meaning": one.figure.meaning,
        **rounded,
        "server_waited_share": one.waited_share,
        "answers": dict(one.answers),
        "socket_errors": one.socket_errors,
    }
