"""The demo's own `fairdrop serve`: started on free ports, stopped whatever happens."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.embedded.datadir import DataDir
from shared.embedded.processes import ServerUser
from shared.embedded.servers import erase
from shared.settings import POSTGRES_VARIABLE, REDIS_VARIABLE

READY_WITHIN_S = 90.0
STOPPED_WITHIN_S = 30.0
_KILLED_WITHIN_S = 10.0
_LOG_TAIL_BYTES = 16_384
_LOG_TAIL_LINES = 15
_MARK = "made-by-demo"
# The demo writes into its servers and empties its data dir, so it never uses a deployment's own.
DEPLOYMENT_VARIABLES = (POSTGRES_VARIABLE, REDIS_VARIABLE, "FAIRDROP_JWKS", "FAIRDROP_DATA")


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What the ready line told."""

    urls: dict[str, str]
    postgres_url: str
    redis_url: str


def empty_data_dir(path: Path) -> None:
    """Make the data dir anew, if it is a demo's.

    Raises:
        DemoError: it holds something that no demo has made.
        EmbeddedServerError: it is in use.
    """
    mark = path / _MARK
    if path.exists():
        if not path.is_dir() or (any(path.iterdir()) and not mark.exists()):
            raise DemoError(
                f"{path} was not made by a demo, so it is not emptied. "
                "Choose another directory with --data, or remove it yourself."
            )
        erase(DataDir(path))
    path.mkdir(parents=True)
    mark.touch()


@asynccontextmanager
async def serving(data: Path) -> AsyncIterator[Stack]:
    """Run `fairdrop serve` on the data dir, until the block ends.

    Raises:
        DemoError: it does not get ready.
    """
    DataDir(data).prepare()
    environment = {
        name: value for name, value in os.environ.items() if name not in DEPLOYMENT_VARIABLES
    }
    command = [sys.executable, "-m", "services.cli", "serve", "--data", str(data)]
    with log_of(data).open("wb") as log:
        # It is stopped by the kernel if this process dies, and by nobody's Ctrl-C but ours.
        process = await asyncio.create_subprocess_exec(
            *ServerUser(None).launching(
                signal.SIGTERM, [*command, "--port-base", "0", "--workers", "1"]
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            process_group=0,
        )
    try:
        yield await _ready(process)
    finally:
        await _stop(process)


async def _ready(process: asyncio.subprocess.Process) -> Stack:
    assert process.stdout is not None  # noqa: S101 - narrows the type; it was opened as a pipe
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise DemoError(f"The servers were not ready in {READY_WITHIN_S:.0f} seconds.") from None
    if not line:
        raise DemoError("The servers ended before they were ready.")
    report = json.loads(line)
    return Stack(report["urls"], report["postgres_url"], report["redis_url"])


async def _stop(process: asyncio.subprocess.Process) -> None:
    for number, patience_s in (
        (signal.SIGTERM, STOPPED_WITHIN_S),
        (signal.SIGKILL, _KILLED_WITHIN_S),
    ):
        if process.returncode is None:
            process.send_signal(number)
            try:
                async with asyncio.timeout(patience_s):
                    await process.wait()
            except TimeoutError:
                continue


def log_of(data: Path) -> Path:
    """Return where the servers of a demo log."""
    return DataDir(data).logs / "serve.log"


def log_tail(data: Path) -> str:
    """Return the last lines that the servers logged, nothing when they never started."""
    log = log_of(data)
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL_LINES:])
