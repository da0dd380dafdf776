"""A simulator as a process: it tells where it is, survives its death, listens to nobody else."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services.simulating.book import BookTakenError
from services.simulating.serving import SimulateOptions, SimulatorError, simulate
from shared.counterparties import BANK, ECNY_OPERATOR, find_counterparty, url_file
from tests.simulating.running import simulating, until

_TIMEOUT_S = 60


def fairdrop(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


async def test_the_command_tells_its_address_and_takes_it_back(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "simulate", BANK, "--data", str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            told = json.loads(await process.stdout.readline())
            assert told["ready"] is True
            assert told["url"].startswith("http://127.0.0.1:")
            assert find_counterparty(BANK, tmp_path, {}) == told["url"]
            second = await asyncio.to_thread(fairdrop, "simulate", BANK, "--data", str(tmp_path))
            assert second.returncode == 1
            assert "another process simulates the same" in second.stderr
            assert "Traceback" not in second.stderr
            assert find_counterparty(BANK, tmp_path, {}) == told["url"]
            process.terminate()
            assert await process.wait() == 0
            assert await process.stdout.read() == b"", "one line is all it says"
    finally:
        if process.returncode is None:
            process.kill()
    assert find_counterparty(BANK, tmp_path, {}) is None


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("0.0.0.0", "loopback address only"),  # noqa: S104 - refused
        ("::", "loopback address only"),
        ("192.0.2.1", "loopback address only"),
        ("example.org", "use 127.0.0.1"),
    ],
)
async def test_it_listens_to_this_machine_alone(tmp_path: Path, host: str, why: str) -> None:
    with pytest.raises(SimulatorError, match=why):
        await simulate(SimulateOptions(ECNY_OPERATOR, tmp_path, host))


async def test_a_book_that_is_none_is_named(tmp_path: Path) -> None:
    book = url_file(tmp_path, BANK).with_suffix(".book")
    book.parent.mkdir()
    book.write_text("this is no book" * 100)
    with pytest.raises(BookTakenError, match=r"bank\.book cannot be opened"):
        await simulate(SimulateOptions(BANK, tmp_path))
    book.unlink()
    book.mkdir()
    with pytest.raises(BookTakenError, match=r"bank\.book cannot be opened"):
        await simulate(SimulateOptions(BANK, tmp_path))


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SimulatorError, match=f"Port {port} on 127.0.0.1 cannot be had"):
            await simulate(SimulateOptions(ECNY_OPERATOR, tmp_path, port=port))


async def test_killed_it_forgets_nothing_and_pays_nothing_twice(tmp_path: Path) -> None:
    async with simulating(ECNY_OPERATOR, tmp_path) as operator:
        move = {"reference": "m", "direction": "in", "amount_fen": 10_000}
        await operator.post("/v1/wallets/w/transfers", move)
        await operator.command({"on": "queries", "do": "silence", "match": "nobody"})
        answered: dict[str, object] = {}

        async def pay(number: int) -> None:
            order = {
                "end_to_end_no": f"e-{number}",
                "wallet": "w",
                "payee_wallet": "s",
                "amount_fen": 7,
            }
            answered[f"e-{number}"] = await operator.post("/v1/payments", order)

        async def pay_many() -> None:
            async with asyncio.TaskGroup() as group:
                for number in range(300):
                    group.create_task(pay(number))

        paying = asyncio.ensure_future(pay_many())

        async def is_busy() -> bool:
            return len(answered) > 50

        await until(is_busy, within_s=10)
        assert await operator.end(signal.SIGKILL) == -signal.SIGKILL
        with pytest.raises(ExceptionGroup):
            await paying
        kept = dict(answered)
        assert 50 < len(kept) < 300, "it was not killed in the middle"
        await operator.start()
        for number, told in kept.items():
            assert await operator.get(f"/v1/payments/{number}") == told
        assert (await operator.get("/simulate/faults"))["items"] == []
        await pay_many()
        assert {number: answered[number] for number in kept} == kept
        assert (await operator.get("/v1/wallets/w"))["balance_fen"] == 10_000 - 300 * 7


async def test_silence_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    async with simulating(ECNY_OPERATOR, tmp_path) as operator:
        await operator.command({"on": "queries", "do": "silence"})
        asking = asyncio.ensure_future(operator.ask("GET", "/v1/payments/e-1"))

        async def is_asked() -> bool:
            return (await operator.hits())["queries:silence"] == 1

        await until(is_asked, within_s=5)
        assert await operator.end() == 0
        await asyncio.wait([asking])
        assert asking.exception() is not None
