"""I10: after one hand-over, a loaded gate says what the ledger says."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from shared.bookkeeping.invariants import check_gates
from shared.embedded.servers import EmbeddedServers
from shared.gate import keys
from shared.gate.gate import Gate, connect
from shared.gate.statement import READ_STATEMENT, Statement
from shared.ids import city_of
from tests import builders


@pytest_asyncio.fixture
async def redis(servers: EmbeddedServers) -> AsyncIterator[Redis]:
    redis = connect(servers.redis_url)
    yield redis
    await redis.flushall()
    await redis.aclose(close_connection_pool=True)


@pytest_asyncio.fixture
async def loaded_drop(owner: asyncpg.Connection, redis: Redis) -> UUID:
    """A drop of 10 packs with 4 claims, its gate loaded."""
    drop_id = await builders.make_drop(owner, await builders.make_programme(owner))
    await builders.publish(owner, drop_id)
    await builders.issue(owner, drop_id, 4)
    await Gate(redis).take(drop_id, await stated(owner, drop_id))
    return drop_id


async def stated(owner: asyncpg.Connection, drop_id: UUID) -> Statement:
    row = await owner.fetchrow(READ_STATEMENT, city_of(drop_id), drop_id)
    assert row is not None
    return Statement.of_row(dict(row))


async def test_a_gate_that_follows_is_sound(
    owner: asyncpg.Connection, redis: Redis, loaded_drop: UUID
) -> None:
    check = await check_gates(owner, Gate(redis))
    assert (check.offenders, check.sample) == (0, [])
    assert await redis.hget(keys.of_drop(loaded_drop)[0], "permits") == b"6"


@pytest.mark.parametrize("state", ["live", "paused", "closed"])
async def test_a_gate_that_is_behind_or_miscounts_heals(
    owner: asyncpg.Connection, redis: Redis, loaded_drop: UUID, state: str
) -> None:
    key = keys.of_drop(loaded_drop)[0]
    await redis.hset(key, mapping={"version": 1, "permits": 1_000_000})
    if state != "live":
        change = {"paused": "pause", "closed": "close"}[state]
        assert await builders.change_drop(owner, loaded_drop, change) == "done"
    assert (await check_gates(owner, Gate(redis))).offenders == 0
    statement = await stated(owner, loaded_drop)
    healed = [str(statement.version).encode(), b"6", state.encode()]
    assert await redis.hmget(key, "version", "permits", "state") == healed


async def test_a_gate_ahead_of_a_ledger_that_stands_still_offends(
    owner: asyncpg.Connection, redis: Redis, loaded_drop: UUID
) -> None:
    await redis.hset(keys.of_drop(loaded_drop)[0], mapping={"version": 99, "permits": 5})
    check = await check_gates(owner, Gate(redis))
    assert check.offenders == 1
    assert check.sample == [
        {
            "city_id": 1,
            "drop_id": str(loaded_drop),
            "ledger_version": 2,
            "gate_version": 99,
            "ledger_remaining": 6,
            "gate_permits": 5,
        }
    ]


async def test_a_gate_ahead_of_a_ledger_that_moves_on_is_sound(
    owner: asyncpg.Connection, database_url: str, redis: Redis, loaded_drop: UUID
) -> None:
    """The gate of a running drop may know a version that was not committed when we read."""

    class RunningGate(Gate):
        """Between a reading and its hand-over, one more batch is claimed and handed over."""

        async def take(
            self, drop_id: UUID, statement: Statement, *, denied_version: int | None = None
        ) -> tuple[int, int]:
            await builders.issue(claiming, drop_id, 1)
            await super().take(drop_id, await stated(claiming, drop_id))
            return await super().take(drop_id, statement, denied_version=denied_version)

    claiming = await asyncpg.connect(database_url)
    try:
        assert (await check_gates(owner, RunningGate(redis))).offenders == 0
        assert (await stated(owner, loaded_drop)).version == 5
    finally:
        await claiming.close()


async def test_a_drop_that_is_not_loaded_is_left_alone(
    owner: asyncpg.Connection, redis: Redis, loaded_drop: UUID
) -> None:
    await redis.flushall()
    assert (await check_gates(owner, Gate(redis))).offenders == 0
    assert await redis.exists(keys.of_drop(loaded_drop)[0]) == 0


async def test_a_gate_that_cannot_be_read_offends(
    owner: asyncpg.Connection, redis: Redis, loaded_drop: UUID
) -> None:
    key = keys.of_drop(loaded_drop)[0]
    await redis.delete(key)
    await redis.set(key, "not a gate")
    check = await check_gates(owner, Gate(redis))
    assert [row["gate"] for row in check.sample] == ["unreadable"]
