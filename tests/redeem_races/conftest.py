"""Races over one voucher, decided by the functions that the redeem service calls."""

from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from shared.bookkeeping.invariants import check_books
from shared.db.urls import service_url
from tests.databases import SECRETS
from tests.redeem_races.lending import Lent, lending

CONNECTIONS = 40


@pytest_asyncio.fixture
async def tills_pool(database_url: str) -> AsyncIterator[Lent]:
    """Connections with the redeem service's rights."""
    url = service_url(database_url, "redeem", SECRETS)
    async with lending(url, CONNECTIONS) as lent:
        yield lent


@pytest_asyncio.fixture
async def books(owner: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """The owner; at the end of the test, whatever it did, every invariant must hold."""
    yield owner
    broken = {check.name: check.sample for check in await check_books(owner) if check.offenders}
    assert broken == {}
