"""The gate says what is not so: too much, too little, yesterday's truth, or tomorrow's."""

import asyncio
from datetime import UTC, datetime

from services.claim.standing import FLAG_LIVES_S
from tests.faults.gates import FalseGate
from tests.harness.city import City
from tests.harness.crowd import Crowd, assert_everything_holds, residents
from tests.harness.stack import Stack
from tests.harness.statements import ISSUE, logged_statements

_MILLION = 1_000_000


async def test_a_gate_two_seconds_old(stack: Stack, city: City, crowd: Crowd) -> None:
    """What a failover to a late replica does: holders forgotten, permits given again."""
    drop = await city.open_drop(quota=900)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(1_500), connections=3, arrive_within_s=3.5) as rush:
        await rush.until(wins=100)
        saved = await gate.save()
        won = rush.wins
        await asyncio.sleep(2)
        assert rush.wins >= won + 200, "too few were served in the two seconds"
        await rush.in_full_flight()
        struck_at = datetime.now(UTC)
        replaced = await gate.rewind(saved)
        assert replaced > saved.version
        await rush.ended()
    rush.assert_struck(struck_at)
    await assert_everything_holds(rush)


async def test_a_gate_from_before_it_sold_out(stack: Stack, city: City, crowd: Crowd) -> None:
    """The old gate has permits and no holders; the ledger has neither packs nor doubts."""
    drop = await city.open_drop(quota=300)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(300), connections=2) as winners:
        await winners.until(wins=50)
        saved = await gate.save()
        await winners.ended()
    assert saved.permits > 0
    await gate.rewind(saved)
    # The winners come again too: to the old gate they are strangers.
    async with crowd.rush(drop, [*winners.holders, *residents(300, "late")]) as rush:
        await rush.ended()
    assert len(rush.history.winners) == 300
    rush.history.calls += winners.history.calls
    await assert_everything_holds(rush)


async def test_a_million_permits_do_not_storm_the_ledger(
    stack: Stack, city: City, crowd: Crowd
) -> None:
    drop = await city.open_drop(quota=300)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(400)) as first:
        await first.ended()
    assert len(first.history.winners) == 300
    # While "sold out" is remembered, nobody would meet the lie.
    await asyncio.sleep(FLAG_LIVES_S + 0.1)
    async with logged_statements(stack) as statements:
        await gate.write(permits=_MILLION)
        async with crowd.rush(drop, residents(3_000, "late"), arrive_within_s=2.5) as rush:
            lies = 0
            while not rush.over:
                await asyncio.sleep(0.02)
                if await gate.permits() == 0:
                    await gate.write(permits=_MILLION)
                    lies += 1
            history = await rush.ended()
        issued = statements.count(ISSUE)
    told = history.told()
    assert told["sold_out"] == 3_000
    assert told.keys() <= {"sold_out", "busy"}
    assert lies, "nothing corrected the gate"
    # Every lie costs each process the batches that were in flight, not one call for each resident.
    assert 0 < issued <= 4 * (lies + 1) + 4, f"{issued} calls after {lies} lies"
    await assert_everything_holds(rush, read_back=False)


async def test_no_permits_while_packs_are_left(stack: Stack, city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=600)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(100, "early")) as early:
        await early.ended()
    # Nobody is on the way, so that no answer of the ledger corrects the gate by chance.
    await gate.write(permits=0)
    async with crowd.rush(drop, residents(900), connections=2, arrive_within_s=0.5) as rush:
        await rush.until(wins=100)
        await rush.in_full_flight()
        struck_at = datetime.now(UTC)
        await gate.write(permits=0)
        history = await rush.ended()
    rush.assert_struck(struck_at)
    assert history.told()["busy"] > 0, "nobody met the gate without permits"
    assert len(history.winners) == 500
    rush.holders = [*rush.holders, *early.holders]
    await assert_everything_holds(rush)


async def test_a_gate_far_ahead_of_the_ledger(stack: Stack, city: City, crowd: Crowd) -> None:
    """A version that no statement reaches would never be corrected if it were believed."""
    drop = await city.open_drop(quota=600)
    gate = FalseGate(stack, drop)
    async with crowd.rush(drop, residents(900), connections=2, arrive_within_s=0.5) as rush:
        await rush.until(wins=100)
        await rush.in_full_flight()
        struck_at = datetime.now(UTC)
        await gate.write(version=10**12, permits=0, state="paused")
        history = await rush.ended()
    rush.assert_struck(struck_at)
    assert history.told()["busy"] > 0, "nobody met the false gate"
    ledger = await assert_everything_holds(rush)
    version = await gate.version()
    assert version is not None
    assert version <= ledger.issued + 10
