"""The invariants: what must hold of the books, of the claims behind them, and of the gate."""

import asyncio
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from uuid import UUID

import asyncpg
from redis.exceptions import ResponseError

from shared.clock import rfc3339
from shared.errors import Json
from shared.gate.gate import Gate
from shared.gate.statement import READ_STATEMENT, Statement
from shared.invariant import invariant

SAMPLE_MAX = 5
GATE_READS_MAX = 3
GATES_NAME = "I10_gates_follow_the_ledger"
GATES_DESCRIPTION = (
    "A loaded gate has, after one hand-over, the ledger's version and as many permits as are free."
)
_GATE_REREAD_S = 0.02
_ALL = "offenders_in_all"

_BLOCK = re.compile(
    r"^-- name: (?P<name>\w+)\n(?P<description>(?:-- .*\n)+)(?P<statement>(?:(?!-- name: ).*\n)+)",
    re.MULTILINE,
)
# The whole report speaks of one moment of a running drop, and each batch of claims is in it with
# its journal or not at all: they commit together.
_SNAPSHOT: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}
# Every query reads whole tables. Right after a drop their statistics are old, and a nested loop
# chosen for a table that was empty would run for hours.
_SET_BASED = "SET LOCAL enable_nestloop = off; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off"
# The sample and, beside each of its rows, the number of all offenders.
_COUNTED = "SELECT *, count(*) OVER () AS offenders_in_all FROM ({}) AS offender LIMIT $1"
_SEE_CITIES = "SELECT set_config('fairdrop.cities', $1, true)"
_EVERY_CITY = "*"
_PUBLISHED_DROPS = """
    SELECT city_id, drop_id FROM campaign.drops
    WHERE state IN ('live', 'paused', 'closed')
    ORDER BY city_id, drop_id
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant and how many rows break it; `sample` shows the first of them."""

    name: str
    description: str
    offenders: int
    sample: list[dict[str, Json]]


@dataclass(frozen=True, slots=True)
class Query:
    """A named query of invariants.sql; it returns its offenders."""

    name: str
    description: str
    statement: str


@cache
def queries() -> tuple[Query, ...]:
    """Return the queries of invariants.sql, in order; the file is parsed once."""
    text = (files("shared.bookkeeping") / "invariants.sql").read_text()
    found = tuple(_parse(text))
    names = len(re.findall(r"^-- name: ", text, re.MULTILINE))
    invariant(len(found) == names, "a block of invariants.sql cannot be read")
    return found


def _parse(text: str) -> Iterator[Query]:
    for block in _BLOCK.finditer(text):
        lines = [line.removeprefix("-- ") for line in block["description"].splitlines()]
        yield Query(block["name"], " ".join(lines), block["statement"].strip().removesuffix(";"))


def is_sound(checks: Iterable[Check]) -> bool:
    return all(check.offenders == 0 for check in checks)


async def check_books(
    connection: asyncpg.Connection, cities: Collection[int] | None = None
) -> list[Check]:
    """Run every query of invariants.sql in one snapshot over these cities (None: every city).

    The connection must not be in a transaction. Roles under row-level security are held to the
    cities; the owner and the auditor see every city whatever is asked.
    """
    async with connection.transaction(**_SNAPSHOT):
        await connection.execute(_SET_BASED)
        await connection.execute(_SEE_CITIES, _named(cities))
        return [await _check(connection, query) for query in queries()]


async def _check(connection: asyncpg.Connection, query: Query) -> Check:
    rows = await connection.fetch(_COUNTED.format(query.statement), SAMPLE_MAX)
    offenders = rows[0][_ALL] if rows else 0
    return Check(query.name, query.description, offenders, [_readable(dict(row)) for row in rows])


async def check_gates(
    connection: asyncpg.Connection, gate: Gate, cities: Collection[int] | None = None
) -> Check:
    """I10: after one hand-over, each loaded gate has the ledger's version and permits.

    A gate may be ahead of a reading because the drop goes on; it must not be ahead of a ledger
    that stands still. Raises GateError when the gate cannot be asked.
    """
    drops = await _read(connection, cities, _PUBLISHED_DROPS)
    found = [
        await _gate_offence(connection, gate, cities, drop)
        for drop in drops
        if await gate.is_loaded(drop["drop_id"])
    ]
    offences = [offence for offence in found if offence is not None]
    return Check(GATES_NAME, GATES_DESCRIPTION, len(offences), offences[:SAMPLE_MAX])


async def _gate_offence(
    connection: asyncpg.Connection, gate: Gate, cities: Collection[int] | None, drop: asyncpg.Record
) -> dict[str, Json] | None:
    named = _readable({"city_id": drop["city_id"], "drop_id": drop["drop_id"]})
    stated: list[int] = []
    for attempt in range(GATE_READS_MAX):
        if attempt:
            await asyncio.sleep(_GATE_REREAD_S)
        rows = await _read(connection, cities, READ_STATEMENT, drop["city_id"], drop["drop_id"])
        statement = Statement.of_row(dict(rows[0]))
        stated.append(statement.version)
        try:
            version, permits = await gate.take(drop["drop_id"], statement)
        except ResponseError as error:
            return {**named, "gate": "unreadable", "cause": str(error)}
        if (version, permits) == (statement.version, statement.remaining):
            return None
        if version <= statement.version:
            break
    else:
        if len(set(stated)) > 1:
            return None
    return {
        **named,
        "ledger_version": statement.version,
        "gate_version": version,
        "ledger_remaining": statement.remaining,
        "gate_permits": permits,
    }


async def _read(
    connection: asyncpg.Connection,
    cities: Collection[int] | None,
    statement: str,
    *arguments: object,
) -> list[asyncpg.Record]:
    async with connection.transaction(readonly=True):
        await connection.execute(_SEE_CITIES, _named(cities))
        return list(await connection.fetch(statement, *arguments))


def _named(cities: Collection[int] | None) -> str:
    return _EVERY_CITY if cities is None else ",".join(map(str, sorted(cities)))


def _readable(row: Mapping[str, Any]) -> dict[str, Json]:
    return {name: _plain(value) for name, value in row.items() if name != _ALL}


def _plain(value: object) -> Json:
    match value:
        case None | bool() | int() | str():
            return value
        case datetime():
            return rfc3339(value)
        case date() | UUID():
            return str(value)
        case _:
            # What is left are sums of Postgres, which are numeric; exact as text.
            return str(value)
