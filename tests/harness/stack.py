"""A real `fairdrop serve` as a child process, with everything a test wants to hold of it."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg

from shared.auth.development_keys import DevelopmentIssuer
from shared.embedded.datadir import DataDir
from shared.embedded.processes import start_mark
from shared.embedded.servers import erase
from shared.gate.gate import Gate, connect
from shared.secrets import Secrets

if TYPE_CHECKING:
    from redis.asyncio import Redis

SERVE = [sys.executable, "-m", "services.cli", "serve"]
_READY_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 30.0
_HEALTHY_WITHIN_S = 20.0
_POLL_S = 0.02
_LOG_TAIL_BYTES = 6_000


class Stack:
    """A running deployment. `owner` is a connection of the database's owner, `redis` the gate's."""

    def __init__(self, data: DataDir, process: subprocess.Popen[bytes], log: Path) -> None:
        self.data = data
        self.process = process
        self._log = log
        self.urls: dict[str, str] = {}
        self.postgres_url = ""
        self.redis_url = ""
        self.owner: asyncpg.Connection
        self.redis: Redis
        self.issuer = DevelopmentIssuer(data.path)

    @property
    def secrets(self) -> Secrets:
        return Secrets.load(self.data.path)

    @property
    def gate(self) -> Gate:
        return Gate(self.redis)

    @property
    def log(self) -> str:
        """The whole log of supervisor and services."""
        return self._log.read_text(errors="replace")

    @property
    def log_tail(self) -> str:
        return self.log[-_LOG_TAIL_BYTES:]

    def pids(self, name: str) -> list[int]:
        """Return the processes of a service or server as they are now, restarts included."""
        run = self.data.read_run()
        assert run is not None, f"nothing serves {self.data.path}:\n{self.log_tail}"
        found = run["pids"][name]
        return list(found) if isinstance(found, list) else [found]

    def send(self, name: str, number: signal.Signals) -> list[int]:
        """Signal every process of a service or server; return their pids."""
        pids = self.pids(name)
        for pid in pids:
            os.kill(pid, number)
        return pids

    @asynccontextmanager
    async def stopped(self, *pids: int) -> AsyncIterator[None]:
        """Freeze processes (SIGSTOP) for the length of the block."""
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def healthy(self) -> None:
        """Wait until every service answers that it and its dependencies are ready."""
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            for name, url in self.urls.items():
                await eventually(
                    lambda url=url: _is_ready(http, url),  # type: ignore[misc]
                    within_s=_HEALTHY_WITHIN_S,
                    what=lambda name=name: f"{name} is not ready:\n{self.log_tail}",  # type: ignore[misc]
                )

    async def restarted(self, name: str, before: list[int]) -> list[int]:
        """Wait until a service runs in processes that are none of those before; return them."""

        async def others() -> bool:
            now = self.pids(name)
            return len(now) == len(before) and not set(now) & set(before)

        await eventually(
            others,
            within_s=_HEALTHY_WITHIN_S,
            what=lambda: f"{name} {before} was not restarted:\n{self.log_tail}",
        )
        return self.pids(name)

    async def connect_owner(self) -> asyncpg.Connection:
        """Open one more connection of the database's owner; the caller closes it."""
        return await asyncpg.connect(self.postgres_url, timeout=10)

    async def stop(self) -> int:
        """Send SIGTERM and return the exit code; 0 means that everything was drained."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), _STOPPED_WITHIN_S)

    async def _open(self, direct_postgres_url: str | None, direct_redis_url: str | None) -> None:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(
            asyncio.to_thread(self.process.stdout.readline), _READY_WITHIN_S
        )
        assert line, f"fairdrop serve ended before it was ready:\n{self.log_tail}"
        report: dict[str, Any] = json.loads(line)
        self.urls = report["urls"]
        self.postgres_url = direct_postgres_url or report["postgres_url"]
        self.redis_url = direct_redis_url or report["redis_url"]
        self.owner = await self.connect_owner()
        self.redis = connect(self.redis_url)

    async def _close(self) -> None:
        if hasattr(self, "owner"):
            self.owner.terminate()
            await self.redis.aclose(close_connection_pool=True)
        if self.process.poll() is None:
            try:
                await self.stop()
            except TimeoutError:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        # A supervisor that was killed takes its children along, but not at the same instant.
        await asyncio.sleep(0 if self.process.returncode == 0 else 2)


@asynccontextmanager
async def running_stack(
    *,
    workers: int = 2,
    environment: Mapping[str, str] | None = None,
    direct_postgres_url: str | None = None,
    direct_redis_url: str | None = None,
    data: Path | None = None,
) -> AsyncIterator[Stack]:
    """Serve on free ports until the block ends, on a data dir that is erased unless it is given.

    `environment` may name servers (FAIRDROP_POSTGRES_URL, FAIRDROP_REDIS_URL) that stand behind a
    proxy; the direct URLs are then where the test itself connects.
    """
    folder = Path(tempfile.mkdtemp(prefix="fd-"))
    where = DataDir(data or folder / "data")
    log = folder / "serve.log"
    command = [*SERVE, "--data", str(where.path), "--port-base", "0", "--workers", str(workers)]
    with log.open("ab") as stderr:
        process = subprocess.Popen(  # noqa: ASYNC220 - it is started once and read in a thread
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=os.environ | (environment or {}),
        )
    stack = Stack(where, process, log)
    try:
        await stack._open(direct_postgres_url, direct_redis_url)
        yield stack
    finally:
        await stack._close()
        if data is None:
            erase(where)
        shutil.rmtree(folder, ignore_errors=True)


def runs(pid: int) -> bool:
    """Return whether a process is there and not a zombie."""
    return start_mark(pid) is not None


async def eventually(
    holds: Callable[[], Awaitable[bool]],
    *,
    within_s: float,
    what: Callable[[], str],
) -> None:
    """Wait until something holds; fail with `what` when it does not in time."""
    clock = asyncio.get_running_loop()
    deadline = clock.time() + within_s
    while not await holds():
        if clock.time() > deadline:
            raise AssertionError(what())
        await asyncio.sleep(_POLL_S)


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with http.get(f"{url}/readyz") as answer:
            return answer.status == 200
    return False


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
