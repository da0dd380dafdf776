"""Reading and moving the development clock."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

_TIMEOUT_S = 10
_READ = "SELECT campaign.now(), offset_us FROM campaign.clock"


class ClockFixedError(OSError):
    """This deployment runs on real time; its clock cannot be moved."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The deployment's time and how far it is ahead of real time."""

    now: datetime
    offset: timedelta


async def read_clock(owner_url: str) -> Reading:
    connection = await asyncpg.connect(owner_url, timeout=_TIMEOUT_S)
    try:
        return await _read(connection)
    finally:
        await connection.close(timeout=_TIMEOUT_S)


async def move_clock(owner_url: str, by: timedelta) -> Reading:
    """Move the clock forward and return what it shows.

    Raises:
        ClockFixedError: the deployment is not one for development.
    """
    connection = await asyncpg.connect(owner_url, timeout=_TIMEOUT_S)
    try:
        if not await connection.fetchval("SELECT development FROM campaign.clock"):
            raise ClockFixedError("This database runs on real time: its clock is not for moving.")
        await connection.execute(
            "SELECT campaign.advance_clock($1)", by // timedelta(microseconds=1)
        )
        return await _read(connection)
    finally:
        await connection.close(timeout=_TIMEOUT_S)


async def _read(connection: asyncpg.Connection) -> Reading:
    row = await connection.fetchrow(_READ)
    if row is None:
        raise LookupError("campaign.clock is empty: the database was not migrated")
    return Reading(row[0], timedelta(microseconds=row[1]))
