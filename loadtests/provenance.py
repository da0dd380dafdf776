"""Where a result comes from: without machine, commit and command a number means nothing."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_REPOSITORY = Path(__file__).parents[1]
_GIT_TIMEOUT_S = 10.0
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Provenance:
    """The circumstances of one run. `commit` is `unknown` outside a git checkout."""

    command: str
    commit: str
    dirty: bool
    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str

    def __str__(self) -> str:
        commit = self.commit + (" with uncommitted changes" if self.dirty else "")
        machine = f"{self.cores} cores of {self.cpu}, {self.memory_gib:.0f} GiB, {self.system}"
        return f"{machine}; Python {self.python}; commit {commit}"


def provenance(module: str) -> Provenance:
    """Describe this run of `python -m module`."""
    commit = _git("rev-parse", "--short", "HEAD")
    return Provenance(
        command=" ".join(["python -m", module, *sys.argv[1:]]),
        commit=commit or "unknown",
        dirty=bool(_git("status", "--porcelain")),
        cpu=_cpu_model(),
        cores=os.cpu_count() or 1,
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def _git(*arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        return ""
    asked = subprocess.run(
        [git, *arguments],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        timeout=_GIT_TIMEOUT_S,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
