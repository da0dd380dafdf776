"""What some work made the server read, by its own counters: no EXPLAIN shows a function's plans."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import asyncpg

# Tables of a row or a few, where a scan reads one page anyway.
TINY = {"campaign.clock", "campaign.cities", "ledger.account_families"}


@dataclass(frozen=True, slots=True)
class Counters:
    """How often tables were scanned whole; by index, scans and entries read."""

    whole_scans: Mapping[str, int]
    scans: Mapping[str, int]
    entries: Mapping[str, int]

    def since(self, before: "Counters") -> "Counters":
        return Counters(
            _grown(self.whole_scans, before.whole_scans),
            _grown(self.scans, before.scans),
            _grown(self.entries, before.entries),
        )


def _grown(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    grown = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: count for name, count in grown.items() if count}


async def counted(
    owner: asyncpg.Connection,
    session: asyncpg.Connection,
    work: Callable[[], Awaitable[object]],
) -> Counters:
    """Return what `work`, done in `session`, added to the counters."""
    before = await _read(owner, session)
    await work()
    return (await _read(owner, session)).since(before)


async def _read(owner: asyncpg.Connection, session: asyncpg.Connection) -> Counters:
    for connection in (owner, session):
        await connection.execute("SELECT pg_stat_force_next_flush()")
        await connection.execute("SELECT 1")  # the flush happens between two statements
    tables = await owner.fetch(
        "SELECT schemaname || '.' || relname, seq_scan FROM pg_stat_user_tables"
    )
    indexes = await owner.fetch(
        "SELECT indexrelname, idx_scan, idx_tup_read FROM pg_stat_user_indexes"
    )
    return Counters(
        {table: scans for table, scans in tables if table not in TINY},
        {index: scans for index, scans, _ in indexes},
        {index: entries for index, _, entries in indexes},
    )


def reads_few(counters: Counters, most: int) -> None:
    """No table was scanned whole, and no index gave more than so many entries.

    An index that is entered by its first column alone reads everybody's entries.
    """
    assert counters.whole_scans == {}, counters.whole_scans
    read = {index: count for index, count in counters.entries.items() if count > most}
    assert read == {}, f"more than {most} entries: {read}"
