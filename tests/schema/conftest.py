"""One Postgres for the session; each module gets a migrated database of its own."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from shared.db.urls import service_url
from shared.embedded.datadir import DataDir
from shared.embedded.servers import EmbeddedServers, erase
from shared.migrations.migrate import migrate
from shared.secrets import Secrets

SECRETS = Secrets(b"schema-tests-master-key-32-bytes")
TEMPLATE = "schema_template"
_numbers = itertools.count(1)

CloneDatabase = Callable[[], Awaitable[str]]
Connect = Callable[..., AbstractAsyncContextManager[asyncpg.Connection]]


@pytest_asyncio.fixture(scope="session")
async def server_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The superuser's URL of a Postgres that these tests alone use."""
    data = DataDir(tmp_path_factory.mktemp("schema") / "data")
    servers = EmbeddedServers(data, with_valkey=False)
    await servers.start()
    yield servers.postgres_url
    await servers.stop()
    erase(data)


@pytest_asyncio.fixture(scope="session")
async def clone_database(server_url: str) -> CloneDatabase:
    """Clone the migrated and empty database; returns the owner's URL of the clone."""

    async def clone() -> str:
        name = f"schema_{next(_numbers)}"
        await execute(server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return in_database(server_url, name)

    await execute(server_url, f"CREATE DATABASE {TEMPLATE}")
    await migrate(in_database(server_url, TEMPLATE), SECRETS, development=True)
    return clone


@pytest_asyncio.fixture(scope="module")
async def database_url(clone_database: CloneDatabase) -> str:
    return await clone_database()


@pytest_asyncio.fixture(scope="module")
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner of this module's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def connect_as(database_url: str) -> Connect:
    """Log in to this module's database as a service."""

    @contextlib.asynccontextmanager
    async def connect(service: str) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(service_url(database_url, service, SECRETS))
        try:
            yield connection
        finally:
            await connection.close()

    return connect


@pytest_asyncio.fixture(scope="module")
async def claimant(connect_as: Connect) -> AsyncIterator[asyncpg.Connection]:
    """The claim service's login: what it may do is all that a claim needs."""
    async with connect_as("claim") as connection:
        yield connection


def in_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
