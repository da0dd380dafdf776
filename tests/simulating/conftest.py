"""The two simulators, served by this process, each with a book of the test's own."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest_asyncio

from services.simulating.app import create
from services.simulating.book import Book
from shared.counterparties import BANK, ECNY_OPERATOR
from tests.callers import Caller
from tests.serving import serving


@contextlib.asynccontextmanager
async def _served(counterparty: str, path: Path) -> AsyncIterator[Caller]:
    with contextlib.closing(Book(path)) as book:
        async with (
            serving(create(counterparty, book)) as url,
            aiohttp.ClientSession(url) as http,
        ):
            yield Caller(http, None)


@pytest_asyncio.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Caller]:
    async with _served(ECNY_OPERATOR, tmp_path / "operator.book") as caller:
        yield caller


@pytest_asyncio.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Caller]:
    async with _served(BANK, tmp_path / "bank.book") as caller:
        yield caller
