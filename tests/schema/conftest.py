"""Each module has one migrated database of its own, and the logins of the services on it."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest
import pytest_asyncio

from shared.db.urls import service_url
from tests.databases import SECRETS, TEMPLATE, CloneDatabase

Connect = Callable[[str], AbstractAsyncContextManager[asyncpg.Connection]]


@pytest_asyncio.fixture(scope="module")
async def database_url(clone_database: CloneDatabase) -> str:
    """The module's database; its tests make drops of their own, or undo what they did."""
    return await clone_database(TEMPLATE)


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
