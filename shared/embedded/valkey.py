"""The embedded Valkey: every write in an append-only file, behind a unix socket."""

import asyncio
import contextlib
import signal
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from shared.embedded.binaries import Binaries
from shared.embedded.datadir import DataDir
from shared.embedded.errors import EmbeddedServerError, disk_full, refused_by_system
from shared.embedded.processes import ServerProcess
from shared.embedded.reachable import Place

_ANSWER_PATIENCE_S = 120.0  # it reads its append-only file first
_ANSWER_POLL_S = 0.03
_STOP_PATIENCE_S = 10.0


class EmbeddedValkey:
    """One Valkey server; `url` stays the same over its restarts."""

    def __init__(self, data: DataDir, place: Place, binaries: Binaries, sockets: Path) -> None:
        self._data = data
        self._place = place
        self._binaries = binaries
        self._socket = sockets / "valkey.sock"
        self.running: ServerProcess | None = None

    @property
    def process(self) -> ServerProcess:
        if self.running is None:
            raise RuntimeError("Valkey has not been started")
        return self.running

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    async def start(self) -> None:
        """Start the server, return when it has read its file and answers.

        Raises:
            EmbeddedServerError: it cannot; the message ends with the last lines of its log.
        """
        folder = self._place.valkey
        try:
            if not folder.exists():
                folder.mkdir(mode=0o700)
                self._place.user.own(folder)
        except OSError as error:
            raise refused_by_system(self._place.path, error) from error
        await self.restart()

    async def restart(self) -> None:
        """Start the server again on its append-only file.

        Raises:
            EmbeddedServerError: it does not come up.
        """
        self.running = ServerProcess(
            [str(self._binaries.valkey), *self._options()],
            user=self._place.user,
            death_signal=signal.SIGTERM,
            log=self._log,
        )
        if not await self._answers():
            await self.stop()
            tail = self.running.log_tail()
            if "No space left" in tail:
                raise disk_full(self._place.path)
            raise EmbeddedServerError(f"Valkey did not start. The end of {self._log} says:\n{tail}")

    async def stop(self) -> None:
        """Shut down after the append-only file is on disk."""
        if self.running is not None:
            await self.running.stop(signal.SIGTERM, _STOP_PATIENCE_S)

    def kill(self) -> None:
        if self.running is not None:
            self.running.send(signal.SIGKILL)

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._place.valkey),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": "",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    async def _answers(self) -> bool:
        """Wait until it answers a ping; False when it ended instead."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + _ANSWER_PATIENCE_S
        once = Retry(NoBackoff(), 0)
        async with Redis(unix_socket_path=str(self._socket), retry=once) as client:
            while self.process.exit_code is None and clock.time() < deadline:
                with contextlib.suppress(RedisError, OSError):
                    await client.echo("ready")
                    return True
                await asyncio.sleep(_ANSWER_POLL_S)
        return False

    @property
    def _log(self) -> Path:
        return self._data.logs / "valkey.log"
