"""What must happen though nobody asks: holds that time out, vouchers that expire.

Any number of processes may do this at once: every step looks again under the locks that it takes,
and does nothing where another was first.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import structlog
from prometheus_client import CollectorRegistry, Gauge

from shared.db.calling import UNKNOWN, Calls
from shared.tasks import TaskOwner

_log = structlog.get_logger()

# The development clock jumps a day, and what ended in it should end about at once.
_LOOK_EVERY_S = 0.5
_JITTER = 0.2
_PAUSE_MAX_S = 30.0
_TAKEN_AT_ONCE = 100
_ROUNDS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Work:
    """What is looked for, up to so many at once, and the step that is done with each."""

    name: str
    look: str
    step: str


HOLDS = Work("holds", "SELECT * FROM redeem.overdue_holds($1)", "SELECT redeem.time_out($1, $2)")
COHORTS = Work(
    "cohorts",
    "SELECT * FROM redeem.due_cohorts($1)",
    "SELECT redeem.expire_cohort($1, $2, $3, $4)",
)


class Behind:
    """How far each work is behind: what it found due, and when it last had left nothing."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._due = Gauge(
            "fairdrop_redeem_due",
            f"Holds and cohorts found due at the last look, counted up to {_TAKEN_AT_ONCE}.",
            ["work"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._done = Gauge(
            "fairdrop_redeem_caught_up_timestamp_seconds",
            "When a process last found nothing due; an hour ago is an hour behind.",
            ["work"],
            registry=registry,
            multiprocess_mode="max",
        )

    def saw(self, work: str, due: int) -> None:
        self._due.labels(work).set(due)
        if not due:
            self._done.labels(work).set_to_current_time()


class Housekeeping:
    """The works of one process."""

    def __init__(self, calls: Calls, behind: Behind) -> None:
        self._calls = calls
        self._behind = behind

    def start(self, owner: TaskOwner) -> None:
        for work in (HOLDS, COHORTS):
            owner.spawn(self._keep(work), name=f"housekeeping of {work.name}")

    async def _keep(self, work: Work) -> None:
        """Do one work until cancelled; a fault puts it off, and longer each time."""
        pause_s = _LOOK_EVERY_S
        while True:
            await asyncio.sleep(pause_s * random.uniform(1 - _JITTER, 1 + _JITTER))
            try:
                await self.catch_up(work)
                pause_s = _LOOK_EVERY_S
            except Exception as fault:  # noqa: BLE001 - nobody else does this work
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
                _log.warning(
                    "housekeeping put off", work=work.name, by_s=pause_s, fault=repr(fault)
                )

    async def catch_up(self, work: Work) -> None:
        """Do all that is due, one step a transaction.

        Raises:
            asyncpg.PostgresError: steps failed, after the others were done.
            OSError, asyncpg.InterfaceError, TimeoutError: the server is away.
        """
        for _ in range(_ROUNDS_MAX):
            due = await self._calls.call("fetch", work.look, _TAKEN_AT_ONCE)
            self._behind.saw(work.name, len(due))
            # Other processes begin elsewhere: they would only wait for this one's locks.
            failed = [
                fault
                for item in random.sample(due, len(due))
                if (fault := await self._take(work.step, item)) is not None
            ]
            if failed:
                raise failed[0]
            if len(due) < _TAKEN_AT_ONCE:
                return

    async def _take(self, step: str, item: Sequence[object]) -> asyncpg.PostgresError | None:
        """Do one step; return what the server has against it."""
        try:
            await self._calls.call("fetchval", step, *item)
        except UNKNOWN:
            raise
        except asyncpg.PostgresError as fault:
            return fault
        return None
