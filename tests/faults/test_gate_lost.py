"""The gate forgets in mid-drop: everything, its functions, or what its keys mean."""

import asyncio

import pytest

from tests.faults.gates import FalseGate
from tests.harness.city import City
from tests.harness.crowd import Crowd, assert_everything_holds, residents
from tests.harness.stack import Stack, eventually
from tests.harness.statements import READ_STATEMENT, logged_statements

_LOSSES = 8


async def test_flushall_in_mid_drop(stack: Stack, city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=800)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(1_500), connections=2, arrive_within_s=1) as rush:
        for loss in range(1, _LOSSES + 1):
            await rush.until(wins=loss * 800 // (_LOSSES + 2))
            async with stack.redis.pipeline(transaction=True) as pipe:
                pipe.flushall()
                pipe.exists(gate.gate)
                _, left = await pipe.execute()
            assert left == 0
            assert rush.history.in_flight > 0
        await rush.ended()
    await assert_everything_holds(rush)


async def test_two_processes_reload_at_once(stack: Stack, city: City, crowd: Crowd) -> None:
    """Both ask an empty gate at the same instant, again and again, under full load."""
    drop = await city.open_drop(quota=800)
    gate = FalseGate(stack, drop)
    reloads = 0
    async with (
        logged_statements(stack) as statements,
        crowd.rush(drop, residents(1_500), connections=2, arrive_within_s=1) as rush,
    ):
        for loss in range(1, _LOSSES + 1):
            await rush.until(wins=loss * 800 // (_LOSSES + 2))
            # Sent as one: whoever asks from now on waits, and finds nothing when the pause ends.
            async with stack.redis.pipeline(transaction=False) as pipe:
                pipe.delete(gate.gate, gate.holders)
                pipe.client_pause(400, all=False)
                await pipe.execute()
            before = statements.count(READ_STATEMENT)
            reloads += await _two_processes_wait(stack)
            await stack.redis.client_unpause()
            await rush.until_true(
                lambda before=before: statements.count(READ_STATEMENT) > before,  # type: ignore[misc]
                "the gate is loaded again",
            )
        await rush.ended()
    assert reloads >= _LOSSES // 2, f"two processes met an empty gate only {reloads} times"
    await assert_everything_holds(rush)


async def _two_processes_wait(stack: Stack) -> bool:
    """Wait until calls of both processes are held at the gate: one makes two at most."""
    for _ in range(30):
        clients = await stack.redis.client_list()
        if sum(client["cmd"] == "fcall" and "b" in client["flags"] for client in clients) > 2:
            return True
        await asyncio.sleep(0.01)
    return False


async def test_function_flush_in_mid_drop(stack: Stack, city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=800)
    async with crowd.rush(drop, residents(1_500), connections=2, arrive_within_s=1) as rush:
        await rush.until(wins=200)
        async with stack.redis.pipeline(transaction=True) as pipe:
            pipe.function_flush()
            pipe.function_list()
            _, functions = await pipe.execute()
        assert functions == []
        assert rush.history.in_flight > 0
        await rush.ended()
    assert len(await stack.redis.function_list()) == 1
    await assert_everything_holds(rush)


@pytest.mark.parametrize("broken", ["gate", "holders", "both"])
async def test_keys_of_another_type(stack: Stack, city: City, crowd: Crowd, broken: str) -> None:
    drop = await city.open_drop(quota=400)
    gate = FalseGate(stack, drop)
    keys = {"gate": [gate.gate], "holders": [gate.holders], "both": [gate.gate, gate.holders]}
    async with crowd.rush(drop, residents(800), connections=2, arrive_within_s=0.5) as rush:
        await rush.until(wins=100)
        for key in keys[broken]:
            await stack.redis.set(key, "nonsense")
        assert rush.history.in_flight > 0
        await rush.ended()
    await assert_everything_holds(rush)
    types = [await stack.redis.type(key) for key in (gate.gate, gate.holders)]
    assert types[0] == b"hash"
    assert types[1] in {b"set", b"none"}


@pytest.mark.parametrize(
    "damage",
    [
        {"version": "nonsense"},
        {"version": "1e30"},
        {"version": "007000000"},
        {"version": "-5"},
        {"permits": "nonsense"},
        {"permits": "-1000000"},
        {"state": "nonsense"},
        {"state": "closed"},
        {"opens_us": "99999999999999999"},
        {"closes_us": "1"},
        {"closes_us": "nonsense"},
        {"rank": "nonsense"},
    ],
    ids=str,
)
async def test_damaged_fields(
    stack: Stack, city: City, crowd: Crowd, damage: dict[str, str]
) -> None:
    """A quiet gate is damaged, so that only the next attempts can find out and mend it."""
    drop = await city.open_drop(quota=60)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(20, "early")) as early:
        await early.ended()
    await eventually(
        lambda: _is_at(gate, permits=40), within_s=1, what=lambda: "the gate was not told"
    )
    await gate.write(**damage)
    async with crowd.rush(drop, residents(80), connections=2) as rush:
        await rush.ended()
    rush.history.calls += early.history.calls
    rush.history.asked |= early.history.asked
    rush.holders = [*rush.holders, *early.holders]
    await assert_everything_holds(rush)


async def _is_at(gate: FalseGate, permits: int) -> bool:
    return await gate.permits() == permits
