"""A market whose merchants are paid over real rails: the ledger, the workers, and simulators."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from shared.bookkeeping.invariants import check_books
from shared.counterparties import BANK, ECNY_OPERATOR
from tests.simulating.running import SimulatorProcess, simulating


@pytest_asyncio.fixture
async def books(owner: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """The owner; at the end of the test, whatever it did, every invariant must hold."""
    yield owner
    broken = {check.name: check.sample for check in await check_books(owner) if check.offenders}
    assert broken == {}


@pytest_asyncio.fixture(scope="session")
async def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where simulators and services find each other."""
    return tmp_path_factory.mktemp("rails")


@pytest_asyncio.fixture(scope="session")
async def kept_operator(data_dir: Path) -> AsyncIterator[SimulatorProcess]:
    async with simulating(ECNY_OPERATOR, data_dir) as simulator:
        yield simulator


@pytest_asyncio.fixture
async def operator(kept_operator: SimulatorProcess) -> SimulatorProcess:
    """The e-CNY operator, which does nothing wrong yet; every programme has a wallet of its own."""
    return await _without_faults(kept_operator)


@pytest_asyncio.fixture(scope="session")
async def kept_bank(data_dir: Path) -> AsyncIterator[SimulatorProcess]:
    async with simulating(BANK, data_dir) as simulator:
        yield simulator


@pytest_asyncio.fixture
async def bank(kept_bank: SimulatorProcess) -> SimulatorProcess:
    """The bank, which does nothing wrong yet; every programme has an account of its own."""
    return await _without_faults(kept_bank)


async def _without_faults(simulator: SimulatorProcess) -> SimulatorProcess:
    if not simulator.runs:  # a test that failed has left it so
        await simulator.start()
    await simulator.ask("DELETE", "/simulate/faults")
    return simulator
