"""Pause, close and another quota under full load: after the 200, not one later claim commits."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.books import live_claims
from tests.harness.city import City, Drop
from tests.harness.crowd import Crowd, Rush, assert_everything_holds, residents
from tests.harness.stack import Stack

_WATCHED_S = 0.5
_CALLS_MIN = 50


class Frozen:
    """What was committed when an operator's change was answered, and that it stays so."""

    def __init__(self, stack: Stack, drop: Drop, rush: Rush) -> None:
        self._stack = stack
        self._drop = drop
        self._rush = rush

    async def watch(self) -> int:
        """Count the claims now, and again and again under load; return how many they stay."""
        first = await live_claims(self._stack, self._drop)
        answered_at = await self._stack.owner.fetchval("SELECT clock_timestamp()")
        calls = len(self._rush.history.calls)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _WATCHED_S
        while loop.time() < until_s:
            assert await live_claims(self._stack, self._drop) == first
            await asyncio.sleep(0.01)
        asked = len(self._rush.history.calls) - calls
        assert asked >= _CALLS_MIN, f"only {asked} calls were answered while it was watched"
        last = await self._stack.owner.fetchval(
            "SELECT max(claimed_at) FROM claim.claims WHERE drop_id = $1", self._drop.key
        )
        assert last <= answered_at
        return first


async def test_no_claim_commits_after_a_pause(stack: Stack, city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=1_200)
    async with crowd.rush(
        drop, residents(2_000), connections=2, arrive_within_s=1.5, pace=0.05
    ) as rush:
        for wins in (200, 500):
            await rush.until(wins=wins)
            await rush.in_full_flight()
            struck_at = datetime.now(UTC)
            paused = await city.change(drop, "pause")
            assert paused["state"] == "paused"
            frozen = await Frozen(stack, drop, rush).watch()
            assert frozen == paused["live"]
            await city.change(drop, "resume")
            await rush.until(wins=frozen + 1)
        history = await rush.ended()
    rush.assert_struck(struck_at)
    assert history.told()["paused"] >= _CALLS_MIN
    await assert_everything_holds(rush)


async def test_no_claim_commits_after_a_close(stack: Stack, city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=1_200)
    async with crowd.rush(drop, residents(2_000), connections=2, arrive_within_s=1.5) as rush:
        await rush.until(wins=300)
        await rush.in_full_flight()
        struck_at = datetime.now(UTC)
        closed = await city.change(drop, "close")
        frozen = await Frozen(stack, drop, rush).watch()
        assert frozen == closed["live"]
        history = await rush.ended()
    rush.assert_struck(struck_at)
    assert history.told()["closed"] >= _CALLS_MIN
    ledger = await assert_everything_holds(rush, sold_out=False)
    assert ledger.live == frozen == len(history.winners)


async def test_a_lowered_quota_holds_from_its_answer_on(
    stack: Stack, city: City, crowd: Crowd
) -> None:
    """Lowered to what is claimed at that moment, so that one later claim would be one too many."""
    drop = await city.open_drop(quota=1_200)
    async with crowd.rush(drop, residents(2_000), connections=2, arrive_within_s=1.5) as rush:
        await rush.until(wins=300)
        await rush.in_full_flight()
        struck_at = datetime.now(UTC)
        lowered = await _lower_as_far_as_possible(city, drop)
        await rush.until(wins=lowered)
        frozen = await Frozen(stack, drop, rush).watch()
        history = await rush.ended()
    rush.assert_struck(struck_at)
    assert frozen == lowered == len(history.winners)
    assert history.told()["sold_out"] >= _CALLS_MIN
    await assert_everything_holds(rush)


async def _lower_as_far_as_possible(city: City, drop: Drop) -> int:
    """Lower the quota to a little above the live claims, of which there are more every moment."""
    for room in (10, 30, 90, 270):
        quota = (await city.show(drop))["live"] + room
        status, answer = await city.try_quota(drop, quota)
        if status == 200:
            assert answer["live"] <= answer["quota"] == quota
            return int(quota)
        assert (status, answer["code"]) == (409, "quota_below_claims"), answer
    pytest.fail("the quota could not be lowered")


async def test_a_raised_quota_sells_on_within_two_seconds(city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=200, spare_packs=100)
    async with crowd.rush(drop, residents(300, "early"), connections=2) as early:
        await early.ended()
    assert early.history.told()["sold_out"] == 200
    await city.set_quota(drop, 300)
    raised_at = datetime.now(UTC)
    # "Sold out" may lag by a second, so whoever is refused is followed by somebody else.
    history = early.history
    late = residents(200, "late")
    for holder in late:
        call, _ = await crowd.claim(drop, holder, "", history)
        if call.won:
            break
        await asyncio.sleep(0.02)
    assert call.won, f"nobody was served after the quota was raised, at last {call}"
    assert call.ended - raised_at < timedelta(seconds=2)
    async with crowd.rush(drop, residents(150, "last"), connections=2) as rush:
        await rush.ended()
    rush.history.calls += history.calls
    rush.holders = [*rush.holders, *early.holders, *late]
    ledger = await assert_everything_holds(rush)
    assert ledger.issued == 300


async def test_a_winner_of_new_packs_hears_so_from_every_process(city: City, crowd: Crowd) -> None:
    """The other process may still say "sold out" from memory, though not to who has just won."""
    drop = await city.open_drop(quota=40, spare_packs=20)
    async with crowd.rush(drop, residents(120, "early"), connections=3) as rush:
        await rush.ended()
    await city.set_quota(drop, 60)
    for holder in residents(400, "late"):
        call, _ = await crowd.claim(drop, holder, "", rush.history)
        if call.won:
            break
        assert call.code in {"sold_out", "busy"}, call
        await asyncio.sleep(0.01)
    assert call.status == 201
    again = await asyncio.gather(*(crowd.claim(drop, holder, "", rush.history) for _ in range(48)))
    assert [repeated.status for repeated, _ in again] == [200] * 48
    assert {repeated.body for repeated, _ in again} == {call.body}
