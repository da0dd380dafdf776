"""The ledger service on one database, in which each test has programmes of its own."""

from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from services.ledger.app import create
from shared.auth.development_keys import DevelopmentIssuer
from shared.db.urls import service_url
from shared.embedded.servers import EmbeddedServers
from tests.databases import SECRETS, TEMPLATE, CloneDatabase
from tests.reconciling.bureau import Bureau
from tests.serving import serving


@pytest_asyncio.fixture(scope="module")
async def bureau(
    servers: EmbeddedServers,
    clone_database: CloneDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Bureau]:
    """The tests of a module share it, and its clock, which only runs forward."""
    database_url = await clone_database(TEMPLATE)
    data_dir = tmp_path_factory.mktemp("bureau")
    app = create(
        {
            "FAIRDROP_POSTGRES_URL": service_url(database_url, "ledger", SECRETS),
            "FAIRDROP_REDIS_URL": servers.redis_url,
            "FAIRDROP_DATA": str(data_dir),
        }
    )
    owner = await asyncpg.connect(database_url)
    async with serving(app) as url, aiohttp.ClientSession(url) as http:
        yield Bureau(http, DevelopmentIssuer(data_dir), owner, database_url, data_dir)
    await owner.close()


@pytest_asyncio.fixture
async def desk(bureau: Bureau) -> AsyncIterator[Bureau]:
    """The bureau at noon of a new day; whatever the test did, every invariant holds afterwards."""
    await bureau.to_noon_of_a_new_day()
    yield bureau
    await bureau.assert_books_are_sound()
