"""`fairdrop demo`: a real programme's drop from an empty data dir to a sound audit."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
from pydantic import ValidationError
from rich.console import Console

from services.auditing import audit, print_report
from services.demo.checking import check_log
from services.demo.crowd import CrowdModel, draw_crowd
from services.demo.racing import race
from services.demo.reporting import fetch_balances, print_money, print_results, yuan
from services.demo.showing import Stage
from services.demo.stack import DemoError, Stack, empty_data_dir, log_tail, serving
from services.programme_file import ProgrammeFile, read_programme_file
from services.seeding import Seeded, SeedRefusedError, plant
from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.roles import Role
from shared.bookkeeping.invariants import is_sound
from shared.embedded.errors import EmbeddedServerError

_OPENS_AFTER_S = 5.0
_SIGNED_AT_ONCE = 200
_EXPECTED = (
    DemoError,
    EmbeddedServerError,
    SeedRefusedError,
    aiohttp.ClientError,
    asyncpg.PostgresError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`packs` None means as many as the programme file's [demo] table says."""

    programme: Path
    data: Path
    packs: int | None


async def play(options: DemoOptions, console: Console) -> int:
    """Play the demo; return 0 if everything sold out and every check holds, else 1.

    Raises:
        ProgrammeFileError: the file cannot be used; nothing was started.
    """
    real = read_programme_file(options.programme)
    stage = Stage(console)
    sound = False
    try:
        with _ended_by_sigterm():
            empty_data_dir(options.data)
            started_s = time.monotonic()
            async with serving(options.data) as stack:
                took_s = time.monotonic() - started_s
                stage.step("Servers", f"Postgres, Valkey and the services in {took_s:.1f} s")
                sound = await _play_on(stage, stack, options, real)
    except _EXPECTED as error:
        stage.say(f"\nThe demo failed: {str(error) or type(error).__name__}")
    except ExceptionGroup as faults:
        stage.say(f"\nThe demo failed: {faults.exceptions[0]!r}")
    if not sound:
        _say_log_tail(stage, options.data)
        return 1
    data = _as_typed(options.data)
    stage.say(
        f"The servers are stopped, the books are in {data}; look again with"
        f" fairdrop serve --data {data} or fairdrop audit --data {data}"
    )
    return 0


async def _play_on(stage: Stage, stack: Stack, options: DemoOptions, real: ProgrammeFile) -> bool:
    file, model = _scaled(real, options.packs)
    issuer = DevelopmentIssuer(options.data)
    visits = draw_crowd(model)
    tokens = await _sign_tokens(stage, issuer, model.residents)
    seeded = await plant(file, stack.urls, issuer, opens_after_s=_OPENS_AFTER_S)
    _say_seeded(stage, file, seeded)
    log, read_back = await race(
        stage, seeded.drops[0], stack.urls["claim"], model=model, visits=visits, tokens=tokens
    )
    stage.step("Audit", "every invariant over every city")
    checks = [
        *check_log(log, read_back, model.packs),
        *await audit(stack.postgres_url, stack.redis_url),
    ]
    accounts = await fetch_balances(
        stack.urls["ledger"],
        issuer,
        city_code=file.programme.city_code,
        programme_id=seeded.programme_id,
    )
    stage.say("")
    print_results(log, visits, file, real, stage.console)
    print_money(accounts, real.source.redemption, model.packs, stage.console)
    print_report(checks, stage.console)
    return is_sound(checks)


def _scaled(real: ProgrammeFile, packs: int | None) -> tuple[ProgrammeFile, CrowdModel]:
    if real.demo is None:
        raise DemoError("The programme file has no [demo] table, which says how to play it.")
    try:
        model = real.demo if packs is None else real.demo.scaled(packs)
    except ValidationError as error:
        raise DemoError(f"{packs:,} packs need a crowd that is too large: {error}") from None
    return real.scaled(model.packs), model


async def _sign_tokens(stage: Stage, issuer: DevelopmentIssuer, residents: int) -> list[str]:
    tokens: list[str] = []
    with stage.bar("Tokens", residents) as tell:
        while len(tokens) < residents:
            following = range(len(tokens), min(len(tokens) + _SIGNED_AT_ONCE, residents))
            tokens += [issuer.issue(f"resident-{n:06d}", [Role.RESIDENT]) for n in following]
            tell(len(tokens), f"{len(tokens):,} of {residents:,} residents have one")
            await asyncio.sleep(0)
    return tokens


def _say_seeded(stage: Stage, file: ProgrammeFile, seeded: Seeded) -> None:
    drop = seeded.drops[0]
    money = yuan(drop.quota * drop.pack_face_fen)
    stage.step("Programme", f"{file.programme.name}, {drop.name}: {drop.quota:,} packs")
    stage.step("Money", f"{money} yuan funded, and reserved for the drop")


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as a failure, so that its servers are stopped like after any."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine always runs in a task
    told_to_stop = False

    def stop() -> None:
        nonlocal told_to_stop
        told_to_stop = True
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)
    try:
        yield
    except asyncio.CancelledError:
        if not told_to_stop:
            raise
        task.uncancel()
        raise DemoError("it was told to stop") from None
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def _as_typed(path: Path) -> Path:
    """Return a path below the working directory as one would type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _say_log_tail(stage: Stage, data: Path) -> None:
    tail = log_tail(data)
    if tail:
        stage.say(f"The last lines of the servers' log:\n{tail}")
