"""One claim service on one database for the session; every test has drops of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from shared.bookkeeping.invariants import check_books
from shared.db.urls import service_url
from shared.embedded.servers import EmbeddedServers
from shared.gate.gate import connect
from shared.secrets import Secrets
from shared.settings import Settings
from tests.claim.office import Office, office_of
from tests.databases import SECRETS, TEMPLATE, CloneDatabase


@pytest_asyncio.fixture(scope="session")
async def redis(servers: EmbeddedServers) -> AsyncIterator[Redis]:
    redis = connect(servers.redis_url)
    yield redis
    await redis.aclose(close_connection_pool=True)


@pytest_asyncio.fixture(scope="session")
async def office(
    servers: EmbeddedServers,
    clone_database: CloneDatabase,
    redis: Redis,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Office]:
    folder = tmp_path_factory.mktemp("claim")
    async with _office(servers, await clone_database(TEMPLATE), redis, folder) as office:
        yield office
        assert [check for check in await check_books(office.owner) if check.offenders] == []


@pytest_asyncio.fixture
async def later(
    servers: EmbeddedServers, clone_database: CloneDatabase, redis: Redis, tmp_path: Path
) -> AsyncIterator[Office]:
    """A service of the test's own, whose clock it may move."""
    async with _office(servers, await clone_database(TEMPLATE), redis, tmp_path) as office:
        yield office


@asynccontextmanager
async def _office(
    servers: EmbeddedServers, database_url: str, redis: Redis, folder: Path
) -> AsyncIterator[Office]:
    settings = Settings(
        postgres_url=service_url(database_url, "claim", SECRETS),
        redis_url=servers.redis_url,
        data_dir=folder,
    )
    owner = await asyncpg.connect(database_url)
    try:
        async with office_of(settings, owner, redis) as office:
            yield office
    finally:
        await owner.close()


@pytest.fixture(scope="session")
def secrets() -> Secrets:
    return Secrets(b"claim-tests-master-key-32-bytes!")
