"""The embedded servers are real, durable, and come back on the same data dir."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest
from redis.asyncio import Redis

from shared.embedded.datadir import DataDir
from shared.embedded.errors import EmbeddedServerError
from shared.embedded.reachable import folder_of
from shared.embedded.servers import EmbeddedServers, erase
from tests.embedded.conftest import (
    all_gone,
    ask_postgres,
    count_both,
    report_of,
    running,
    write_both,
)

SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "data_checksums": "on",
    "jit": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "server_encoding": "UTF8",
    "password_encryption": "scram-sha-256",
}


async def test_both_answer_with_durable_settings_that_a_file_cannot_undo(
    used_data: DataDir,
) -> None:
    async with running(used_data) as servers:
        url = servers.postgres_url
        assert (await ask_postgres(url, "SELECT version()")).startswith("PostgreSQL 18.")
        await ask_postgres(url, "ALTER SYSTEM SET fsync = off")

    async with running(used_data) as servers:
        url = servers.postgres_url
        found = {name: await ask_postgres(url, f"SHOW {name}") for name in SETTINGS}
        assert found == SETTINGS
        who = "SELECT current_user || '@' || current_database()"
        assert await ask_postgres(url, who) == "fairdrop@fairdrop"
        async with Redis.from_url(servers.redis_url, decode_responses=True) as valkey:
            assert (await valkey.info("server"))["valkey_version"].startswith("9.")
            durable = await valkey.config_get("appendonly", "appendfsync", "maxmemory-policy")
            assert durable == {
                "appendonly": "yes",
                "appendfsync": "everysec",
                "maxmemory-policy": "noeviction",
            }


async def test_a_wrong_password_is_refused(used_data: DataDir) -> None:
    async with running(used_data) as servers:
        password = (used_data.path / "postgres.password").read_text()
        stranger = servers.postgres_url.replace(password, "guess")
        with pytest.raises(Exception, match="password authentication failed"):
            await ask_postgres(stranger, "SELECT 1")


async def test_stop_leaves_nothing_and_a_restart_keeps_the_data(used_data: DataDir) -> None:
    async with running(used_data) as servers:
        await write_both(servers, "first")
        pids = (servers.postgres.pid, servers.valkey.pid)
        sockets = Path(servers.redis_url.removeprefix("unix://")).parent
    await all_gone(*pids)
    assert not sockets.exists()

    async with running(used_data) as servers:
        assert await count_both(servers, "first") == (1, 1)


async def test_two_data_dirs_side_by_side(used_data: DataDir, tmp_path: Path) -> None:
    other = DataDir(tmp_path / "other")
    async with running(used_data) as here, running(other) as there:
        await write_both(here, "here")
        await write_both(there, "there")
        assert await count_both(here, "here") == (1, 1)
        assert await count_both(there, "there") == (1, 1)
        assert await count_both(there, "here") == (0, 0)
    erase(other)


async def test_one_server_alone(used_data: DataDir) -> None:
    servers = EmbeddedServers(used_data, with_postgres=False)
    await servers.start()
    async with Redis.from_url(servers.redis_url) as valkey:
        assert await valkey.ping()
    with pytest.raises(RuntimeError, match="Postgres has not been started"):
        _ = servers.postgres.pid
    await servers.stop()


async def test_a_killed_server_is_restarted_behind_the_same_url(used_data: DataDir) -> None:
    async with running(used_data) as servers:
        await write_both(servers, "restarted")
        urls = (servers.postgres_url, servers.redis_url)
        # A busy backend outlives its postmaster for a moment and holds the shared memory.
        work = "SELECT count(*) FROM generate_series(1, 20000000)"
        busy = asyncio.ensure_future(ask_postgres(urls[0], work))
        await asyncio.sleep(0.2)
        for server in (servers.postgres, servers.valkey):
            killed = server.pid
            os.kill(killed, signal.SIGKILL)
            assert await server.process.exited(5) == -signal.SIGKILL
            await server.restart()
            assert server.pid != killed
        await asyncio.gather(busy, return_exceptions=True)
        assert urls == (servers.postgres_url, servers.redis_url)
        assert await count_both(servers, "restarted") == (1, 1)


async def test_killed_servers_recover_in_the_next_run(used_data: DataDir) -> None:
    servers = EmbeddedServers(used_data)
    await servers.start()
    await write_both(servers, "recovered")
    os.kill(servers.valkey.pid, signal.SIGKILL)
    os.kill(servers.postgres.pid, signal.SIGKILL)
    await servers.stop()

    async with running(used_data) as servers:
        assert await count_both(servers, "recovered") == (1, 1)
        log = (used_data.logs / "postgres.log").read_text()
        assert "was not properly shut down" in log


async def test_a_killed_parent_leaves_no_orphans(
    used_data: DataDir, start_parent: Callable[..., Popen[str]]
) -> None:
    parent = start_parent(used_data.path)
    report = await report_of(parent)
    parent.kill()
    await all_gone(report["postgres"], report["valkey"])

    async with running(used_data) as servers:
        assert await ask_postgres(servers.postgres_url, "SELECT 1") == 1
        stale = Path(report["redis_url"].removeprefix("unix://")).parent
        assert not stale.exists()


async def test_servers_that_outlived_their_parent_are_ended_first(used_data: DataDir) -> None:
    survivor = EmbeddedServers(used_data)
    await survivor.start()
    await write_both(survivor, "outlived")
    # What a killed parent leaves where there is no parent-death signal: servers, and no lock.
    survivor._held.close()
    async with running(used_data) as servers:
        assert await survivor.postgres.process.exited(0) is not None
        assert await survivor.valkey.process.exited(0) is not None
        assert await count_both(servers, "outlived") == (1, 1)


def holds_password(sockets: Path) -> bool:
    return any(sockets.glob("*/password"))


async def test_a_crash_while_the_cluster_is_made_is_made_good(
    data: DataDir, start_parent: Callable[..., Popen[str]]
) -> None:
    parent = start_parent(data.path)
    log = data.logs / "postgres.log"
    for _ in range(2_000):
        if log.exists() and "bootstrap script" in log.read_text():
            break
        await asyncio.sleep(0.005)
    sockets = Path(json.loads((folder_of(data) / "servers.json").read_text())["sockets"])
    assert holds_password(sockets)
    parent.kill()
    parent.wait()
    async with running(data) as servers:
        assert log.read_text().count("running bootstrap script") == 2
        assert not holds_password(sockets)
        assert await ask_postgres(servers.postgres_url, "SELECT 1") == 1


async def test_a_cancelled_start_leaves_nothing_running(data: DataDir) -> None:
    servers = EmbeddedServers(data)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(servers.start(), 0.4)
    assert await servers.valkey.process.exited(0) is not None
    async with running(data) as second:
        assert await ask_postgres(second.postgres_url, "SELECT 1") == 1


async def test_the_same_data_dir_takes_one_pair_of_servers(used_data: DataDir) -> None:
    async with running(used_data):
        with pytest.raises(EmbeddedServerError, match=f"in use by process {os.getpid()}"):
            await EmbeddedServers(used_data).start()
