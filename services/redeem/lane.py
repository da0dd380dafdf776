"""The way of a city's redemptions through one process: gathered, then decided together.

Attempts that arrive while a batch is in flight form the next one. There is no timer: at low load a
batch is one attempt. A request only awaits its future, so a till that goes away breaks no batch.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import structlog

from services.redeem.attempts import Attempt
from services.redeem.deciding import BATCH_MAX, Ledger
from services.redeem.outcomes import BUSY, OVERLOADED, Redemption, Refused
from shared.tasks import TaskOwner

if TYPE_CHECKING:
    from uuid import UUID

_log = structlog.get_logger()

BATCHES_IN_FLIGHT_MAX = 2
QUEUE_MAX = 4_000
# A request is answered within this time, if only with "ask again".
DEADLINE_S = 4.0
# A voucher that everybody wants at once must not make each batch look through the whole queue.
_PASSED_OVER_MAX = 4 * BATCH_MAX


class Lane:
    """One city in one process.

    A batch holds each voucher and each request once, and none that another batch is deciding: the
    next attempt at either waits for the next batch, not at Postgres with its neighbours behind it.
    """

    def __init__(self, city_id: int, *, ledger: Ledger, owner: TaskOwner) -> None:
        self._city_id = city_id
        self._ledger = ledger
        self._owner = owner
        self._queue: deque[Attempt] = deque()
        self._in_flight: set[tuple[UUID, int | str]] = set()
        self._flushing = 0

    async def submit(self, attempt: Attempt) -> Redemption | Refused:
        """Have an attempt decided, or say that there was no answer in its time."""
        if len(self._queue) >= QUEUE_MAX:
            return OVERLOADED
        self._queue.append(attempt)
        if self._flushing < BATCHES_IN_FLIGHT_MAX:
            self._flushing += 1
            self._owner.spawn(self._flush_until_empty(), name="redeem flusher")
        try:
            async with asyncio.timeout_at(attempt.deadline_s):
                return await attempt.decided
        except TimeoutError:
            return BUSY

    async def _flush_until_empty(self) -> None:
        try:
            while batch := self._next_batch():
                try:
                    await self._flush(batch)
                except Exception:  # noqa: BLE001 - the batches behind this one need their flusher
                    _log.exception("batch failed", city_id=self._city_id)
                finally:
                    for attempt in batch:
                        self._in_flight -= attempt.names
                        # Whatever happened, nobody is left waiting.
                        attempt.answer(BUSY)
        finally:
            self._flushing -= 1

    def _next_batch(self) -> list[Attempt]:
        """Take the next batch out of the queue; empty where all that waits is being decided."""
        batch: list[Attempt] = []
        later: list[Attempt] = []
        while self._queue and len(batch) < BATCH_MAX and len(later) < _PASSED_OVER_MAX:
            attempt = self._queue.popleft()
            if attempt.decided.done():
                continue  # its till has gone or was told to ask again, and nothing was decided
            if attempt.names & self._in_flight:
                later.append(attempt)
            else:
                self._in_flight |= attempt.names
                batch.append(attempt)
        self._queue.extendleft(reversed(later))
        return batch

    async def _flush(self, batch: list[Attempt]) -> None:
        until_s = max(attempt.deadline_s for attempt in batch)
        outcomes = await self._ledger.decide(self._city_id, batch, until_s=until_s)
        for attempt, outcome in zip(batch, outcomes, strict=True):
            attempt.answer(outcome or BUSY)
