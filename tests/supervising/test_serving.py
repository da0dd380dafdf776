"""`fairdrop serve`: what it starts stays up, goes down in order, and never outlives it."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable

import aiohttp
import asyncpg
import pytest

from shared.embedded.datadir import DataDir
from shared.embedded.processes import start_mark
from shared.embedded.servers import EmbeddedServers
from tests.supervising.conftest import FAIRDROP, Serve, all_gone, eventually, flat

StartServe = Callable[..., Serve]


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_it_serves_restarts_the_dead_and_drains(
    start_serve: StartServe, data: DataDir
) -> None:
    serve = await start_serve("--workers", "2").ready()
    report = serve.report
    assert report["ready"] is True
    assert set(report["urls"]) >= {"campaign", "claim", "ledger"}
    assert len(report["pids"]["claim"]) == 2
    assert all(start_mark(pid) for pid in flat(report["pids"]))
    await serve.healthy()
    recorded = json.loads((data.path / "run.json").read_text())
    assert recorded["parent_pid"] == serve.process.pid
    assert recorded | report == recorded

    await ask(report["postgres_url"], "CREATE TABLE public.kept AS SELECT 7 AS value")
    # One of two claim processes: the other one goes on answering meanwhile.
    killed = report["pids"]["claim"][0]
    os.kill(killed, signal.SIGKILL)
    livez = report["urls"]["claim"] + "/livez"
    async with aiohttp.ClientSession() as client, client.get(livez) as answer:
        assert answer.status == 200
    await eventually(lambda: killed not in serve.pids()["claim"])
    assert len(serve.pids()["claim"]) == 2

    before = serve.pids()
    for name in ("campaign", "ledger", "postgres", "valkey"):
        os.kill(before[name][0] if isinstance(before[name], list) else before[name], signal.SIGKILL)
    names = ("campaign", "ledger", "postgres", "valkey")
    await eventually(lambda: all(serve.pids()[name] != before[name] for name in names))
    await eventually(lambda: serve.log.count('"service restarted"') == 5)
    await serve.healthy()
    assert await ask(report["postgres_url"], "SELECT value FROM public.kept") == 7

    last = flat(serve.pids())
    assert await serve.stopped(signal.SIGTERM) == 0
    await all_gone(last)
    assert not (data.path / "run.json").exists()
    assert serve.process.stdout is not None
    assert serve.process.stdout.read() == b""

    again = await start_serve().ready()
    assert await ask(again.report["postgres_url"], "SELECT value FROM public.kept") == 7
    assert await again.stopped(signal.SIGINT) == 0


async def test_a_killed_parent_leaves_no_orphans(start_serve: StartServe) -> None:
    serve = await start_serve("--workers", "2").ready()
    pids = flat(serve.pids())
    assert len(pids) == 7
    stopped = serve.pids()["claim"][0]
    os.kill(stopped, signal.SIGSTOP)  # not even a stopped one stays
    serve.process.kill()
    await all_gone(pids)
    assert serve.data.read_run() is None


async def test_a_second_signal_hurries(
    start_serve: StartServe,
) -> None:
    serve = await start_serve("--workers", "1").ready()
    pids = flat(serve.pids())
    os.kill(serve.pids()["claim"][0], signal.SIGSTOP)  # it cannot drain
    began = time.monotonic()
    serve.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(2)
    assert serve.process.poll() is None
    assert await serve.stopped(signal.SIGTERM) == 0
    assert time.monotonic() - began < 6
    await all_gone(pids)


async def test_a_stop_while_it_starts(start_serve: StartServe, data: DataDir) -> None:
    serve = start_serve()
    await eventually((data.logs / "postgres.log").exists)
    assert await serve.stopped(signal.SIGTERM) == 0
    again = await start_serve().ready()
    assert await again.stopped(signal.SIGTERM) == 0


async def test_a_data_dir_is_served_once(start_serve: StartServe) -> None:
    first = await start_serve().ready()
    second = start_serve()
    assert await second.stopped() == 1
    assert f"in use by process {first.process.pid}" in second.log


async def test_a_taken_port_is_named(start_serve: StartServe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        serve = start_serve("--port-base", str(port))
        assert await serve.stopped() == 1
    assert f"Port {port} on 127.0.0.1, where the campaign service listens, is taken" in serve.log
    assert "--port-base" in serve.log
    assert "Traceback" not in serve.log


async def test_given_servers_are_used_and_left_alone(
    start_serve: StartServe, data: DataDir
) -> None:
    given = EmbeddedServers(DataDir(data.path.with_name("given")))
    await given.start()
    try:
        serve = await start_serve(
            FAIRDROP_POSTGRES_URL=given.postgres_url, FAIRDROP_REDIS_URL=given.redis_url
        ).ready()
        assert serve.report["pids"]["postgres"] is None
        assert serve.report["pids"]["valkey"] is None
        assert serve.report["postgres_url"] == given.postgres_url
        assert serve.report["redis_url"] == given.redis_url
        assert await serve.stopped(signal.SIGTERM) == 0
        assert not (data.path / "postgres.password").exists()
        assert await ask(given.postgres_url, "SELECT 1") == 1
    finally:
        await given.stop()


@pytest.mark.parametrize(
    ("variable", "wanted"),
    [("FAIRDROP_POSTGRES_URL", "postgresql://"), ("FAIRDROP_REDIS_URL", "rediss:// or unix://")],
)
async def test_a_url_of_another_kind_is_refused_unseen(
    start_serve: StartServe, variable: str, wanted: str
) -> None:
    serve = start_serve(**{variable: "amqp://somebody:secret@127.0.0.1/x"})
    assert await serve.stopped() == 1
    assert f"{variable} must begin with" in serve.log
    assert wanted in serve.log
    assert "secret" not in serve.log
    assert "Traceback" not in serve.log


async def test_a_given_database_that_does_not_answer(start_serve: StartServe) -> None:
    serve = start_serve(FAIRDROP_POSTGRES_URL="postgresql://a:b@127.0.0.1:1/none")
    assert await serve.stopped() == 1
    assert "The database could not be migrated" in serve.log


def test_the_command_is_installed() -> None:
    assert FAIRDROP.exists()
