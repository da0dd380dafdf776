"""What is measured, round after round, on one deployment."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from loadtests.bench import wrk
from loadtests.bench.figures import ECHO, SOLD_OUT, WON_BY_JWT, WON_BY_PASS, Figure, Round
from loadtests.bench.pinning import Pinning, Scheduled, scheduled
from loadtests.bench.wrk import Load, Run
from loadtests.deployment import Deployment
from loadtests.faults import LoadTestError
from loadtests.planning import Drop, Planner
from loadtests.residents import Residents
from loadtests.verdict import Acknowledged, faults_of_drop

if TYPE_CHECKING:
    from services.claim.holders import Holder

_ECHO_READY_S = 20.0
_ECHO_STOP_S = 10.0
_SINCE = timedelta(hours=1)
# What a run leaves behind is written and collected before the next one begins.
_REST_S = 0.5
_WARM_UP_S = 1
# How many tokens a run may need is guessed from the rate of the echo, and doubled where a run used
# them up.
_PASSES_FOR_ECHO = 2.5
_TOKENS_FOR_ECHO = 0.75
_TRIES_MAX = 4
_LOSERS_MAX = 20_000


_Supply = Callable[[Drop, int], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Reference:
    """The echo server."""

    pid: int
    url: str


@asynccontextmanager
async def echoing(pinning: Pinning) -> AsyncIterator[Reference]:
    """Run the reference until the block ends. Raises LoadTestError."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests.bench.echo"), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        line = await asyncio.wait_for(process.stdout.readline(), _ECHO_READY_S)
        if not line:
            raise LoadTestError("the echo server did not start")
        pinning.give_measured(process.pid)
        yield Reference(process.pid, f"http://127.0.0.1:{int(line)}/echo")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), _ECHO_STOP_S)


class Bench:
    """Measures every figure once a round and keeps what was won, to be checked in the end."""

    def __init__(
        self,
        deployment: Deployment,
        planner: Planner,
        *,
        program: str,
        load: Load,
        reference: Reference,
        folder: Path,
    ) -> None:
        self._deployment = deployment
        self._planner = planner
        self._program = program
        self._load = load
        self._reference = reference
        self._folder = folder
        self._residents = Residents(deployment.data.path, deployment.postgres_url)
        self._holders: list[Holder] = []
        self._subjects_used = 0
        self._per_s: dict[Figure, int] = {}
        self._sold_out: Drop | None = None
        self._played: list[tuple[Drop, list[Acknowledged], int]] = []

    async def warm_up(self) -> None:
        """Measure for a second without keeping it, and learn how many tokens a run needs."""
        load, self._load = self._load, replace(self._load, seconds=_WARM_UP_S)
        echo_per_s = (await self._echo()).per_second(ECHO.answer)
        self._per_s = {
            WON_BY_PASS: int(echo_per_s * _PASSES_FOR_ECHO) + 1,
            WON_BY_JWT: int(echo_per_s * _TOKENS_FOR_ECHO) + 1,
        }
        await self.round()
        self._load = load

    async def round(self) -> Round:
        """Measure every figure once."""
        return {
            ECHO: await self._echo(),
            WON_BY_PASS: await self._won(WON_BY_PASS, self._passes),
            WON_BY_JWT: await self._won(WON_BY_JWT, self._tokens),
            SOLD_OUT: await self._refused(),
        }

    async def faults(self) -> list[str]:
        """Return what is wrong with the claims that all rounds were told of."""
        found = []
        if self._deployment.restarted():
            found.append("the claim process died during the run")
        for drop, acknowledged, unheard_max in self._played:
            found += await faults_of_drop(
                self._deployment.postgres_url, drop, acknowledged, unheard_max=unheard_max
            )
        return found

    async def _echo(self) -> Run:
        return await self._run(ECHO, "echo.lua", self._reference.url, {})

    async def _won(self, figure: Figure, supply: _Supply) -> Run:
        """Let everybody win, each on a bearer token of their own."""
        for _ in range(_TRIES_MAX):
            wanted = self._per_s[figure] * self._load.seconds
            drop = await self._publish(figure, quota=wanted)
            seen = await self._claims(figure, drop, await supply(drop, wanted), turns="once")
            # wrk leaves as its time is over, so one answer on each connection goes unheard.
            self._played.append((drop, seen.acknowledged, self._load.connections))
            if not seen.exhausted:
                return seen
            self._per_s[figure] *= 2
        raise LoadTestError(f"{figure.title}: {wanted} tokens were used up before time was over")

    async def _passes(self, drop: Drop, wanted: int) -> list[str]:
        known = len(self._holders)
        subjects = [f"resident-{number}" for number in range(known, wanted)]
        self._holders += await self._residents.resolve(drop.city_id, subjects)
        return self._residents.passes(drop, self._holders[:wanted])

    async def _tokens(self, _drop: Drop, wanted: int) -> list[str]:
        # A token is verified once and then remembered, so each run brings new ones.
        first, self._subjects_used = self._subjects_used, self._subjects_used + wanted
        return self._residents.tokens(f"stranger-{n}" for n in range(first, first + wanted))

    async def _refused(self) -> Run:
        drop = self._sold_out or await self._sell_out()
        self._sold_out = drop
        losers = self._residents.passes(drop, self._holders[1 : _LOSERS_MAX + 1])
        return await self._claims(SOLD_OUT, drop, losers, turns="again")

    async def _sell_out(self) -> Drop:
        """Publish a drop of one pack, and claim it."""
        drop = await self._publish(SOLD_OUT, quota=1)
        [winner] = self._residents.passes(drop, self._holders[:1])
        headers = {"Authorization": f"Bearer {winner}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.post(self._claims_url(drop)) as answer,
        ):
            if answer.status != 201:  # noqa: PLR2004 - the status of a claim that was won
                raise LoadTestError(f"the only pack was not to be had: {await answer.text()}")
            won = await answer.json()
        self._played.append((drop, [Acknowledged(won["claim_id"], won["serial"])], 0))
        return drop

    async def _publish(self, figure: Figure, *, quota: int) -> Drop:
        opened_at = datetime.now(UTC) - _SINCE
        return await self._planner.publish(figure.title, quota=quota, opens_at=opened_at)

    async def _claims(self, figure: Figure, drop: Drop, tokens: list[str], *, turns: str) -> Run:
        path = self._folder / "tokens"
        path.write_text("\n".join(tokens) + "\n")
        environment = {"BENCH_TOKENS": str(path), "BENCH_TURNS": turns}
        return await self._run(figure, "claim.lua", self._claims_url(drop), environment)

    async def _run(self, figure: Figure, script: str, url: str, environment: dict[str, str]) -> Run:
        await asyncio.sleep(_REST_S)
        pid = self._reference.pid if figure is ECHO else self._deployment.claim_pids[0]
        log = self._folder / figure.name
        before = scheduled(pid)
        seen = await wrk.run(self._program, script, url, self._load, log, environment)
        after = scheduled(pid)
        if before is not None and after is not None:
            ran_s, waited_s = after.ran_s - before.ran_s, after.waited_s - before.waited_s
            seen.server = Scheduled(ran_s, waited_s)
        return seen

    def _claims_url(self, drop: Drop) -> str:
        return f"{self._deployment.urls['claim']}/v1/drops/{drop.drop_id}/claims"
