"""The demo's own `fairdrop serve`: started on free ports, stopped whatever happens."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.counterparties import VARIABLES
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
SERVE = "serve"
# The demo writes into its servers and empties its data dir, so it never uses a deployment's own.
DEPLOYMENT_VARIABLES = (
    POSTGRES_VARIABLE,
    REDIS_VARIABLE,
    "FAIRDROP_JWKS",
    "FAIRDROP_DATA",
    *VARIABLES.values(),
)


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
async def serving(data: Path, *, simulated: Sequence[str] = ()) -> AsyncIterator[Stack]:
    """Run `fairdrop serve` on the data dir, and these counterparties, until the block ends.

    Raises:
        DemoError: they do not get ready.
    """
    DataDir(data).prepare()
    commands = {
        SERVE: ["serve", "--data", str(data), "--port-base", "0", "--workers", "1"],
        **{name: ["simulate", name, "--data", str(data)] for name in simulated},
    }
    async with AsyncExitStack() as running:
        started = {
            name: await running.enter_async_context(_running(command, log_of(data, name)))
            for name, command in commands.items()
        }
        reports = {name: await _ready(process, name) for name, process in started.items()}
        report = reports[SERVE]
        yield Stack(report["urls"], report["postgres_url"], report["redis_url"])


@asynccontextmanager
async def _running(arguments: Sequence[str], log_file: Path) -> AsyncIterator[Process]:
    """Run one of our commands until the block ends."""
    environment = {
        name: value for name, value in os.environ.items() if name not in DEPLOYMENT_VARIABLES
    }
    command = [sys.executable, "-m", "services.cli", *arguments]
    with log_file.open("wb") as log:
        # It is stopped by the kernel if this process dies, and by nobody's Ctrl-C but ours.
        process = await asyncio.create_subprocess_exec(
            *ServerUser(None).launching(signal.SIGTERM, command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        await _stop(process)


async def _ready(process: Process, name: str) -> dict[str, Any]:
    """Return what a command says in the line that it is ready."""
    assert process.stdout is not None  # noqa: S101 - narrows the type; it was opened as a pipe
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            line = await process.stdout.readline()
    except TimeoutError:
        raise DemoError(f"{_named(name)} was not ready in {READY_WITHIN_S:.0f} s.") from None
    if not line:
        raise DemoError(f"{_named(name)} ended before it was ready.")
    report: dict[str, Any] = json.loads(line)
    return report


def _named(name: str) -> str:
    return "fairdrop serve" if name == SERVE else f"The simulated {name}"


async def _stop(process: Process) -> None:
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


def log_of(data: Path, name: str = SERVE) -> Path:
    """Return where the servers of a demo, or one of its simulators, log."""
    return DataDir(data).logs / f"{name}.log"


def log_tail(data: Path) -> str:
    """Return the last lines that the servers logged, nothing when they never started."""
    log = log_of(data)
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL_LINES:])
