"""`fairdrop`: the commands, each a few lines that compose what the packages offer."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Coroutine, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
import uvloop
from rich.console import Console

from services.auditing import audit as run_audit
from services.auditing import print_report
from services.clocking import move_clock, read_clock
from services.demo.playing import EXAMPLES, DemoOptions, play
from services.deploying import migrate_given, role_urls
from services.durations import parse_duration
from services.process import run_alone
from services.reaching import NothingServesError, running, servers
from services.seeding import ProgrammeFileError, SeedRefusedError, seed_file
from services.simulating.book import BookTakenError
from services.simulating.serving import SimulateOptions, SimulatorError
from services.simulating.serving import simulate as run_simulator
from services.supervising.serving import ServeOptions
from services.supervising.serving import serve as run_services
from services.till_request import TillRequest, TillRequestError, curl_command, read_body, send
from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.keys import IdentityProviderError
from shared.auth.principals import ClaimsRefusedError
from shared.clock import rfc3339
from shared.counterparties import BANK, ECNY_OPERATOR
from shared.db.durability import NotDurableError
from shared.embedded.errors import EmbeddedServerError
from shared.migrations.migrate import DatabaseNewerError
from shared.secrets import Secrets, SecretsError
from shared.settings import Settings, SettingsError, data_dir

app = typer.Typer(
    help="Public voucher programmes (消费券): timed drops on a double-entry ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_T = TypeVar("_T")
_EXPECTED = (
    BookTakenError,
    ClaimsRefusedError,
    DatabaseNewerError,
    EmbeddedServerError,
    IdentityProviderError,
    NotDurableError,
    NothingServesError,
    ProgrammeFileError,
    SecretsError,
    SeedRefusedError,
    SettingsError,
    SimulatorError,
    TillRequestError,
    OSError,
    asyncpg.PostgresError,
)

Data = Annotated[
    Path | None,
    typer.Option(help="The data dir; else FAIRDROP_DATA, else .fairdrop.", show_default=False),
]


class ServiceName(StrEnum):
    """The services that can be run alone."""

    CAMPAIGN = "campaign"
    CLAIM = "claim"
    REDEEM = "redeem"
    LEDGER = "ledger"


class RoleName(StrEnum):
    """The roles of development tokens."""

    RESIDENT = "resident"
    OPERATOR = "operator"
    APPROVER = "approver"
    FINANCE = "finance"
    AUDITOR = "auditor"


class Simulated(StrEnum):
    """The counterparties that can be simulated."""

    BANK = BANK
    ECNY_OPERATOR = ECNY_OPERATOR


class Method(StrEnum):
    """The methods that tills use."""

    GET = "GET"
    POST = "POST"


def _chosen(data: Path | None) -> Path:
    return data if data is not None else data_dir(os.environ)


@contextlib.contextmanager
def _told_in_a_line() -> Iterator[None]:
    """Say what a user can mend in one line, without a traceback."""
    try:
        yield
    except _EXPECTED as error:
        sys.stderr.write(f"fairdrop: {error}\n")
        raise typer.Exit(1) from None


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    with _told_in_a_line():
        return asyncio.run(work)


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
def run(
    service: Annotated[ServiceName, typer.Argument(help="The service.", show_default=False)],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port.")] = 8000,
) -> None:
    """Serve one service alone until SIGTERM; the environment names its servers."""
    with _told_in_a_line():
        Settings.load(os.environ)  # sooner said here than in the log of a service that ends
    run_alone(service, host=host, port=port)


@app.command()
def migrate(data: Data = None) -> None:
    """Migrate the database that FAIRDROP_POSTGRES_URL names, as its owner."""

    async def bring_up() -> None:
        await migrate_given(os.environ, Secrets.load(_chosen(data)))

    _run(bring_up())


@app.command()
def urls(data: Data = None) -> None:
    """Print the database URL of each service's role, NAME=URL a line, passwords included."""
    with _told_in_a_line():
        named = role_urls(os.environ, Secrets.load(_chosen(data)))
    sys.stdout.writelines(f"{name}={url}\n" for name, url in named.items())


@app.command()
def demo(
    scale: Annotated[
        int | None, typer.Option(min=100, max=200_000, help="Packs to give away in each drop.")
    ] = None,
    programme: Annotated[
        list[Path] | None,
        typer.Option(
            help="A programme file to play, and another; without it the two examples.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    data: Annotated[
        Path, typer.Option(help="A data dir of the demo's own; it is emptied first.")
    ] = Path(".fairdrop/demo"),
) -> None:
    """Play real programmes end to end; exit 0 only if every invariant and check holds."""
    programmes = tuple(programme) if programme else EXAMPLES
    options = DemoOptions(programmes=programmes, data=data.resolve(), packs=scale)
    with _told_in_a_line():
        # The crowd shares its two cores with the servers: a lighter loop leaves them more.
        exit_code = uvloop.run(play(options, Console()))
    raise typer.Exit(exit_code)


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
        issuer = DevelopmentIssuer(chosen)
        await seed_file(file, running(chosen)["urls"], issuer, Console(), data=chosen)

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
def simulate(
    counterparty: Annotated[Simulated, typer.Argument(help="Whom to simulate.")],
    data: Data = None,
    host: Annotated[str, typer.Option(help="The loopback address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port.")] = 0,
) -> None:
    """Run a bank or an e-CNY operator for development, until SIGTERM or Ctrl-C.

    The services of the same data dir find it by themselves. What it booked it keeps in the data
    dir; /simulate says what to do wrong, and /docs how.
    """
    _run(run_simulator(SimulateOptions(counterparty, _chosen(data).resolve(), host, port)))


@app.command()
def till(
    method: Annotated[Method, typer.Argument(help="GET or POST.", case_sensitive=False)],
    url: Annotated[str, typer.Argument(help="As http://127.0.0.1:8002/v1/redemptions.")],
    key_id: Annotated[str, typer.Option(help="The terminal's.", envvar="FAIRDROP_TILL_KEY_ID")],
    secret: Annotated[str, typer.Option(help="As it was shown.", envvar="FAIRDROP_TILL_SECRET")],
    body: Annotated[
        str | None, typer.Option(help="JSON; @FILE reads it from a file, - from stdin.")
    ] = None,
    *,
    curl: Annotated[bool, typer.Option("--curl", help="Print it as a curl command.")] = False,
) -> None:
    """Sign a request as a till does (RFC 9421) and send it; exit 1 if it is refused."""
    with _told_in_a_line():
        request = TillRequest(method, url, key_id, secret, read_body(body))
        if curl:
            sys.stdout.write(curl_command(request) + "\n")
            return
    raise typer.Exit(0 if _run(send(request)) else 1)


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
