"""Where a result comes from: without machine, commit and command a number means nothing."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

RESULTS = Path(__file__).with_name("results")
_REPOSITORY = Path(__file__).parents[1]
_GIT_TIMEOUT_S = 10.0
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Provenance:
    """The circumstances of one run. `commit` is `unknown` outside a git checkout.

    `load_before` is the machine's load average when the run began: what else it had to do.
    """

    command: str
    commit: str
    dirty: bool
    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    load_before: float

    def __str__(self) -> str:
        commit = self.commit + (" with uncommitted changes" if self.dirty else "")
        machine = f"{self.cores} cores of {self.cpu}, {self.memory_gib:.0f} GiB, {self.system}"
        busy = f"load average {self.load_before:.1f} before it began"
        return f"{machine}; Python {self.python}; commit {commit}; {busy}"


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
        load_before=round(os.getloadavg()[0], 2),
    )


def keep_result(
    what: str, content: Mapping[str, object], folder: Path, *, made_at: datetime, commit: str
) -> Path:
    """Keep a result as `<what>-<date>-<commit>.json`, replacing an earlier one of that day."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{what}-{made_at:%Y-%m-%d}-{commit}.json"
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return path


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
