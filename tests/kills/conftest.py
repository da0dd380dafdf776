"""One stack with two claim processes for the kills that it survives; a drop is always its own."""

from collections.abc import AsyncIterator

import aiohttp
import pytest_asyncio

from tests.harness.city import City
from tests.harness.crowd import Crowd, crowd_of
from tests.harness.stack import Stack, running_stack


@pytest_asyncio.fixture(scope="session")
async def kept_stack() -> AsyncIterator[Stack]:
    async with running_stack(workers=2) as stack:
        yield stack


@pytest_asyncio.fixture
async def stack(kept_stack: Stack) -> Stack:
    """The stack, whole again after whatever the last test did to it."""
    await kept_stack.healthy()
    kept_stack.owner.terminate()
    kept_stack.owner = await kept_stack.connect_owner()
    return kept_stack


@pytest_asyncio.fixture
async def city(stack: Stack) -> AsyncIterator[City]:
    async with aiohttp.ClientSession() as http:
        yield City(stack, http)


@pytest_asyncio.fixture
async def crowd(stack: Stack) -> AsyncIterator[Crowd]:
    async with crowd_of(stack) as crowd:
        yield crowd
