"""One service on one database for the session; every test has programmes of its own."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from services.campaign.app import create
from shared.auth.development_keys import DevelopmentIssuer
from shared.db.urls import service_url
from shared.embedded.servers import EmbeddedServers
from shared.gate.gate import connect
from shared.secrets import Secrets
from shared.settings import Settings
from tests.campaign.desk import Desk
from tests.databases import SECRETS, TEMPLATE, CloneDatabase, execute
from tests.redeem_races.lending import Lent, lending
from tests.serving import environment_of, serving


@pytest_asyncio.fixture(scope="session")
async def campaign_database(clone_database: CloneDatabase) -> str:
    """A migrated database for this package; returns its owner's URL."""
    url = await clone_database(TEMPLATE)
    # The service's own three seconds would only make the tests of a held lock slow.
    name = urlsplit(url).path[1:]
    await execute(url, f"ALTER ROLE fairdrop_campaign IN DATABASE {name} SET lock_timeout = '1s'")
    return url


@pytest_asyncio.fixture
async def tills_pool(campaign_database: str) -> AsyncIterator[Lent]:
    """Connections with the redeem service's rights."""
    async with lending(service_url(campaign_database, "redeem", SECRETS), 8) as lent:
        yield lent


@pytest_asyncio.fixture(scope="session")
async def desk(
    servers: EmbeddedServers, campaign_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    data_dir = tmp_path_factory.mktemp("campaign")
    issuer = DevelopmentIssuer(data_dir)
    settings = Settings(
        postgres_url=service_url(campaign_database, "campaign", SECRETS),
        redis_url=servers.redis_url,
        data_dir=data_dir,
    )
    owner = await asyncpg.connect(campaign_database)
    redis = connect(servers.redis_url)
    async with serving(create(environment_of(settings))) as url, aiohttp.ClientSession(url) as http:
        desk = Desk(http, issuer, owner, redis, Secrets.load(data_dir))
        yield desk
        await desk.assert_books_are_sound()
    await redis.aclose(close_connection_pool=True)
    await owner.close()
