"""`fairdrop`: the commands, each a few lines that compose what the packages offer."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from rich.console import Console

from services.auditing import audit as run_audit
from services.auditing import print_report
from services.clocking import move_clock, read_clock
from services.demo.playing import DemoOptions, play
from services.durations import parse_duration
from services.reaching import NothingServesError, running, servers
from services.seeding import ProgrammeFileError, SeedRefusedError, seed_file
from services.supervising.serving import ServeOptions
from services.supervising.serving import serve as run_services
from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.keys import IdentityProviderError
from shared.auth.principals import ClaimsRefusedError
from shared.clock import rfc3339
from shared.db.durability import NotDurableError
from shared.embedded.errors import EmbeddedServerError
from shared.migrations.migrate import DatabaseNewerError
from shared.secrets import SecretsError
from shared.settings import data_dir

app = typer.Typer(
    help="Public voucher programmes (消费券): timed drops on a double-entry ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_T = TypeVar("_T")
_EXPECTED = (
    ClaimsRefusedError,
    DatabaseNewerError,
    EmbeddedServerError,
    IdentityProviderError,
    NotDurableError,
    NothingServesError,
    ProgrammeFileError,
    SecretsError,
    SeedRefusedError,
    OSError,
    asyncpg.PostgresError,
)

Data = Annotated[
    Path | None,
    typer.Option(help="The data dir; else FAIRDROP_DATA, else .fairdrop.", show_default=False),
]


class RoleName(StrEnum):
    """The roles of development tokens."""

    RESIDENT = "resident"
    OPERATOR = "operator"
    APPROVER = "approver"
    FINANCE = "finance"
    AUDITOR = "auditor"


def _chosen(data: Path | None) -> Path:
    return data if data is not None else data_dir(os.environ)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a command; what a user can mend is said in one line, without a traceback."""
    try:
        return asyncio.run(work)
    except _EXPECTED as error:
        sys.stderr.write(f"fairdrop: {error}\n")
        raise typer.Exit(1) from None


@app.command()
def serve(
    data: Data = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port_base: Annotated[
        int, typer.Option(help="campaign +0, claim +1, ledger +3; 0 takes free ports.")
    ] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Claim processes.")] = 1,
) -> None:
    """Start the servers, migrate, and run every service until SIGTERM or Ctrl-C."""
    options = ServeOptions(_chosen(data).resolve(), host, port_base, workers)
    raise typer.Exit(_run(run_services(options)))


@app.command()
def demo(
    scale: Annotated[
        int | None, typer.Option(min=100, max=200_000, help="Packs to give away.")
    ] = None,
    programme: Annotated[
        Path, typer.Option(help="The programme file to play.", exists=True, dir_okay=False)
    ] = Path("examples/hangzhou-2020-round-5.toml"),
    data: Annotated[
        Path, typer.Option(help="A data dir of the demo's own; it is emptied first.")
    ] = Path(".fairdrop/demo"),
) -> None:
    """Play a real programme's drop end to end; exit 0 only if every invariant holds."""
    options = DemoOptions(programme=programme, data=data.resolve(), packs=scale)
    raise typer.Exit(_run(play(options, Console())))


@app.command()
def token(
    role: Annotated[RoleName, typer.Option(help="What the token may do.")],
    sub: Annotated[str, typer.Option(help="Its subject: a pseudonym.")],
    attr: Annotated[
        list[str] | None, typer.Option(help="A resident's attribute, as city=330100.")
    ] = None,
    city: Annotated[
        list[str] | None, typer.Option(help="A city that staff act for; * for all.")
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=5_000_000, help="This many: SUB-000000, SUB-000001, …")
    ] = None,
    data: Data = None,
) -> None:
    """Print development tokens for a data dir, one a line."""
    try:
        attributes = dict(_attribute(text) for text in attr or [])
        issuer = DevelopmentIssuer(_chosen(data))
        subjects = [sub] if count is None else [f"{sub}-{n:06d}" for n in range(count)]
        for subject in subjects:
            issued = issuer.issue(subject, [role], cities=city or (), attributes=attributes)
            sys.stdout.write(issued + "\n")
    except BrokenPipeError:
        sys.stderr.close()
    except _EXPECTED as error:
        sys.stderr.write(f"fairdrop: {error}\n")
        raise typer.Exit(1) from None


def _attribute(text: str) -> tuple[str, str | list[str]]:
    name, separator, value = text.partition("=")
    if not separator or not name or not value:
        raise typer.BadParameter(f"{text!r} is not of the form name=value", param_hint="--attr")
    return name, value.split(",") if name == "lanes" else value


@app.command()
def seed(
    file: Annotated[Path, typer.Argument(help="A programme file.", exists=True, dir_okay=False)],
    data: Data = None,
) -> None:
    """Create a programme with its funding and drops on the running services."""
    chosen = _chosen(data)

    async def plant() -> None:
        await seed_file(file, running(chosen)["urls"], DevelopmentIssuer(chosen), Console())

    _run(plant())


@app.command()
def clock(
    advance: Annotated[
        str | None, typer.Option(help="Move the development clock forward: 8d, 12h, 1d12h.")
    ] = None,
    data: Data = None,
) -> None:
    """Show the clock of a data dir, or move it."""
    try:
        by = None if advance is None else parse_duration(advance)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--advance") from None

    async def tell() -> None:
        async with servers(_chosen(data)) as reached:
            reading = (
                await read_clock(reached.postgres_url)
                if by is None
                else await move_clock(reached.postgres_url, by)
            )
        sys.stdout.write(f"{rfc3339(reading.now)} (real time + {reading.offset})\n")

    _run(tell())


@app.command()
def audit(data: Data = None) -> None:
    """Check every invariant over every city; exit 1 if any row offends."""

    async def check() -> bool:
        async with servers(_chosen(data)) as reached:
            checks = await run_audit(reached.postgres_url, reached.redis_url)
        print_report(checks, Console())
        return all(check.offenders == 0 for check in checks)

    raise typer.Exit(0 if _run(check()) else 1)


if __name__ == "__main__":
    app()
