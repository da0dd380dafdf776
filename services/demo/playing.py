"""`fairdrop demo`: real programmes from an empty data dir to a sound audit and a report."""

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import asyncpg
from pydantic import ValidationError
from rich.console import Console

from services.auditing import audit, print_report
from services.demo.calendar import Calendar, opening_on
from services.demo.checking import check_log
from services.demo.checking_week import check_end, check_statements, check_tills, holdings
from services.demo.crowd import draw_crowd
from services.demo.desk import DeskError
from services.demo.flows import read_moved
from services.demo.played import Plan, Played
from services.demo.provenance import describe_machine, find_commit
from services.demo.racing import race
from services.demo.report.page import render
from services.demo.report.story import CheckLine, ProgrammeStory, Story
from services.demo.reporting import print_results, yuan
from services.demo.showing import Stage
from services.demo.stack import DemoError, Stack, empty_data_dir, log_tail, serving
from services.demo.storytelling import tell_programme
from services.demo.tables import print_programme
from services.demo.treasury import Treasury, reach_treasury
from services.demo.weeks import Office, Week, open_office
from services.programme_file import ProgrammeFile, read_playable_file
from services.seeding import Seeded, SeedRefusedError, plant
from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.roles import Role
from shared.bookkeeping.invariants import Check, is_sound
from shared.counterparties import BANK, ECNY_OPERATOR
from shared.embedded.errors import EmbeddedServerError
from shared.invariant import InvariantViolatedError

EXAMPLES = (
    Path("examples/hangzhou-2020-round-5.toml"),
    Path("examples/chengdu-2022-ecny.toml"),
)
"""What `make demo` plays: one programme on each rail."""

