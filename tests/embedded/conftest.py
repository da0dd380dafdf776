import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from shared.embedded.datadir import DataDir
from shared.embedded.processes import start_mark
from shared.embedded.servers import EmbeddedServers, erase

REPOSITORY = Path(__file__).parents[2]
GONE_WITHIN_S = 3.0
_POLL_S = 0.02


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    data = DataDir(tmp_path / "data")
    data.prepare()
    yield data
    erase(data)


@pytest.fixture(scope="session")
def used_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataDir]:
    """One data dir for the tests that leave it sound: making a cluster takes most of a start."""
    data = DataDir(tmp_path_factory.mktemp("used") / "data")
    data.prepare()
    yield data
    erase(data)


@contextlib.asynccontextmanager
async def running(data: DataDir) -> AsyncIterator[EmbeddedServers]:
    servers = EmbeddedServers(data)
    await servers.start()
    try:
        yield servers
    finally:
        await servers.stop()


async def ask_postgres(url: str, question: str) -> Any:  # noqa: ANN401 - any SQL type
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def write_both(servers: EmbeddedServers, value: str) -> None:
    await ask_postgres(servers.postgres_url, "CREATE TABLE IF NOT EXISTS kept (value text)")
    await ask_postgres(servers.postgres_url, f"INSERT INTO kept VALUES ('{value}')")  # noqa: S608
    async with Redis.from_url(servers.redis_url, decode_responses=True) as valkey:
        await valkey.rpush("kept", value)
        # Everysec may lose the last second; the answer of WAITAOF says this write is on disk.
        assert await valkey.waitaof(1, 0, 5_000) == [1, 0]


async def count_both(servers: EmbeddedServers, value: str) -> tuple[int, int]:
    """Count a value that `write_both` wrote: what Postgres has of it, and what Valkey has."""
    counted = f"SELECT count(*) FROM kept WHERE value = '{value}'"  # noqa: S608
    async with Redis.from_url(servers.redis_url, decode_responses=True) as valkey:
        values: Any = await valkey.lrange("kept", 0, -1)
        return await ask_postgres(servers.postgres_url, counted), values.count(value)


async def all_gone(*pids: int) -> None:
    """Fail unless every process has ended within GONE_WITHIN_S."""
    for _ in range(int(GONE_WITHIN_S / _POLL_S)):
        if all(start_mark(pid) is None for pid in pids):
            return
        await asyncio.sleep(_POLL_S)
    pytest.fail(f"of {pids}, some still run after {GONE_WITHIN_S} s")


@pytest.fixture
def start_parent() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start another process that runs the embedded servers; killed at the test's end."""
    started: list[subprocess.Popen[str]] = []

    def start(data_path: Path, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401
        command = [options.pop("python", sys.executable), "-m", "tests.embedded.parent"]
        parent = subprocess.Popen(
            [*command, str(data_path)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=options.pop("env", dict(os.environ)),
            **options,
        )
        started.append(parent)
        return parent

    yield start
    for parent in started:
        parent.kill()
        parent.communicate()


async def report_of(parent: subprocess.Popen[str]) -> dict[str, Any]:
    assert parent.stdout is not None
    line = await asyncio.wait_for(asyncio.to_thread(parent.stdout.readline), 20)
    assert line, "the parent ended before its servers answered"
    return dict(json.loads(line))
