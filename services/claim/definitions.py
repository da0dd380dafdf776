"""What a published drop offers. It is frozen at publish, so a process reads it once."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import asyncpg

from shared.clock import CITY_TIME
from shared.errors import NotFound
from shared.ids import city_of, parse_id

_DROPS_KEPT_MAX = 2_000
_UNKNOWN_KEPT_S = 1.0
_CONNECTION_WAIT_S = 2.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Kind:
    """A voucher kind of the pack; `count` of them are in each pack."""

    kind_id: str
    name: str
    category: str
    face_fen: int
    min_spend_fen: int
    count: int
    valid_days: int | None
    valid_until: datetime | None
    refund_policy: str

    def ends_at(self, claim_day: date) -> datetime:
        """Return when a voucher claimed on that day in the city ends; the claim day counts."""
        if self.valid_until is not None:
            return self.valid_until
        last_midnight = claim_day + timedelta(days=self.valid_days or 0)
        return datetime.combine(last_midnight, datetime.min.time(), CITY_TIME)


@dataclass(frozen=True, slots=True)
class Definition:
    """A published drop, without what changes while it runs (its `Statement`)."""

    city_id: int
    drop_id: UUID
    programme_id: UUID
    name: str
    mode: str
    admission: str
    opens_at: datetime
    closes_at: datetime
    limit_per_holder: int
    pack: tuple[Kind, ...]

    @property
    def pack_vouchers(self) -> int:
        return sum(kind.count for kind in self.pack)


_READ_DROP = """
    SELECT city_id, drop_id, programme_id, name, mode, admission, opens_at, closes_at,
        limit_per_holder
    FROM campaign.drops
    WHERE city_id = $1 AND drop_id = $2 AND published_at IS NOT NULL
"""
_READ_PACK = """
    SELECT kind_id, name, category, face_fen, min_spend_fen, count, valid_days, valid_until,
        refund_policy
    FROM campaign.voucher_kinds
    WHERE city_id = $1 AND drop_id = $2
    ORDER BY position
"""


class Definitions:
    """Reads definitions through a bounded memory.

    Everybody who asks for a drop that is being read waits for that one reading, and an unknown id
    is remembered for a second: a crowd at a new or a wrong link is no crowd at the database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._known: OrderedDict[UUID, Definition] = OrderedDict()
        self._unknown_until: OrderedDict[UUID, float] = OrderedDict()
        self._readings: dict[UUID, asyncio.Future[Definition | None]] = {}

    def recall(self, drop_id: UUID) -> Definition | None:
        return self._known.get(drop_id)

    async def find(self, drop_id: UUID, *, now_s: float) -> Definition | None:
        """Return a published drop, or None. `now_s` is monotonic time.

        Raises what asyncpg raises; TimeoutError where no connection is free for two seconds.
        """
        known = self._known.get(drop_id)
        if known is not None:
            return known
        if self._unknown_until.get(drop_id, 0.0) > now_s:
            return None
        reading = self._readings.get(drop_id)
        if reading is None:
            reading = self._readings[drop_id] = asyncio.ensure_future(self._read(drop_id))
            reading.add_done_callback(lambda _: self._readings.pop(drop_id))
        definition = await asyncio.shield(reading)
        if definition is None:
            _remember(self._unknown_until, drop_id, now_s + _UNKNOWN_KEPT_S)
        else:
            _remember(self._known, drop_id, definition)
        return definition

    async def published(self, drop_id: str) -> Definition:
        """Find a published drop by the id that a client sent, as `find` does. Raises NotFound."""
        parsed = parse_id(drop_id)
        definition = await self.find(parsed, now_s=time.monotonic()) if parsed else None
        if definition is None:
            raise NotFound("There is no such drop.")
        return definition

    async def _read(self, drop_id: UUID) -> Definition | None:
        async with self._pool.acquire(timeout=_CONNECTION_WAIT_S) as connection:
            row = await connection.fetchrow(_READ_DROP, city_of(drop_id), drop_id)
            if row is None:
                return None
            kinds = await connection.fetch(_READ_PACK, city_of(drop_id), drop_id)
        return Definition(**row, pack=tuple(Kind(**kind) for kind in kinds))


def _remember(kept: OrderedDict[UUID, _T], key: UUID, value: _T) -> None:
    kept[key] = value
    if len(kept) > _DROPS_KEPT_MAX:
        kept.popitem(last=False)
