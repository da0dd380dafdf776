"""One pair of servers for the session; each test gets a migrated database of its own."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from shared.embedded.datadir import DataDir
from shared.embedded.servers import EmbeddedServers
from shared.migrations.migrate import migrate
from shared.secrets import Secrets

SECRETS = Secrets(b"bookkeeping-tests-master-key-32b")
TEMPLATE = "books_template"
_numbers = itertools.count(1)

CloneDatabase = Callable[[str], Awaitable[str]]


@pytest_asyncio.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServers]:
    servers = EmbeddedServers(DataDir(tmp_path_factory.mktemp("servers")))
    await servers.start()
    yield servers
    await servers.stop()


@pytest_asyncio.fixture(scope="session")
async def clone_database(servers: EmbeddedServers) -> CloneDatabase:
    """Clone a database by name, `TEMPLATE` being the migrated and empty one; returns its URL."""

    async def clone(template: str) -> str:
        name = f"books_{next(_numbers)}"
        await _execute(servers.postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
        return in_database(servers.postgres_url, name)

    await _execute(servers.postgres_url, f"CREATE DATABASE {TEMPLATE}")
    await migrate(in_database(servers.postgres_url, TEMPLATE), SECRETS, development=True)
    return clone


@pytest_asyncio.fixture
async def database_url(clone_database: CloneDatabase) -> str:
    return await clone_database(TEMPLATE)


@pytest_asyncio.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner of this test's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def in_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
