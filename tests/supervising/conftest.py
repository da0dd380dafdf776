import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.embedded.datadir import DataDir
from shared.embedded.processes import start_mark
from shared.embedded.servers import erase

FAIRDROP = Path(sys.executable).with_name("fairdrop")
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 30.0
RESTARTED_WITHIN_S = 15.0
GONE_WITHIN_S = 3.0
_POLL_S = 0.05


class Serve:
    """A `fairdrop serve` that a test started."""

    def __init__(self, data: DataDir, *options: str, **environment: str) -> None:
        self.data = data
        self.log_path = data.path.with_name(f"{data.path.name}.log")
        command = [str(FAIRDROP), "serve", "--data", str(data.path), *options]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=os.environ | environment
            )
        self.report: dict[str, Any] = {}

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    async def ready(self) -> "Serve":
        assert self.process.stdout is not None
        line = await asyncio.wait_for(
            asyncio.to_thread(self.process.stdout.readline), READY_WITHIN_S
        )
        assert line, f"it ended before it was ready:\n{self.log}"
        self.report = json.loads(line)
        return self

    def pids(self) -> dict[str, Any]:
        """What runs now, by the record in the data dir."""
        run = self.data.read_run()
        assert run is not None
        return dict(run["pids"])

    async def stopped(self, *numbers: signal.Signals) -> int:
        for number in numbers:
            self.process.send_signal(number)
            await asyncio.sleep(0.3)
        return await asyncio.wait_for(asyncio.to_thread(self.process.wait), STOPPED_WITHIN_S)

    async def healthy(self) -> None:
        """Wait until every service answers that it and its dependencies are ready."""
        async with aiohttp.ClientSession() as client:
            for url in self.report["urls"].values():
                await eventually(lambda url=url: is_ready(client, url))  # type: ignore[misc]


def flat(pids: dict[str, Any]) -> list[int]:
    groups = [group if isinstance(group, list) else [group] for group in pids.values()]
    return [pid for group in groups for pid in group if pid is not None]


async def is_ready(client: aiohttp.ClientSession, url: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        timeout = aiohttp.ClientTimeout(total=2)
        async with client.get(f"{url}/readyz", timeout=timeout) as answer:
            return answer.status == 200
    return False


async def eventually(
    holds: Callable[[], Any], within_s: float = RESTARTED_WITHIN_S, what: str = "it never held"
) -> None:
    for _ in range(int(within_s / _POLL_S)):
        held = holds()
        if await held if asyncio.iscoroutine(held) else held:
            return
        await asyncio.sleep(_POLL_S)
    pytest.fail(what)


async def all_gone(pids: list[int]) -> None:
    await eventually(
        lambda: all(start_mark(pid) is None for pid in pids), GONE_WITHIN_S, f"left over of {pids}"
    )


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDir]:
    data = DataDir(tmp_path / "data")
    yield data
    erase(data)


@pytest.fixture
async def start_serve(data: DataDir) -> AsyncIterator[Callable[..., Serve]]:
    """Start `fairdrop serve` on free ports; what still runs at the test's end is killed."""
    started: list[Serve] = []

    def start(*options: str, **environment: str) -> Serve:
        serve = Serve(data, "--port-base", "0", *options, **environment)
        started.append(serve)
        return serve

    yield start
    for serve in started:
        serve.process.kill()
        serve.process.communicate()
        await all_gone(flat(serve.report.get("pids", {})))
