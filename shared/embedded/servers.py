"""The pair of embedded servers on one data dir."""

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

from shared.embedded.binaries import find_binaries, runnable_binaries
from shared.embedded.datadir import DataDir, exclusive_lock, write_private
from shared.embedded.errors import EmbeddedServerError
from shared.embedded.postgres import EmbeddedPostgres
from shared.embedded.processes import start_mark
from shared.embedded.reachable import (
    SOCKETS_PREFIX,
    folder_of,
    make_sockets_folder,
    place_of,
    server_user,
)
from shared.embedded.valkey import EmbeddedValkey

_LEFTOVER_PATIENCE_S = 10.0
_LEFTOVER_POLL_S = 0.05


class EmbeddedServers:
    """A private Postgres and a private Valkey, both durable, both ended with this process.

    On Linux the kernel stops them when the thread that started them ends, so start them from the
    main thread. Elsewhere a killed parent leaves them running, and the next start stops them first.
    """

    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey

    def __init__(
        self, data: DataDir, *, with_postgres: bool = True, with_valkey: bool = True
    ) -> None:
        self._data = data
        self._wanted = (with_postgres, with_valkey)
        self._servers: tuple[EmbeddedPostgres | EmbeddedValkey, ...] = ()
        self._held = contextlib.ExitStack()

    @property
    def postgres_url(self) -> str:
        """The owner's URL."""
        return self.postgres.url

    @property
    def redis_url(self) -> str:
        return self.valkey.url

    async def start(self) -> None:
        """Start them and return when all answer; a failure leaves none running.

        Raises:
            EmbeddedServerError: the message says what to do.
        """
        with contextlib.ExitStack() as held:
            self._data.prepare()
            user = server_user()
            binaries = runnable_binaries(find_binaries(), user)
            place = place_of(self._data, user)
            held.enter_context(place.lock())
            await _end_leftovers(place.path)
            sockets = make_sockets_folder(user)
            held.callback(shutil.rmtree, sockets, ignore_errors=True)
            self._place, self._sockets = place, sockets
            self.note_running()
            self.postgres = EmbeddedPostgres(self._data, place, binaries, sockets)
            self.valkey = EmbeddedValkey(self._data, place, binaries, sockets)
            pair = (self.postgres, self.valkey)
            self._servers = tuple(itertools.compress(pair, self._wanted))
            await self._start_all()
            self._held = held.pop_all()

    async def stop(self) -> None:
        """Stop them, what was acknowledged safely on disk."""
        if self._servers:
            await self._stop_all()
            _record(self._place.path).unlink(missing_ok=True)
        self._held.close()

    def kill(self) -> None:
        """Make a `stop` that is under way, or the next one, end at once."""
        for server in self._servers:
            server.kill()

    def note_running(self) -> None:
        """Record the processes, so that a later start can stop what this one leaves behind."""
        running = [server.running for server in self._servers]
        record = {
            "sockets": str(self._sockets),
            "processes": [{"pid": p.pid, "started": p.started} for p in running if p is not None],
        }
        write_private(_record(self._place.path), json.dumps(record))

    async def _start_all(self) -> None:
        starts = [server.start() for server in self._servers]
        try:
            results = await asyncio.gather(*starts, return_exceptions=True)
            failures = [result for result in results if result is not None]
            if not failures:
                self.note_running()
                return
        except BaseException:
            await self._stop_all()
            raise
        await self._stop_all()
        raise failures[0]

    async def _stop_all(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))
        self._servers = ()


def erase(data: DataDir) -> None:
    """Remove a data dir with everything that its servers keep elsewhere.

    Raises:
        EmbeddedServerError: it is in use.
    """
    if not data.path.exists():
        return
    with data.lock():
        folder = folder_of(data)
        if folder.exists():
            with exclusive_lock(folder / "servers.lock", holding=data.path):
                _remove_sockets(_read_record(folder))
                shutil.rmtree(folder)
        shutil.rmtree(data.path, ignore_errors=True)


def _record(folder: Path) -> Path:
    return folder / "servers.json"


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads(_record(folder).read_text())
        return {"sockets": Path(record["sockets"]), "processes": list(record["processes"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {"sockets": None, "processes": []}  # nothing was left, or it was never recorded


def _remove_sockets(record: dict[str, Any]) -> None:
    sockets = record["sockets"]
    if sockets is not None and sockets.name.startswith(SOCKETS_PREFIX):
        shutil.rmtree(sockets, ignore_errors=True)


async def _end_leftovers(folder: Path) -> None:
    """End servers that a killed parent left behind; nobody living owns them, we hold the lock."""
    record = _read_record(folder)
    leftovers = [left for left in record["processes"] if _runs(left)]
    # Fast shutdown for Postgres; Valkey takes it as the same request as SIGTERM.
    for number in (signal.SIGINT, signal.SIGKILL):
        for left in leftovers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(left["pid"], number)
        for _ in range(int(_LEFTOVER_PATIENCE_S / _LEFTOVER_POLL_S)):
            leftovers = [left for left in leftovers if _runs(left)]
            if not leftovers:
                break
            await asyncio.sleep(_LEFTOVER_POLL_S)
    if leftovers:
        pids = ", ".join(str(left["pid"]) for left in leftovers)
        raise EmbeddedServerError(
            f"Servers of an earlier run cannot be ended (process {pids}). End them by hand first."
        )
    _remove_sockets(record)


def _runs(left: dict[str, Any]) -> bool:
    return left["started"] is not None and start_mark(left["pid"]) == left["started"]
