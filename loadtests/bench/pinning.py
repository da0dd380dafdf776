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


def cpu_s(pid: int) -> float | None:
    """Return the processor time a process has spent, in seconds; None where nothing tells it."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return None
    # The second field, the name, may hold spaces; user and system time are the 14th and 15th.
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def choose_cores() -> Pinning:
    """Split the cores this process may use."""
    if sys.platform != "linux":
        return Pinning(None, frozenset())
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < _CORES_NEEDED:
        return Pinning(None, frozenset(usable))
    return Pinning(usable[0], frozenset(usable[1:]))
