"""The gate forgets in mid-drop: everything, its functions, or what its keys mean."""

import asyncio
from datetime import UTC, datetime

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
    struck: list[datetime] = []
    async with crowd.rush(drop, residents(1_500), connections=2, arrive_within_s=1) as rush:
        for loss in range(1, _LOSSES + 1):
            await rush.until(wins=loss * 800 // (_LOSSES + 2))
            await rush.in_full_flight()
            struck.append(datetime.now(UTC))
            async with stack.redis.pipeline(transaction=True) as pipe:
                pipe.flushall()
                pipe.exists(gate.gate)
                _, left = await pipe.execute()
            assert left == 0
        await rush.ended()
    for moment in struck:
        rush.assert_struck(moment)
    await assert_everything_holds(rush)


async def test_two_processes_reload_at_once(stack: Stack, city: City, crowd: Crowd) -> None:
    """Both ask an empty gate at the same instant, from rest and under full load."""
    drop = await city.open_drop(quota=800)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(100, "early")) as early:
        await early.ended()
    async with logged_statements(stack) as statements:
        await _forget_and_hold(gate)
        async with crowd.rush(drop, residents(1_500), connections=2, arrive_within_s=1) as rush:
            assert await _two_processes_wait(stack), "no two processes asked at once"
            before = statements.count(READ_STATEMENT)
            await stack.redis.client_unpause()
            await rush.until(wins=50)
            assert statements.count(READ_STATEMENT) >= before + 2, "not both processes reloaded"
            # Under load an answer of the ledger may reload the gate before anybody reads the drop.
            met = 0
            for loss in range(1, _LOSSES + 1):
                await rush.until(wins=loss * 700 // (_LOSSES + 2))
                await _forget_and_hold(gate)
                met += await _two_processes_wait(stack)
                await stack.redis.client_unpause()
            await rush.ended()
    assert met >= _LOSSES // 2, f"only {met} times both processes waited at the empty gate"
    rush.holders = [*rush.holders, *early.holders]
    await assert_everything_holds(rush)


async def _forget_and_hold(gate: FalseGate) -> None:
    """Delete the gate and hold whoever asks from then on: two commands in one message."""
    async with gate.redis.pipeline(transaction=False) as pipe:
        pipe.delete(gate.gate, gate.holders)
        pipe.client_pause(600, all=False)
        await pipe.execute()


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
        await rush.in_full_flight()
        struck_at = datetime.now(UTC)
        async with stack.redis.pipeline(transaction=True) as pipe:
            pipe.function_flush()
            pipe.function_list()
            _, functions = await pipe.execute()
        assert functions == []
        await rush.ended()
    rush.assert_struck(struck_at)
    assert len(await stack.redis.function_list()) == 1
    await assert_everything_holds(rush)


@pytest.mark.parametrize("broken", ["gate", "holders", "both"])
async def test_keys_of_another_type(stack: Stack, city: City, crowd: Crowd, broken: str) -> None:
    drop = await city.open_drop(quota=400)
    gate = FalseGate(stack, drop)
    keys = {"gate": [gate.gate], "holders": [gate.holders], "both": [gate.gate, gate.holders]}
    async with crowd.rush(drop, residents(800), connections=2, arrive_within_s=0.5) as rush:
        await rush.until(wins=100)
        await rush.in_full_flight()
        struck_at = datetime.now(UTC)
        for key in keys[broken]:
            await stack.redis.set(key, "nonsense")
        await rush.ended()
    rush.assert_struck(struck_at)
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
        {"version": None},
        {"version": "1000000000000", "state": None},
        {"permits": "nonsense"},
        {"permits": "-1000000"},
        {"state": "nonsense"},
        {"state": "closed"},
        {"opens_us": "4102444800000000"},
        {"closes_us": "1"},
        {"closes_us": "nonsense"},
        {"rank": "nonsense"},
    ],
    ids=str,
)
async def test_damaged_fields(
    stack: Stack, city: City, crowd: Crowd, damage: dict[str, str | None]
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
