"""Following the development clock, so that a claim process plays the day that the ledger plays."""

import asyncio

import asyncpg
import structlog

from shared.clock import Clock
from shared.db.calling import AWAY
from shared.tasks import TaskOwner

_log = structlog.get_logger()

_ASK_EVERY_S = 0.5
_READ = "SELECT offset_us, development FROM campaign.clock"


async def follow_offset(pool: asyncpg.Pool, clock: Clock, owner: TaskOwner) -> None:
    """Take the offset now and, where it may move, twice a second."""
    row = await pool.fetchrow(_READ)
    if row is None:
        raise LookupError("campaign.clock is empty: the database was not migrated")
    clock.offset_us = row["offset_us"]
    if row["development"]:
        owner.spawn(_follow(pool, clock), name="clock")


async def _follow(pool: asyncpg.Pool, clock: Clock) -> None:
    while True:
        await asyncio.sleep(_ASK_EVERY_S)
        try:
            clock.offset_us = await pool.fetchval(_READ)
        except AWAY as fault:
            _log.warning("clock not read", fault=repr(fault))
