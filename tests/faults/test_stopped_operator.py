"""An operator's process that stops in the middle of a change, and locks that others hold."""

import asyncio
import signal
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import asyncpg

from shared.db.urls import service_url
from tests.faults.gates import FalseGate
from tests.harness.books import live_claims
from tests.harness.city import City, Drop
from tests.harness.crowd import Crowd, assert_everything_holds, residents
from tests.harness.stack import Stack, eventually

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE usename = 'fairdrop_campaign' AND wait_event_type = 'Lock'
"""
_CHANGE = "SELECT outcome FROM campaign.change_drop($1, $2, $3, NULL, 'operator-2')"


@asynccontextmanager
async def locked(stack: Stack, drop: Drop) -> AsyncIterator[None]:
    """Hold the lock of a drop's row in a session of our own."""
    connection = await stack.connect_owner()
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(
            "SELECT FROM campaign.drops WHERE drop_id = $1 FOR UPDATE", drop.key
        )
        yield
    finally:
        await transaction.rollback()
        await connection.close()


async def change_as_operator(stack: Stack, drop: Drop, what: str) -> str:
    """Change a drop in the ledger alone, as another campaign process would before its hand-over."""
    url = service_url(stack.postgres_url, "campaign", stack.secrets)
    connection = await asyncpg.connect(url, timeout=10)
    try:
        outcome: str = await connection.fetchval(_CHANGE, drop.city_id, drop.key, what)
    finally:
        await connection.close()
    return outcome


async def test_campaign_stopped_in_mid_pause_does_not_hang_the_drop(
    stack: Stack, city: City, crowd: Crowd
) -> None:
    """Its call waits for a lock when it is stopped; the server decides and goes on without it."""
    drop = await city.open_drop(quota=800)
    [campaign] = stack.pids("campaign")
    async with crowd.rush(
        drop, residents(1_200), connections=2, arrive_within_s=1.5, pace=0.05
    ) as rush:
        await rush.until(wins=100)
        await rush.in_full_flight()
        async with asyncio.TaskGroup() as calls:
            async with locked(stack, drop):
                pause = calls.create_task(city.change(drop, "pause"))
                await eventually(
                    lambda: _is_waiting(stack), within_s=2, what=lambda: "nobody waits for the lock"
                )
                async with stack.frozen(campaign):
                    pass
                frozen = stack.frozen(campaign)
                await frozen.__aenter__()
            try:
                # The pause commits although its caller is stopped, and nobody holds the lock.
                await eventually(
                    lambda: _is_paused(stack, drop), within_s=2, what=lambda: "it is not paused"
                )
                paused_at = await live_claims(stack, drop)
                await rush.until_true(
                    lambda: rush.history.told()["paused"] > 100, "residents are told of the pause"
                )
                assert await live_claims(stack, drop) == paused_at
                assert await change_as_operator(stack, drop, "resume") == "done"
                await rush.until(wins=paused_at + 100)
                assert not pause.done()
            finally:
                await frozen.__aexit__(None, None, None)
        # It hands its old statement over only now; the gate knows a newer one.
        assert pause.result()["version"] < (await city.show(drop))["version"]
        await rush.ended()
    assert await FalseGate(stack, drop).state() == "live"
    await assert_everything_holds(rush)
