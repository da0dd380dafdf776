"""A private `fairdrop serve` for one load test, with everything in a folder of its own."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.faults import LoadTestError
from shared.embedded.datadir import DataDir
from shared.embedded.processes import ChildProcess, ServerUser
from shared.embedded.servers import erase

_READY_PATIENCE_S = 60.0
_STOP_PATIENCE_S = 30.0
_LOG_TAIL_LINES = 15
_VARIABLES = "FAIRDROP_"
_AS_OURSELVES = ServerUser(None)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `fairdrop serve` said when it was ready."""

    data: DataDir
    urls: dict[str, str]
    pids: dict[str, Any]
    postgres_url: str
    redis_url: str

    @property
    def claim_pids(self) -> list[int]:
        return list(self.pids["claim"])

    def restarted(self) -> bool:
        """Whether anything died and was replaced since the start."""
        run = self.data.read_run()
        return run is None or run["pids"] != self.pids


@asynccontextmanager
async def deployed(*, workers: int) -> AsyncIterator[Deployment]:
    """Serve on free ports until the block ends, then stop and remove everything.

    Nothing of the caller's own deployment is used, whatever the environment names: a load test
    writes claims by the ten thousand.

    Raises:
        LoadTestError: it did not start.
    """
    for name in [name for name in os.environ if name.startswith(_VARIABLES)]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="fairdrop-load-") as folder:
        data, log_path = DataDir(Path(folder) / "data"), Path(folder) / "serve.log"
        popen = _start(data, workers, log_path)
        child = ChildProcess(popen)
        try:
            yield _deployment(data, await _ready_line(popen, log_path))
        finally:
            await child.stop(signal.SIGTERM, _STOP_PATIENCE_S)
            if popen.stdout is not None:
                popen.stdout.close()
            erase(data)


def _start(data: DataDir, workers: int, log_path: Path) -> subprocess.Popen[bytes]:
    serve = [sys.executable, "-m", "services.cli", "serve", "--data", str(data.path)]
    program = [*serve, "--port-base", "0", "--workers", str(workers)]
    with log_path.open("wb") as log:
        # A killed load test leaves nothing running, and nobody's Ctrl-C but ours stops it.
        return subprocess.Popen(
            _AS_OURSELVES.launching(signal.SIGTERM, program),
            stdout=subprocess.PIPE,
            stderr=log,
            process_group=0,
        )


async def _ready_line(popen: subprocess.Popen[bytes], log_path: Path) -> dict[str, Any]:
    assert popen.stdout is not None  # noqa: S101 - it was asked for
    line = b""
    with contextlib.suppress(TimeoutError):
        reading = asyncio.to_thread(popen.stdout.readline)
        line = await asyncio.wait_for(reading, _READY_PATIENCE_S)
    if not line:
        popen.kill()
        raise LoadTestError(f"`fairdrop serve` did not become ready:\n{_log_tail(log_path)}")
    return dict(json.loads(line))


def _log_tail(log_path: Path) -> str:
    return "\n".join(log_path.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:])


def _deployment(data: DataDir, report: dict[str, Any]) -> Deployment:
    return Deployment(
        data=data,
        urls=report["urls"],
        pids=report["pids"],
        postgres_url=report["postgres_url"],
        redis_url=report["redis_url"],
    )
