"""The ledger service on a database with two cities, and the staff who read it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from fastapi import FastAPI

from services.ledger.app import create
from shared.auth.development_keys import DevelopmentIssuer
from shared.db.urls import service_url
from shared.embedded.servers import EmbeddedServers
from shared.gate.gate import connect
from tests import builders
from tests.builders import Programme
from tests.callers import Caller
from tests.databases import SECRETS, TEMPLATE, CloneDatabase
from tests.serving import serving

CITY, OTHER_CITY = "330100", "440300"


@dataclass(frozen=True, slots=True)
class Book:
    """A programme of CITY whose figures the tests know, and one of OTHER_CITY.

    Of a pack's 3,503 fen the city pays 3 x 667 + 333 = 2,334 and the platform 1,169. `city` paid in
    1,000,000 fen; `platform` promised 500,000 and paid 200,000 of them. Of 10 packs, 4 were claimed
    in one batch, then one was returned and reopened and one withdrawn.
    """

    programme: Programme
    drop_id: UUID
    funded_at: datetime
    other_programme: Programme

    @property
    def query(self) -> str:
        return f"programme_id={self.programme.programme_id}"


@dataclass(frozen=True, slots=True)
class Office:
    """The running service and its books."""

    http: aiohttp.ClientSession
    app: FastAPI
    issuer: DevelopmentIssuer
    owner: asyncpg.Connection
    book: Book

    def staff(self, role: str = "finance", *cities: str) -> Caller:
        token = self.issuer.issue("staff-1", [role], cities=cities or [CITY])
        return Caller(self.http, token)

    def nobody(self) -> Caller:
        return Caller(self.http, None)


@pytest_asyncio.fixture(scope="session")
async def office(
    servers: EmbeddedServers,
    clone_database: CloneDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Office]:
    """For tests that only read; the others clone a database and open an office of their own."""
    async with open_office(
        await clone_database(TEMPLATE), servers.redis_url, tmp_path_factory.mktemp("ledger")
    ) as office:
        yield office


@pytest_asyncio.fixture
async def private_office(
    servers: EmbeddedServers, clone_database: CloneDatabase, tmp_path: Path
) -> AsyncIterator[Office]:
    """An office whose books a test may change."""
    async with open_office(await clone_database(TEMPLATE), servers.redis_url, tmp_path) as office:
        yield office
    redis = connect(servers.redis_url)
    await redis.flushall()
    await redis.aclose(close_connection_pool=True)


@asynccontextmanager
async def open_office(database_url: str, redis_url: str, data_dir: Path) -> AsyncIterator[Office]:
    """Fill an empty database with the book and serve it until the block ends."""
    issuer = DevelopmentIssuer(data_dir)
    app = create(
        {
            "FAIRDROP_POSTGRES_URL": service_url(database_url, "ledger", SECRETS),
            "FAIRDROP_REDIS_URL": redis_url,
            "FAIRDROP_DATA": str(data_dir),
        }
    )
    owner = await asyncpg.connect(database_url)
    book = await write_book(owner)
    async with serving(app) as url, aiohttp.ClientSession(url) as http:
        yield Office(http, app, issuer, owner, book)
    await owner.close()


async def write_book(owner: asyncpg.Connection) -> Book:
    programme = await builders.make_programme(owner, city_code=CITY, funded_fen=0)
    await builders.fund(owner, programme, "city", 1_000_000)
    await builders.fund(owner, programme, "platform", 500_000, "J2")
    await builders.fund(owner, programme, "platform", 200_000, "J3")
    funded_at = await owner.fetchval("SELECT campaign.now()")
    drop_id = await builders.make_drop(owner, programme)
    await builders.publish(owner, drop_id)
    won = (await builders.issue(owner, drop_id, 4)).won
    assert await builders.release(owner, won[0], reopen=True) == "released"
    assert await builders.release(owner, won[1], reopen=False) == "released"
    other = await builders.make_programme(owner, city_code=OTHER_CITY, funded_fen=77)
    return Book(programme, drop_id, funded_at, other)
