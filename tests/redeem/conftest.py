"""One redeem service on one database for the session; every test has vouchers of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from shared.db.urls import service_url
from shared.embedded.servers import EmbeddedServers
from shared.settings import Settings
from tests.databases import SECRETS, TEMPLATE, CloneDatabase
from tests.redeem.market import Market, market_of


@pytest_asyncio.fixture(scope="session")
async def kept_market(
    servers: EmbeddedServers,
    clone_database: CloneDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Market]:
    folder = tmp_path_factory.mktemp("redeem")
    async with _market(servers, await clone_database(TEMPLATE), folder) as market:
        yield market
        await market.assert_books_are_sound()


@pytest_asyncio.fixture
async def market(kept_market: Market) -> AsyncIterator[Market]:
    """The service; at the end of the test, whatever it did, every invariant must hold."""
    yield kept_market
    await kept_market.assert_books_are_sound()


@pytest_asyncio.fixture
async def later(
    servers: EmbeddedServers, clone_database: CloneDatabase, tmp_path: Path
) -> AsyncIterator[Market]:
    """A service of the test's own, whose clock it may move."""
    async with _market(servers, await clone_database(TEMPLATE), tmp_path) as market:
        yield market
        await market.assert_books_are_sound()


@asynccontextmanager
async def _market(
    servers: EmbeddedServers, database_url: str, folder: Path
) -> AsyncIterator[Market]:
    settings = Settings(
        postgres_url=service_url(database_url, "redeem", SECRETS),
        redis_url=servers.redis_url,
        data_dir=folder,
    )
    owner = await asyncpg.connect(database_url)
    try:
        async with market_of(settings, owner) as market:
            yield market
    finally:
        await owner.close()
