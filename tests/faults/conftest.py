"""One stack with two claim processes for the tests that can share it; a drop is always its own."""

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.harness.city import City
from tests.harness.crowd import Crowd, crowd_of
from tests.harness.stack import Stack, running_stack


@pytest_asyncio.fixture(scope="session")
async def stack() -> AsyncIterator[Stack]:
    async with running_stack(workers=2) as stack:
        yield stack


@pytest_asyncio.fixture(scope="session")
async def city(stack: Stack) -> AsyncIterator[City]:
    async with aiohttp.ClientSession() as http:
        yield City(stack, http)


@pytest_asyncio.fixture(scope="session")
async def crowd(stack: Stack) -> AsyncIterator[Crowd]:
    async with crowd_of(stack) as crowd:
        yield crowd
