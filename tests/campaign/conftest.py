"""One service on one database for the session; every test has programmes of its own."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from shared.auth.development_keys import DevelopmentIssuer
from shared.db.urls import service_url
from shared.embedded.datadir import DataDir
from shared.embedded.servers import EmbeddedServers
from shared.gate.gate import connect
from shared.migrations.migrate import migrate
from shared.secrets import Secrets
from shared.settings import Settings
from tests.campaign.desk import Desk, serving

SECRETS = Secrets(b"campaign-tests-master-key-32-byt")


@pytest_asyncio.fixture(scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServers]:
    servers = EmbeddedServers(DataDir(tmp_path_factory.mktemp("servers")))
    await servers.start()
    yield servers
    await servers.stop()


@pytest_asyncio.fixture(scope="session")
async def campaign_database(servers: EmbeddedServers) -> str:
    """A migrated database for this package; returns its owner's URL."""
    server = await asyncpg.connect(servers.postgres_url)
    await server.execute("CREATE DATABASE campaign_service")
    await server.close()
    url = urlunsplit(urlsplit(servers.postgres_url)._replace(path="/campaign_service"))
    await migrate(url, SECRETS, development=True)
    owner = await asyncpg.connect(url)
    # The service's own three seconds would only make the tests of a held lock slow.
    await owner.execute(
        "ALTER ROLE fairdrop_campaign IN DATABASE campaign_service SET lock_timeout = '1s'"
    )
    await owner.close()
    return url


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
    async with serving(settings) as url, aiohttp.ClientSession(url) as http:
        desk = Desk(http, issuer, owner, redis)
        yield desk
        await desk.assert_books_are_sound()
    await redis.aclose(close_connection_pool=True)
    await owner.close()
