"""kill -9 in the middle of a drop: nothing oversold, nothing lost, nobody refused falsely."""

from tests.harness.city import City
from tests.harness.crowd import Crowd, assert_everything_holds, residents
from tests.harness.stack import Stack
from tests.kills.striking import kill, kill_postgres, replaced

HOLDERS, PACKS = 1_500, 400


async def test_valkey_killed(stack: Stack, city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=PACKS)
    async with crowd.rush(drop, residents(HOLDERS), connections=2, arrive_within_s=1) as rush:
        await rush.until(wins=150)
        await rush.in_full_flight()
        strike = kill(stack, *stack.pids("valkey"))
        history = await rush.ended()
    strike.assert_felt(stack, rush, "gate away")
    assert history.told()["busy"] > 0, "nobody met a gate that was away"
    await replaced(stack, "valkey", strike.pids[0])
    await assert_everything_holds(rush)


async def test_postgres_killed(stack: Stack, city: City, crowd: Crowd) -> None:
    """Postmaster and backends: what was acknowledged is in the log, and comes back from it."""
    drop = await city.open_drop(quota=PACKS)
    async with crowd.rush(drop, residents(HOLDERS), connections=2, arrive_within_s=1) as rush:
        await rush.until(wins=150)
        await rush.in_full_flight()
        won = rush.wins
        strike = kill_postgres(stack)
        history = await rush.ended()
    strike.assert_felt(stack, rush, "batch sent again")
    assert won < PACKS, "it was sold out before it was killed"
    await replaced(stack, "postgres", strike.pids[0])
    recovered = (stack.data.logs / "postgres.log").read_text(errors="replace")
    assert "automatic recovery in progress" in recovered
    await assert_everything_holds(rush)
    assert len(history.winners) == PACKS


async def test_claim_process_killed(stack: Stack, city: City, crowd: Crowd) -> None:
    """Its permits leak and its clients hear nothing; the other process sells on."""
    drop = await city.open_drop(quota=PACKS)
    victim, survivor = stack.pids("claim")
    async with crowd.rush(drop, residents(HOLDERS), connections=2, arrive_within_s=1) as rush:
        await rush.until(wins=150)
        await rush.in_full_flight()
        strike = kill(stack, victim)
        history = await rush.ended()
    rush.assert_struck(strike.at)
    assert history.unknown, "no connection was cut"
    assert strike.at < max(call.ended for call in history.wins), "nobody won after the kill"
    await replaced(stack, "claim", victim)
    assert survivor in stack.pids("claim")
    await assert_everything_holds(rush)
