"""A simulator as a process of its own, which a test may kill and start again on the same books."""

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from shared.embedded.processes import ServerUser

_READY_WITHIN_S = 30.0
_ENDS_WITHIN_S = 10.0
_LOG_TAIL = 4_000
# What the command runs, without the rest of the command line's imports.
_RUN = (
    "import asyncio, sys, pathlib\n"
    "from services.simulating.serving import SimulateOptions, simulate\n"
    "asyncio.run(simulate(SimulateOptions(sys.argv[1], pathlib.Path(sys.argv[2]))))\n"
)


class SimulatorProcess:
    """One counterparty of a data dir."""

    def __init__(self, counterparty: str, data: Path, http: aiohttp.ClientSession) -> None:
        self.url = ""
        self._counterparty = counterparty
        self._data = data
        self._http = http
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it serves."""
        command = [sys.executable, "-c", _RUN, self._counterparty, str(self._data)]
        logged = self._data / f"{self._counterparty}.log"
        with logged.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *ServerUser(None).launching(signal.SIGTERM, command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(_READY_WITHIN_S):
            line = await self._process.stdout.readline()
        assert line, f"it did not start:\n{logged.read_text(errors='replace')[-_LOG_TAIL:]}"
        self.url = json.loads(line)["url"]

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal; return its exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(_ENDS_WITHIN_S):
            return await self._process.wait()

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Send a request; return status and body."""
        async with self._http.request(method, self.url + path, json=body) as answer:
            content = await answer.read()
            return answer.status, json.loads(content) if content else None

    async def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON of any shape
        """Post what must be accepted; return the answer."""
        status, answer = await self.ask("POST", path, body)
        assert status < HTTPStatus.BAD_REQUEST, answer
        return answer

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON of any shape
        status, answer = await self.ask("GET", path)
        assert status == HTTPStatus.OK, answer
        return answer

    async def file(self, path: str) -> bytes:
        """Fetch a file."""
        async with self._http.get(self.url + path) as answer:
            content = await answer.read()
            assert answer.status == HTTPStatus.OK, content
            return content

    async def send_file(self, content: bytes) -> tuple[int, Any]:
        """Give it a payout file; return status and body."""
        async with self._http.post(
            f"{self.url}/v1/payout-files", data=content, headers={"Content-Type": "text/csv"}
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def command(self, *faults: Mapping[str, object]) -> None:
        """Command faults."""
        await self.post("/simulate/faults", {"faults": list(faults)})

    async def hits(self) -> Counter[str]:
        """Return how often each fault was met, by where and what, as `payments:silence`."""
        hits: Counter[str] = Counter()
        for fault in (await self.get("/simulate/faults"))["items"]:
            hits[f"{fault['on']}:{fault['do']}"] += fault["hits"]
        return hits

    async def advance(self, by: timedelta) -> None:
        """Move its clock forward."""
        now = datetime.fromisoformat((await self.get("/simulate/clock"))["now"])
        await self.post("/simulate/clock", {"now": (now + by).isoformat()})

    async def today(self) -> date:
        """Return its accounting day."""
        return date.fromisoformat((await self.get("/simulate/clock"))["day"])


@asynccontextmanager
async def simulating(counterparty: str, data: Path) -> AsyncIterator[SimulatorProcess]:
    """Run a simulator until the block ends."""
    async with aiohttp.ClientSession() as http:
        simulator = SimulatorProcess(counterparty, data, http)
        await simulator.start()
        try:
            yield simulator
        finally:
            await simulator.end()


async def until(done: Callable[[], Awaitable[bool]], *, within_s: float) -> None:
    """Wait until something holds that no event tells."""
    async with asyncio.timeout(within_s):
        while not await done():  # noqa: ASYNC110 - it happens in another process
            await asyncio.sleep(0.01)
