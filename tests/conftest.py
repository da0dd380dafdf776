"""One pair of embedded servers for the session; a test clones the migrated template."""

import itertools
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from shared.embedded.datadir import DataDir
from shared.embedded.servers import EmbeddedServers, erase
from shared.migrations.migrate import migrate
from tests.databases import SECRETS, TEMPLATE, CloneDatabase, execute, in_database

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServers]:
    data = DataDir(tmp_path_factory.mktemp("servers") / "data")
    servers = EmbeddedServers(data)
    await servers.start()
    yield servers
    # Nobody needs what they hold; an orderly end would write every clone back to the disk first.
    servers.kill()
    await servers.stop()
    erase(data)


@pytest_asyncio.fixture(scope="session")
async def clone_database(servers: EmbeddedServers) -> CloneDatabase:
    """Clone a database by name, `TEMPLATE` being the migrated and empty one; returns its URL."""

    async def clone(template: str) -> str:
        name = f"fairdrop_{next(_numbers)}"
        await execute(servers.postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
        return in_database(servers.postgres_url, name)

    await execute(servers.postgres_url, f"CREATE DATABASE {TEMPLATE}")
    await migrate(in_database(servers.postgres_url, TEMPLATE), SECRETS, development=True)
    return clone


@pytest_asyncio.fixture
async def database_url(clone_database: CloneDatabase) -> str:
    """A migrated, empty database of the test's own."""
    return await clone_database(TEMPLATE)


@pytest_asyncio.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner of the test's database."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()
