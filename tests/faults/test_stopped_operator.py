"""An operator's process that stops in the middle of a change, and locks that others hold."""

import asyncio
import signal
import statistics
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from tests.faults.gates import FalseGate
from tests.faults.operating import change_untold, locked
from tests.harness.books import live_claims
from tests.harness.city import City, Drop
from tests.harness.crowd import Crowd, assert_everything_holds, crowd_of, residents
from tests.harness.stack import Stack, eventually

_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE usename = 'fairdrop_campaign' AND wait_event_type = 'Lock'
"""


async def test_campaign_stopped_in_mid_pause_does_not_hang_the_drop(
    stack: Stack, city: City, crowd: Crowd
) -> None:
    """Its call waits for a lock when it is stopped; the server decides and goes on without it."""
    drop = await city.open_drop(quota=800)
    [campaign] = stack.pids("campaign")
    async with (
        asyncio.TaskGroup() as calls,
        crowd.rush(drop, residents(1_200), connections=2, arrive_within_s=1.5, pace=0.05) as rush,
        locked(stack, drop) as lock,
    ):
        await rush.in_full_flight()
        pause = calls.create_task(city.change(drop, "pause"))
        await eventually(
            lambda: _is_waiting(stack), within_s=2, what=lambda: "nobody waits for the lock"
        )
        async with stack.stopped(campaign):
            await lock.release()
            # The pause commits although its caller is stopped, and nobody is left with the lock.
            await eventually(
                lambda: _is_paused(stack, drop), within_s=2, what=lambda: "it is not paused"
            )
            frozen = await live_claims(stack, drop)
            await rush.until_true(
                lambda: rush.history.told()["paused"] > 100, "residents are told of the pause"
            )
            assert await live_claims(stack, drop) == frozen
            assert await change_untold(stack, drop, "resume") == "done"
            await rush.until(wins=frozen + 100)
            assert not pause.done()
        # It hands its old statement over only now; the gate knows a newer one.
        await pause
        await rush.ended()
    assert await FalseGate(stack, drop).state() == "live"
    await assert_everything_holds(rush)


async def test_one_locked_drop_does_not_delay_another(
    city: City, stack: Stack, crowd: Crowd
) -> None:
    held, other = await city.open_drop(quota=100), await city.open_drop(quota=500)
    # The residents of the locked drop wait on connections of their own.
    async with (
        crowd_of(stack, sockets=64) as others,
        locked(stack, held) as lock,
        others.rush(held, residents(200)) as waiting,
        crowd.rush(other, residents(800), connections=2, arrive_within_s=1.5) as going,
    ):
        locked_at = datetime.now(UTC)
        await asyncio.sleep(1.8)
        unlocked_at = datetime.now(UTC)
        await lock.release()
        await going.ended()
        await waiting.ended()
        await assert_everything_holds(waiting)
    blocked = [call for call in waiting.history.calls if locked_at < call.started < unlocked_at]
    assert len(blocked) >= 64
    assert not any(call.won and call.ended < unlocked_at for call in blocked)
    served = [call for call in going.history.calls if locked_at < call.ended < unlocked_at]
    assert sum(call.won for call in served) > 200
    p99_ms = statistics.quantiles([call.took_ms for call in served], n=100)[-1]
    assert p99_ms < 500, f"p99 {p99_ms:.0f} ms beside a locked drop"
    await assert_everything_holds(going)


async def test_campaign_killed_between_a_resume_and_its_hand_over(
    stack: Stack, city: City, crowd: Crowd
) -> None:
    """The gate still says paused, and nobody is left who would tell it."""
    drop = await city.open_drop(quota=400)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(600), connections=2, pace=0.1) as rush:
        await rush.until(wins=100)
        await city.change(drop, "pause")
        frozen = await live_claims(stack, drop)
        [campaign] = stack.pids("campaign")
        clients = {client["id"] for client in await stack.redis.client_list()}
        # Functions of the gate wait from here on, so that the hand-over cannot get through.
        await stack.redis.client_pause(900, all=False)
        async with asyncio.TaskGroup() as calls:
            resume = calls.create_task(_try_to_change(city, drop, "resume"))
            await eventually(
                lambda: _is_live(stack, drop), within_s=0.8, what=lambda: "it is not resumed"
            )
            stack.send("campaign", signal.SIGKILL)
        assert resume.result() is None, "the resume was answered"
        await eventually(
            lambda: _some_left(stack, clients), within_s=0.3, what=lambda: "its call still waits"
        )
        assert await gate.state() == "paused"
        assert await live_claims(stack, drop) == frozen
        await stack.redis.client_unpause()
        lost_at = datetime.now(UTC)
        await rush.until_true(lambda: rush.wins > frozen, "it sells on")
        healed_s = (datetime.now(UTC) - lost_at).total_seconds()
        await rush.ended()
    assert healed_s < 2, f"it took {healed_s:.2f} s to sell on"
    await stack.restarted("campaign", [campaign])
    await stack.healthy()
    await assert_everything_holds(rush)


async def test_a_pause_that_the_gate_never_hears_of(stack: Stack, city: City, crowd: Crowd) -> None:
    """The ledger refuses from its commit on; the resume is not told either, and it sells on."""
    drop = await city.open_drop(quota=400)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(600), connections=2, pace=0.05) as rush:
        await rush.until(wins=100)
        assert await gate.state() == "live"
        assert await change_untold(stack, drop, "pause") == "done"
        frozen = await live_claims(stack, drop)
        await rush.until_true(
            lambda: rush.history.told()["paused"] > 100, "residents are told of the pause"
        )
        assert await live_claims(stack, drop) == frozen
        assert await change_untold(stack, drop, "resume") == "done"
        resumed_at = datetime.now(UTC)
        await rush.until(wins=frozen + 1)
        assert datetime.now(UTC) - resumed_at < timedelta(seconds=2)
        await rush.ended()
    await assert_everything_holds(rush)


async def _try_to_change(city: City, drop: Drop, what: str) -> dict[str, Any] | None:
    """Change a drop; None when nobody answered."""
    try:
        return await city.change(drop, what)
    except aiohttp.ClientError:
        return None


async def _is_waiting(stack: Stack) -> bool:
    return bool(await stack.owner.fetchval(_WAITING))


async def _is_paused(stack: Stack, drop: Drop) -> bool:
    return await _state(stack, drop) == "paused"


async def _is_live(stack: Stack, drop: Drop) -> bool:
    return await _state(stack, drop) == "live"


async def _state(stack: Stack, drop: Drop) -> str:
    state: str = await stack.owner.fetchval(
        "SELECT state FROM campaign.drops WHERE drop_id = $1", drop.key
    )
    return state


async def _some_left(stack: Stack, clients: set[str]) -> bool:
    """Return whether the gate has lost one of its clients."""
    return bool(clients - {client["id"] for client in await stack.redis.client_list()})
