"""The processes below `fairdrop serve`, each in the form that keeping them alive needs."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import multiprocess

from services.supervising.deployed import Listener, ServeError
from shared.embedded.postgres import EmbeddedPostgres
from shared.embedded.processes import ChildProcess
from shared.embedded.servers import EmbeddedServers
from shared.embedded.valkey import EmbeddedValkey

DRAIN_PATIENCE_S = 15.0
_READY_POLL_S = 0.05
_READYZ_PATIENCE_S = 5.0
_STDERR_FD = 2


class ServiceProcess:
    """One process of a service, serving on the socket it shares with its siblings."""

    def __init__(self, listener: Listener, environment: Mapping[str, str], metrics: Path) -> None:
        self._listener = listener
        self._environment = dict(environment)
        self._metrics = metrics
        self._ready_fd, ready_fd = os.pipe()
        os.set_blocking(self._ready_fd, False)
        try:
            self._process = self._spawn("--ready-fd", str(ready_fd), pass_fds=[ready_fd])
        finally:
            os.close(ready_fd)

    @property
    def name(self) -> str:
        return self._listener.service.name

    @property
    def pid(self) -> int:
        return self._process.pid

    async def exited(self) -> int | None:
        return await self._process.exited()

    async def restart(self) -> None:
        # A live gauge of a dead process would be summed for ever.
        multiprocess.mark_process_dead(self.pid, str(self._metrics))  # type: ignore[no-untyped-call]
        self._process = self._spawn()

    async def serving(self) -> None:
        """Wait until it accepts connections for the first time; the caller sets the time limit.

        Raises:
            ServeError: it ended instead.
        """
        try:
            while True:
                with contextlib.suppress(BlockingIOError):
                    if os.read(self._ready_fd, 1):
                        return
                    raise ServeError(
                        f"The {self.name} service ended while it was starting. "
                        "The log above says why."
                    )
                await asyncio.sleep(_READY_POLL_S)
        finally:
            os.close(self._ready_fd)

    async def drain(self) -> None:
        """Let it finish the requests it has."""
        await self._process.stop(signal.SIGTERM, DRAIN_PATIENCE_S)

    def kill(self) -> None:
        self._process.send(signal.SIGKILL)

    def _spawn(self, *arguments: str, pass_fds: list[int] | None = None) -> ChildProcess:
        listen_fd = self._listener.socket.fileno()
        inherited = ["--listen-fd", str(listen_fd), "--parent-pid", str(os.getpid())]
        popen = subprocess.Popen(
            [sys.executable, "-m", "services.process", self.name, *inherited, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=_STDERR_FD,  # our own stdout carries one line of JSON and nothing else
            env=self._environment,
            pass_fds=[listen_fd, *(pass_fds or [])],
            process_group=0,
        )
        return ChildProcess(popen)


class KeptServer:
    """An embedded server."""

    def __init__(
        self, name: str, server: EmbeddedPostgres | EmbeddedValkey, servers: EmbeddedServers
    ) -> None:
        self.name = name
        self._server = server
        self._servers = servers

    @property
    def pid(self) -> int:
        return self._server.pid

    async def exited(self) -> int | None:
        return await self._server.process.exited()

    async def restart(self) -> None:
        await self._server.restart()
        self._servers.note_running()


async def readyz(listener: Listener) -> str | None:
    """Ask a service for its readiness; return None when it is ready, else what it answered."""
    host, port = listener.address
    request = f"GET /readyz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(_READYZ_PATIENCE_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request.encode())
                answer = (await reader.read()).decode(errors="replace")
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return f"no answer ({type(error).__name__})"
    head, _, body = answer.partition("\r\n\r\n")
    status = head.partition("\r\n")[0]
    return None if status.split(" ")[1:2] == ["200"] else f"{status}: {body}"
