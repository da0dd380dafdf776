"""Killing processes, and the proof that somebody felt it."""

import contextlib
import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.harness.crowd import Rush
from tests.harness.stack import Stack, eventually

RESTARTED_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault: when it struck, how much was logged by then, and which processes it ended."""

    at: datetime
    logged: int
    pids: list[int]

    def log_since(self, stack: Stack) -> str:
        return stack.log[self.logged :]

    def assert_felt(self, stack: Stack, rush: Rush, complaint: str) -> None:
        """Check that calls were in flight and that a service complained of what it lost."""
        rush.assert_struck(self.at)
        assert complaint in self.log_since(stack), f"no service logged {complaint!r}"


def begin(stack: Stack, pids: list[int]) -> Strike:
    """Note the moment just before a fault."""
    return Strike(datetime.now(UTC), len(stack.log), pids)


def kill(stack: Stack, *pids: int) -> Strike:
    """SIGKILL processes."""
    strike = begin(stack, list(pids))
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return strike


def kill_postgres(stack: Stack) -> Strike:
    """SIGKILL the postmaster and every process it has."""
    [postmaster] = stack.pids("postgres")
    # Stopped first, so that it forks no backend that would be missed.
    os.kill(postmaster, signal.SIGSTOP)
    family = [postmaster, *children_of(postmaster)]
    assert len(family) > 1 + 4, "there are no backends to kill"
    return kill(stack, *family)


def children_of(parent: int) -> list[int]:
    """Return the processes whose parent this is."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


async def replaced(stack: Stack, name: str, pid: int) -> None:
    """Wait until a service or server has as many processes as before, and not this one."""
    number = len(stack.pids(name))

    async def other() -> bool:
        now = stack.pids(name)
        return pid not in now and len(now) == number

    await eventually(
        other,
        within_s=RESTARTED_WITHIN_S,
        what=lambda: f"{name} {pid} was not restarted:\n{stack.log_tail}",
    )
