"""The race itself, without faults: exact stock, exact limits, every answer true."""

from collections import Counter
from datetime import timedelta

from tests.harness.city import City
from tests.harness.crowd import Crowd, assert_everything_holds, residents
from tests.harness.stack import Stack, cpu_s


async def test_two_thousand_holders_race_for_five_hundred_packs(
    stack: Stack, city: City, crowd: Crowd
) -> None:
    drop = await city.open_drop(quota=500)
    processes = stack.pids("claim")
    before_s = {pid: cpu_s(pid) for pid in processes}
    async with crowd.rush(drop, residents(2_000), connections=3) as rush:
        history = await rush.ended()

    assert len(processes) == 2
    worked_s = [cpu_s(pid) - before_s[pid] for pid in processes]
    assert min(worked_s) > 0.1, f"one process served nearly everything: {worked_s} s"
    ledger = await assert_everything_holds(rush)
    assert len({win.claim_id for win in history.wins}) == 500
    assert sorted(claim.serial for claim in ledger.claims) == list(range(1, 501))
    # Each of the 6,000 connections ended with a final answer: a win for 500 holders on each of
    # theirs, and "sold out" for all others.
    final = [call for call in history.calls if call.final]
    assert len(final) == 6_000
    assert Counter(call.code for call in final) == {None: 1_500, "sold_out": 4_500}
    assert Counter(call.status for call in final)[201] == 500


async def test_three_packs_each_under_idempotency_keys(city: City, crowd: Crowd) -> None:
    """Four keys on two connections each: a key names one claim, and the limit stops at three."""
    drop = await city.open_drop(quota=1_000, limit=3)
    holders = residents(200)
    async with crowd.rush(drop, holders, keys=("a", "b", "c", "d"), connections=2) as rush:
        history = await rush.ended()

    ledger = await assert_everything_holds(rush, sold_out=False)
    held = Counter(claim.holder for claim in ledger.claims)
    assert held == dict.fromkeys(holders, 3)
    refused = {(call.holder, call.key) for call in history.calls if call.code == "limit_reached"}
    assert len(refused) == 200
    assert len(history.winners) == 600
    assert Counter(call.code for call in history.calls if call.refused) == {"limit_reached": 400}


async def test_the_last_packs_go_to_holders_of_some(city: City, crowd: Crowd) -> None:
    """Where the stock ends before the limits, nobody who holds a pack loses it to "sold out"."""
    drop = await city.open_drop(quota=250, limit=3)
    async with crowd.rush(drop, residents(200), keys=("a", "b", "c"), connections=2) as rush:
        await rush.ended()
    ledger = await assert_everything_holds(rush)
    assert ledger.issued == 250


async def test_the_drop_closes_by_the_clock_under_load(city: City, crowd: Crowd) -> None:
    """Nobody who was told "closed" holds a pack, whatever was still in flight at that instant."""
    drop = await city.open_drop(quota=5_000, closes_in=timedelta(seconds=2))
    async with crowd.rush(drop, residents(2_500), connections=2, arrive_within_s=3) as rush:
        history = await rush.ended()
    told = history.told()
    assert told["201"] > 100, told
    assert told["closed"] > 100, told
    await assert_everything_holds(rush, sold_out=False)
