"""`fairdrop serve`: everything on one machine, started in order, kept alive, drained, stopped."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.supervising.children import KeptServer, ServiceProcess, readyz
from services.supervising.deployed import SERVICES, Listener, ServeError, listening
from services.supervising.keeping import Kept, keep
from shared.db.durability import NotDurableError
from shared.db.urls import service_url
from shared.embedded.datadir import DataDir
from shared.embedded.errors import EmbeddedServerError
from shared.embedded.servers import EmbeddedServers
from shared.migrations.migrate import DatabaseNewerError, migrate
from shared.secrets import Secrets, SecretsError
from shared.settings import POSTGRES_VARIABLE, REDIS_VARIABLE
from shared.web.logs import configure_logging

_SCHEMES = {
    POSTGRES_VARIABLE: ("postgresql", "postgres"),
    REDIS_VARIABLE: ("redis", "rediss", "unix"),
}
_READY_PATIENCE_S = 60.0
_READY_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line chose; a port base of 0 takes whatever ports are free."""

    data: Path
    host: str = "127.0.0.1"
    port_base: int = 8000
    workers: int = 1


async def serve(options: ServeOptions) -> int:
    """Run everything until SIGTERM or SIGINT; return the exit code of the command."""
    configure_logging("serve")
    data = DataDir(options.data)
    try:
        data.prepare()
        with data.lock(), listening(options.host, options.port_base) as listeners:
            await _Deployment(options, data, listeners).run()
    except (EmbeddedServerError, SecretsError, ServeError) as error:
        sys.stderr.write(f"fairdrop serve: {error}\n")
        return 1
    return 0


class _Deployment:
    """The embedded servers and the service processes of one data dir."""

    def __init__(
        self, options: ServeOptions, data: DataDir, listeners: tuple[Listener, ...]
    ) -> None:
        self._options = options
        self._data = data
        self._listeners = listeners
        self._given_postgres = os.environ.get(POSTGRES_VARIABLE)
        self._given_redis = os.environ.get(REDIS_VARIABLE)
        self._servers = EmbeddedServers(
            data, with_postgres=not self._given_postgres, with_valkey=not self._given_redis
        )
        self._processes: list[ServiceProcess] = []
        self._stopping = False

    async def run(self) -> None:
        """Return after a requested stop.

        Raises:
            EmbeddedServerError, SecretsError, ServeError: it could not start, or gave up.
        """
        with self._stop_on_signals() as task:
            try:
                await self._start()
                self._announce()
                await self._keep()
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
                task.uncancel()
            finally:
                self._stopping = True
                await self._stop()

    @contextlib.contextmanager
    def _stop_on_signals(self) -> Iterator[asyncio.Task[Any]]:
        """Have the first signal cancel this task, which then drains, and the next one hurry it."""
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert task is not None  # noqa: S101 - a coroutine always runs in a task

        def stop() -> None:
            if self._stopping:
                self._kill()
            else:
                self._stopping = True
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        try:
            yield task
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _start(self) -> None:
        _check_scheme(POSTGRES_VARIABLE, self._given_postgres)
        _check_scheme(REDIS_VARIABLE, self._given_redis)
        secrets = Secrets.load(self._data.path)
        if not (self._given_postgres and self._given_redis):
            await self._servers.start()
        await self._migrate(secrets)
        for listener in self._listeners:
            self._spawn(listener, secrets)
        try:
            async with asyncio.timeout(_READY_PATIENCE_S):
                await asyncio.gather(*(process.serving() for process in self._processes))
        except TimeoutError:
            raise ServeError(
                f"The services did not start within {_READY_PATIENCE_S:.0f} seconds. "
                "The log above says how far they came."
            ) from None
        await asyncio.gather(*(_ready(listener) for listener in self._listeners))

    async def _migrate(self, secrets: Secrets) -> None:
        # A database of the data dir's own is for development: its clock may be moved.
        development = not self._given_postgres
        try:
            await migrate(self._postgres_url, secrets, development=development)
        except (NotDurableError, DatabaseNewerError) as error:
            raise ServeError(str(error)) from error
        except (OSError, asyncpg.PostgresError, SQLAlchemyError) as error:
            structlog.get_logger().exception("migration failed")
            raise ServeError(f"The database could not be migrated: {error}") from error

    def _spawn(self, listener: Listener, secrets: Secrets) -> None:
        service = listener.service
        metrics = self._data.path / "metrics" / service.name
        shutil.rmtree(metrics, ignore_errors=True)
        metrics.mkdir(parents=True)
        environment = os.environ | {
            POSTGRES_VARIABLE: service_url(self._postgres_url, service.name, secrets),
            REDIS_VARIABLE: self._redis_url,
            "FAIRDROP_DATA": str(self._data.path),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        }
        for _ in range(service.processes(self._options.workers)):
            self._processes.append(ServiceProcess(listener, environment, metrics))

    async def _keep(self) -> None:
        try:
            async with asyncio.TaskGroup() as keepers:
                children: list[Kept] = [*self._processes, *self._kept_servers()]
                for child in children:
                    keepers.create_task(keep(child, self._write_run), name=f"keep {child.name}")
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _kept_servers(self) -> list[KeptServer]:
        kept = []
        if not self._given_postgres:
            kept.append(KeptServer("postgres", self._servers.postgres, self._servers))
        if not self._given_redis:
            kept.append(KeptServer("valkey", self._servers.valkey, self._servers))
        return kept

    async def _stop(self) -> None:
        """Take no new connections, finish the requests, then stop the servers."""
        self._data.clear_run()
        for listener in self._listeners:
            listener.socket.close()
        await asyncio.gather(*(process.drain() for process in self._processes))
        await self._servers.stop()

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
        self._servers.kill()

    def _announce(self) -> None:
        self._write_run()
        sys.stdout.write(json.dumps(self._report()) + "\n")
        sys.stdout.flush()

    def _write_run(self) -> None:
        self._data.write_run(self._report())

    def _report(self) -> dict[str, Any]:
        pids: dict[str, Any] = {
            "postgres": None if self._given_postgres else self._servers.postgres.pid,
            "valkey": None if self._given_redis else self._servers.valkey.pid,
        }
        for service in SERVICES:
            pids[service.name] = [p.pid for p in self._processes if p.name == service.name]
        return {
            "ready": True,
            "urls": {listener.service.name: listener.url for listener in self._listeners},
            "pids": pids,
            "postgres_url": self._postgres_url,
            "redis_url": self._redis_url,
        }

    @property
    def _postgres_url(self) -> str:
        return self._given_postgres or self._servers.postgres_url

    @property
    def _redis_url(self) -> str:
        return self._given_redis or self._servers.redis_url


def _check_scheme(variable: str, url: str | None) -> None:
    """Refuse a URL of another kind, without showing it: it may hold a password."""
    accepted = _SCHEMES[variable]
    if url and url.partition("://")[0] not in accepted:
        wanted = " or ".join(f"{scheme}://" for scheme in accepted)
        raise ServeError(f"{variable} must begin with {wanted}.")


async def _ready(listener: Listener) -> None:
    answer: str | None = "no answer"
    for _ in range(int(_READY_PATIENCE_S / _READY_POLL_S)):
        answer = await readyz(listener)
        if answer is None:
            return
        await asyncio.sleep(_READY_POLL_S)
    raise ServeError(
        f"The {listener.service.name} service at {listener.url} is not ready after "
        f"{_READY_PATIENCE_S:.0f} seconds. It last answered: {answer}"
    )