_PLANTED_BEFORE = timedelta(minutes=10)
_OPENS_AFTER = timedelta(seconds=4)
_SIGNED_AT_ONCE = 200
_REPORT = "report.html"
_EXPECTED = (
    DemoError,
    DeskError,
    EmbeddedServerError,
    InvariantViolatedError,
    SeedRefusedError,
    aiohttp.ClientError,
    asyncpg.PostgresError,
    OSError,
    TimeoutError,
)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`packs` None means as many in each drop as its programme file says."""

    programmes: tuple[Path, ...]
    data: Path
    packs: int | None


async def play(options: DemoOptions, console: Console) -> int:
    """Play the demo; return 0 if everything sold out and every check holds, else 1.

    Raises:
        ProgrammeFileError: a file cannot be used, or not yet; nothing was started.
    """
    reals = [read_playable_file(path) for path in options.programmes]
    stage = Stage(console)
    sound = False
    try:
        with _ended_by_sigterm():
            empty_data_dir(options.data)
            started_s = time.monotonic()
            async with serving(options.data, simulated=(BANK, ECNY_OPERATOR)) as stack:
                took_s = time.monotonic() - started_s
                stage.step(
                    "Servers", f"Postgres, Valkey, services and simulators in {took_s:.1f} s"
                )
                async with reach_treasury(options.data) as treasury:
                    sound = await _Demo(stage, stack, options, treasury).play(reals)
    except _EXPECTED as error:
        stage.say(f"\nThe demo failed: {str(error) or type(error).__name__}")
    except ExceptionGroup as faults:
        stage.say(f"\nThe demo failed: {_first(faults)}")
    if not sound:
        _say_log_tail(stage, options.data)
        return 1
    data = _as_typed(options.data)
    stage.say(
        f"The servers are stopped, the books are in {data}; look again with"
        f" fairdrop serve --data {data} or fairdrop audit --data {data}"
    )
    stage.say(f"The report is {data / _REPORT}: open it in a browser.")
    return 0


class _Demo:
    """One run on servers that are up."""

    def __init__(
        self, stage: Stage, stack: Stack, options: DemoOptions, treasury: Treasury
    ) -> None:
        self._stage = stage
        self._stack = stack
        self._options = options
        self._treasury = treasury
        self._issuer = DevelopmentIssuer(options.data)
        self._calendar = Calendar(stack.postgres_url, treasury)

    async def play(self, reals: Sequence[ProgrammeFile]) -> bool:
        await self._calendar.set()
        first_day = self._calendar.today + timedelta(days=1)
        plans = [_prepare(real, self._options.packs) for real in reals]
        residents = max(plan.crowd.residents for plan in plans)
        tokens = await _sign_tokens(self._stage, self._issuer, residents)
        openings = [opening_on(first_day, plan.file.drops[0].opens_at) for plan in plans]
        held = {
            number: await self._hold_drop(plans[number], tokens, openings[number])
            for number in sorted(range(len(plans)), key=lambda number: openings[number])
        }
        all_played = [held[number] for number in range(len(plans))]
        async with AsyncExitStack() as open_offices:
            offices = [
                await open_offices.enter_async_context(
                    open_office(self._stack, self._issuer, plan.file.programme.city_code)
                )
                for plan in plans
            ]
            week = Week(self._stage, self._treasury, self._calendar, first_day)
            await week.play(all_played, offices, self._stack)
            return await self._judge(all_played, offices)

    async def _hold_drop(self, plan: Plan, tokens: Sequence[str], opens_at: datetime) -> Played:
        """Make the programme, and let the crowd come."""
        await self._calendar.move_to(opens_at - _PLANTED_BEFORE)
        seeded = await plant(
            plan.file, self._stack.urls, self._issuer, treasury=self._treasury, opens_at=opens_at
        )
        self._say_seeded(plan.file, seeded)
        await self._calendar.move_to(opens_at - _OPENS_AFTER)
        claims, read_back = await race(
            self._stage,
            plan,
            seeded.drops[0],
            self._stack.urls["claim"],
            tokens=tokens,
            until_open_s=(opens_at - self._calendar.now()).total_seconds(),
        )
        return Played(plan, tokens, seeded, claims, read_back)

    async def _judge(self, all_played: Sequence[Played], offices: Sequence[Office]) -> bool:
        """Check everything, tell it on the console and in the report."""
        self._stage.step("Audit", "every invariant over every city, and what everybody was told")
        checks: list[Check] = []
        stories: list[ProgrammeStory] = []
        for played, office in zip(all_played, offices, strict=True):
            finance = office.staff.finance
            played.records = await finance.list(
                "/v1/settlement-records", programme_id=played.programme_id
            )
            balances = await finance.get("/v1/trial-balance", programme_id=played.programme_id)
            of_one = [
                *check_log(played.claims, played.read_back, played.drop.quota),
                *check_tills(played.tills, played.live_records),
                *check_statements(played.reconciled),
                *check_end(
                    balances["accounts"],
                    await holdings(self._treasury, played, balances["accounts"]),
                ),
            ]
            checks = _joined(checks, of_one)
            moved = await read_moved(self._stack.postgres_url, played.programme_id)
            stories.append(tell_programme(played, moved))
        checks += await audit(self._stack.postgres_url, self._stack.redis_url)
        self._tell(all_played, stories, checks)
        return is_sound(checks)

    def _tell(
        self, all_played: Sequence[Played], stories: Sequence[ProgrammeStory], checks: list[Check]
    ) -> None:
        self._stage.say("")
        for played, told in zip(all_played, stories, strict=True):
            print_results(played, self._stage.console)
            print_programme(told, self._stage.console)
        print_report(checks, self._stage.console)
        story = Story(
            made_at=datetime.now(UTC),
            commit=find_commit(),
            machine=describe_machine(),
            programmes=stories,
            checks=[CheckLine(check.name, check.description, check.offenders) for check in checks],
        )
        (self._options.data / _REPORT).write_text(render(story), encoding="utf-8")

    def _say_seeded(self, file: ProgrammeFile, seeded: Seeded) -> None:
        [drop] = seeded.drops
        tills = sum(len(shop.tills) for shop in seeded.shops)
        money = yuan(drop.quota * drop.pack_face_fen)
        self._stage.step("Programme", f"{file.programme.name}, {drop.name}: {drop.quota:,} packs")
        self._stage.step("Money", f"{money} yuan funded, and reserved for the drop")
        self._stage.step(
            "Shops", f"{len(seeded.shops)}, approved by a second person, {tills} tills"
        )


def _prepare(real: ProgrammeFile, packs: int | None) -> Plan:
    """Scale a programme and draw who will come."""
    if real.demo is None:
        raise DemoError("The programme file has no [demo] table, which says how to play it.")
    try:
        crowd = real.demo.crowd if packs is None else real.demo.crowd.scaled(packs)
    except ValidationError as error:
        raise DemoError(f"{packs:,} packs need a crowd that is too large: {error}") from None
    return Plan(real, real.scaled(crowd.packs), real.demo, crowd, draw_crowd(crowd))


def _joined(checks: Sequence[Check], others: Sequence[Check]) -> list[Check]:
    """Join the checks of two programmes, the same ones into one."""
    joined = {check.name: check for check in checks}
    for check in others:
        known = joined.get(check.name)
        joined[check.name] = (
            check
            if known is None
            else Check(
                check.name,
                check.description,
                known.offenders + check.offenders,
                [*known.sample, *check.sample],
            )
        )
    return list(joined.values())


async def _sign_tokens(stage: Stage, issuer: DevelopmentIssuer, residents: int) -> list[str]:
    tokens: list[str] = []
    with stage.bar("Tokens", residents) as tell:
        while len(tokens) < residents:
            following = range(len(tokens), min(len(tokens) + _SIGNED_AT_ONCE, residents))
            tokens += [issuer.issue(f"resident-{n:06d}", [Role.RESIDENT]) for n in following]
            tell(len(tokens), f"{len(tokens):,} of {residents:,} residents have one")
            await asyncio.sleep(0)
    return tokens


def _first(faults: BaseException) -> str:
    """Return what the first fault of a group, however deep, has to say."""
    while isinstance(faults, BaseExceptionGroup):
        faults = faults.exceptions[0]
    return str(faults) if isinstance(faults, _EXPECTED) and str(faults) else repr(faults)


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
