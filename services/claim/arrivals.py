"""Arrival rank, time and outcome of every attempt that reached the gate, for evaluation.

Without the losers no later study can say what a drop did. Kept in batches and best effort: when
the ledger is away or a batch is full, the oldest are dropped and counted, never the money path
slowed.
"""

import asyncio
from collections import deque
from uuid import UUID

import asyncpg
import structlog

from services.claim.attempts import Attempt
from services.claim.definitions import Definition
from shared.db.calling import AWAY

_log = structlog.get_logger()

_KEPT_MAX = 200_000
_WRITE_EVERY_S = 0.5
# A few milliseconds each, so that no batch of claims waits behind one.
_WRITE_MAX = 1_000
_WAIT_S = 2.0
# COPY would be faster, but it is not allowed where row-level security applies.
_WRITE = """
    INSERT INTO claim.attempts (
        city_id, drop_id, arrival_rank, arrived_at, holder_key, outcome
    )
    SELECT
        city_id, drop_id, arrival_rank,
        'epoch'::timestamptz + arrived_us * interval '1 microsecond',
        holder_key, outcome
    FROM unnest($1::smallint[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[])
        AS arrived (city_id, drop_id, arrival_rank, arrived_us, holder_key, outcome)
"""

_Row = tuple[int, UUID, int, int, bytes, str]


class Arrivals:
    """A bounded buffer that a background task copies to `claim.attempts`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._kept: deque[_Row] = deque(maxlen=_KEPT_MAX)

    def note(self, definition: Definition, attempt: Attempt, outcome: str) -> None:
        """Keep one attempt that the gate has ranked."""
        self._kept.append(
            (
                definition.city_id,
                definition.drop_id,
                attempt.rank,
                attempt.arrived_us,
                attempt.holder.key,
                outcome,
            )
        )

    async def write_for_ever(self) -> None:
        """Write what was kept, twice a second, until cancelled."""
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write what is kept now, in pieces; a piece that meets a fault is lost, and said so."""
        for _ in range(0, len(self._kept), _WRITE_MAX):
            rows = [self._kept.popleft() for _ in range(min(_WRITE_MAX, len(self._kept)))]
            try:
                async with self._pool.acquire(timeout=_WAIT_S) as connection:
                    await connection.execute(_WRITE, *zip(*rows, strict=True))
            except (*AWAY, asyncpg.PostgresError) as fault:
                _log.warning("arrivals lost", rows=len(rows), fault=repr(fault))
