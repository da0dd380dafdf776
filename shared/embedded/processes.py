"""Child processes: started under the server user, awaited, stopped within a bound."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.embedded import launch

_POLL_S = 0.02
_KILL_PATIENCE_S = 10.0
_LOG_TAIL_LINES = 10
_LOG_TAIL_BYTES = 16_384
_LOG_KEPT_BYTES = 16 * 1024 * 1024
_PROBE_PATIENCE_S = 20.0


class ChildProcess:
    """A process this one started."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal that ended it), None while it runs."""
        return self._popen.poll()

    async def exited(self, patience_s: float | None = None) -> int | None:
        """Wait for the end; return the exit code, or None when `patience_s` ran out first."""
        clock = asyncio.get_running_loop()
        deadline = None if patience_s is None else clock.time() + patience_s
        while (code := self.exit_code) is None:
            if deadline is not None and clock.time() >= deadline:
                return None
            await asyncio.sleep(_POLL_S)
        return code

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    async def stop(self, number: signal.Signals, patience_s: float) -> None:
        """Ask it to end with `number`, and kill it if it has not after `patience_s`."""
        self.send(number)
        if await self.exited(patience_s) is None:
            self.send(signal.SIGKILL)
            await self.exited(_KILL_PATIENCE_S)


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The user that servers run as; `uid` None means the user of this process."""

    uid: int | None

    def launching(self, death_signal: signal.Signals, program: Sequence[str]) -> list[str]:
        uid = launch.SAME_USER if self.uid is None else self.uid
        order = [str(uid), str(int(death_signal)), str(os.getpid()), *program]
        return [sys.executable, "-I", "-S", launch.__file__, *order]

    def can_enter(self, folder: Path) -> bool:
        """Whether the user can really enter the folder: tried, not computed from modes."""
        return self._succeeds("--enter", str(folder))

    def can_run(self, *program: str) -> bool:
        return self._succeeds(*program)

    def _succeeds(self, *program: str) -> bool:
        try:
            probe = subprocess.run(
                self.launching(signal.SIGKILL, program),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=clean_environment(),
                timeout=_PROBE_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return probe.returncode == 0

    def own(self, path: Path) -> None:
        """Hand over a file or directory that this process has just made."""
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)


class ServerProcess(ChildProcess):
    """An embedded server, or a tool of its wheel, with its output in a log file."""

    def __init__(
        self,
        program: Sequence[str],
        *,
        user: ServerUser,
        death_signal: signal.Signals,
        log: Path,
        stdin: IO[bytes] | None = None,
    ) -> None:
        """Start it in a process group of its own, so Ctrl-C on the terminal reaches only us.

        Call from the main thread: the death signal fires when the *thread* that forked ends.
        """
        _rotate(log)
        self._log = log
        with log.open("ab") as output:
            self._log_start = output.tell()
            popen = subprocess.Popen(
                user.launching(death_signal, program),
                stdin=stdin or subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=clean_environment(),
                process_group=0,
            )
        super().__init__(popen)
        self.started = start_mark(popen.pid)

    async def kill_all(self) -> None:
        """Kill it with all it has started: the helpers of initdb would write on for a while."""
        if self.exit_code is None:
            os.killpg(self.pid, signal.SIGKILL)
            await self.exited(_KILL_PATIENCE_S)

    def log_tail(self) -> str:
        """Return the last lines this process has written."""
        with self._log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, end - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def clean_environment() -> dict[str, str]:
    """Return what the servers see: none of our PG*, LD_* or locale variables can change them."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_KEPT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def start_mark(pid: int) -> str | None:
    """Return a mark of when this pid started, None if it does not run: pids are used again."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in {"Z", "X"} else fields[18]
    else:  # noqa: RET505 - mypy knows a platform by its branch
        ps = ["/bin/ps", "-o", "lstart=", "-p", str(pid)]
        listing = subprocess.run(ps, capture_output=True, text=True, check=False)
        return listing.stdout.strip() or None
