"""One core for the process that is measured, the other cores for everything else."""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_CORES_NEEDED = 2


@dataclass(frozen=True, slots=True)
class Pinning:
    """Which core is whose; nothing is pinned where `measured` is None."""

    measured: int | None
    others: frozenset[int]

    def __str__(self) -> str:
        if self.measured is None:
            return "nothing is pinned: every process shares every core"
        rest = ", ".join(map(str, sorted(self.others)))
        return (
            f"the measured process has core {self.measured}; wrk, Postgres and Valkey share {rest}"
        )

    def take_others(self) -> None:
        """Keep this process, and every process it starts from now on, off the measured core."""
        if self.measured is not None:
            os.sched_setaffinity(0, self.others)

    def give_measured(self, pid: int) -> None:
        """Move a process with all its threads to the measured core."""
        if self.measured is None:
            return
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that ended just now
                os.sched_setaffinity(int(thread.name), {self.measured})


@dataclass(frozen=True, slots=True)
class Scheduled:
    """The time that a process has run, and the time that it wanted to but another one ran."""

    ran_s: float
    waited_s: float


def scheduled(pid: int) -> Scheduled | None:
    """Return what the kernel tells of a process's main thread, None where it tells nothing."""
    path = Path(f"/proc/{pid}/schedstat")
    if not path.exists():
        return None
    ran_ns, waited_ns, _slices = path.read_text().split()
    return Scheduled(int(ran_ns) / 1e9, int(waited_ns) / 1e9)


def choose_cores() -> Pinning:
    """Split the cores this process may use."""
    if sys.platform != "linux":
        return Pinning(None, frozenset())
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < _CORES_NEEDED:
        return Pinning(None, frozenset(usable))
    return Pinning(usable[0], frozenset(usable[1:]))
