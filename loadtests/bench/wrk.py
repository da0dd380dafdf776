"""wrk, the load generator: found or installed, run, and its answers read back."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loadtests.bench.pinning import Scheduled
from loadtests.faults import LoadTestError
from loadtests.verdict import Acknowledged

_SCRIPTS = Path(__file__).parent
_GRACE_S = 20.0
_INSTALL_TIMEOUT_S = 180.0
_ANSWER_TIMEOUT_S = 10
_STATUS_WON = ("200", "201")
_EXHAUSTED = "exhausted"


@dataclass(slots=True)
class Run:
    """What one run of wrk saw. `answers` counts by status, or by status and problem code.

    A run that is `exhausted` used up its tokens before its time was over: its rate means nothing.
    `server` is what the measured process spent meanwhile, where the kernel tells it.
    """

    duration_s: float
    p50_ms: float
    p99_ms: float
    socket_errors: int
    exhausted: bool = False
    server: Scheduled | None = None
    answers: Counter[str] = field(default_factory=Counter)
    acknowledged: list[Acknowledged] = field(default_factory=list)

    def per_second(self, answer: str) -> float:
        """Return how many of one kind of answer came in a second."""
        return self.answers[answer] / self.duration_s

    def server_us(self) -> float | None:
        """Return the server's processor time for one answer, in microseconds, where known."""
        answers = self.answers.total()
        return None if self.server is None or not answers else self.server.ran_s / answers * 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """How hard a run pushes, and for how long."""

    connections: int
    threads: int
    seconds: int


async def run(
    program: str, script: str, url: str, load: Load, log: Path, environment: Mapping[str, str]
) -> Run:
    """Run one script against a URL. Raises LoadTestError when wrk fails."""
    wrk = await asyncio.create_subprocess_exec(
        program,
        *("-c", str(load.connections), "-t", str(load.threads), "-d", f"{load.seconds}s"),
        *("--timeout", f"{_ANSWER_TIMEOUT_S}s", "-s", script, url, "--", str(load.threads)),
        cwd=_SCRIPTS,
        env={**os.environ, **environment, "BENCH_LOG": str(log)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(wrk.communicate(), load.seconds + _GRACE_S)
    except TimeoutError:
        raise LoadTestError(f"wrk did not end {_GRACE_S:.0f} s after its time was over") from None
    finally:
        if wrk.returncode is None:
            wrk.kill()
            await wrk.wait()
    text = output.decode(errors="replace")
    if wrk.returncode != 0:
        raise LoadTestError(f"wrk exited with {wrk.returncode}:\n{text}")
    seen = parse_summary(text)
    for number in range(load.threads):
        path = log.with_name(f"{log.name}.{number}")
        with path.open() as lines:
            read_answers(seen, lines)
        path.unlink()
    return seen


def parse_summary(output: str) -> Run:
    """Read the line of JSON with which our scripts end wrk's report. Raises LoadTestError."""
    lines = output.strip().splitlines()
    try:
        summary = json.loads(lines[-1])
        return Run(
            duration_s=summary["duration_us"] / 1e6,
            p50_ms=summary["p50_us"] / 1e3,
            p99_ms=summary["p99_us"] / 1e3,
            socket_errors=summary["socket_errors"],
        )
    except (IndexError, KeyError, TypeError, ValueError):
        raise LoadTestError(f"wrk's report has no summary:\n{output}") from None


def read_answers(seen: Run, lines: Iterable[str]) -> None:
    """Add what a thread logged, as answers.lua writes it. Raises LoadTestError for a torn win."""
    for line in lines:
        status, *what = line.split()
        if status == _EXHAUSTED:
            seen.exhausted = True
        elif status in _STATUS_WON and what:
            try:
                claim_id, serial = what
                seen.acknowledged.append(Acknowledged(claim_id, int(serial)))
            except ValueError:
                raise LoadTestError(f"a claim was answered with {status}, but not one") from None
            seen.answers[status] += 1
        else:
            seen.answers[" ".join([status, *what])] += 1


def find_or_install() -> str:
    """Return wrk's path; root on Debian gets it installed.

    Raises:
        LoadTestError: there is none; the message says how to get it.
    """
    found = shutil.which("wrk")
    apt_get = shutil.which("apt-get")
    if found is None and apt_get is not None and os.geteuid() == 0:
        sys.stderr.write("Installing wrk with apt-get ...\n")
        # A fresh container has no package lists; an up-to-date machine needs no update.
        if not _succeeds(apt_get, "install", "-y", "wrk") and _succeeds(apt_get, "update"):
            _succeeds(apt_get, "install", "-y", "wrk")
        found = shutil.which("wrk")
    if found is None:
        raise LoadTestError(
            "wrk, the load generator, is not on the PATH. Install it and run this again:"
            " `sudo apt-get install wrk` on Debian and Ubuntu, `brew install wrk` on macOS."
        )
    return found


def _succeeds(apt_get: str, *arguments: str) -> bool:
    try:
        asked = subprocess.run(
            [apt_get, "-q", *arguments],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stdout=subprocess.DEVNULL,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0
