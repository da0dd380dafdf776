"""Running a crowd of Locust to its end."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from loadtests.faults import LoadTestError
from loadtests.handing_over import PLAN_VARIABLE, RECORD_VARIABLE, dump, load

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Locust takes about two seconds to start; a crowd that is still spawning at T-0 is no spike.
STARTS_S = 4.0
_GRACE_S = 30.0
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Crowd:
    """A file of Locust users; `per_s` is how fast they gather, `limit_s` how long they may take."""

    locustfile: Path
    host: str
    users: int
    per_s: int
    limit_s: int

    async def play(
        self, plan: "DataclassInstance", kind: type[_Record], folder: Path
    ) -> tuple[_Record, list[str]]:
        """Run Locust, and return what the crowd met, with a fault if any answer was unexpected.

        Raises:
            LoadTestError: it left no record, or did not end.
        """
        name = self.locustfile.parent.name
        plan_path, record_path = folder / f"{name}.plan", folder / f"{name}.record"
        dump(plan, plan_path)
        code = await self._run(plan_path, record_path)
        if not record_path.exists():
            raise LoadTestError(f"Locust exited with {code} before its crowd had done anything")
        faults = [f"Locust exited with {code}; its failures stand above"] if code else []
        return load(kind, record_path), faults

    async def _run(self, plan_path: Path, record_path: Path) -> int:
        options = {
            "--locustfile": str(self.locustfile),
            "--host": self.host,
            "--users": str(self.users),
            "--spawn-rate": str(self.per_s),
            "--run-time": f"{self.limit_s}s",
        }
        locust = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "locust",
                "--headless",
                "--only-summary",
                "--loglevel",
                "ERROR",
            ),
            *(text for option in options.items() for text in option),
            env={
                **os.environ,
                PLAN_VARIABLE: str(plan_path),
                RECORD_VARIABLE: str(record_path),
            },
        )
        patience_s = self.limit_s + _GRACE_S
        try:
            return await asyncio.wait_for(locust.wait(), patience_s)
        except TimeoutError:
            raise LoadTestError(f"Locust had not ended after {patience_s:.0f} s") from None
        finally:
            if locust.returncode is None:
                locust.kill()
                await locust.wait()
