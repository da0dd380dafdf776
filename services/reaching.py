"""The servers of a data dir: those that are running, else started for as long as needed."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.embedded.datadir import DataDir
from shared.embedded.servers import EmbeddedServers
from shared.migrations.migrate import migrate
from shared.secrets import Secrets
from shared.settings import POSTGRES_VARIABLE, REDIS_VARIABLE


class NothingServesError(Exception):
    """A command needs the services of a data dir, and none are running."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where Postgres (as its owner) and the gate are."""

    postgres_url: str
    redis_url: str


def running(data_dir: Path) -> dict[str, Any]:
    """Return what `fairdrop serve` printed for this data dir. Raises NothingServesError."""
    run = DataDir(data_dir).read_run()
    if run is None:
        raise NothingServesError(
            f"Nothing serves {data_dir}. Start it first, in another terminal:"
            f" fairdrop serve --data {data_dir}"
        )
    return run


@asynccontextmanager
async def servers(data_dir: Path) -> AsyncIterator[Servers]:
    """Use the running servers of a data dir; start those that are neither running nor given.

    Raises:
        EmbeddedServerError: they cannot be started; the message says what to do.
    """
    data = DataDir(data_dir)
    run = data.read_run()
    if run is not None:
        yield Servers(run["postgres_url"], run["redis_url"])
        return
    postgres_url = os.environ.get(POSTGRES_VARIABLE)
    redis_url = os.environ.get(REDIS_VARIABLE)
    if postgres_url and redis_url:
        yield Servers(postgres_url, redis_url)
        return
    data.prepare()
    with data.lock():
        embedded = EmbeddedServers(data, with_postgres=not postgres_url, with_valkey=not redis_url)
        await embedded.start()
        try:
            owner_url = postgres_url or embedded.postgres_url
            await migrate(owner_url, Secrets.load(data_dir), development=not postgres_url)
            yield Servers(owner_url, redis_url or embedded.redis_url)
        finally:
            await embedded.stop()
