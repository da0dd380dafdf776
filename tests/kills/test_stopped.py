"""A claim process that stops in mid-batch, and goes on later or never."""

import asyncio
import os
import signal
from datetime import UTC, datetime

import pytest

from tests.faults.operating import locked
from tests.harness.books import live_claims, read_drop
from tests.harness.city import City, Drop
from tests.harness.crowd import Crowd, Rush, assert_everything_holds, residents
from tests.harness.stack import Stack, eventually
from tests.kills.striking import replaced

HOLDERS, PACKS = 1_500, 400
STOPPED_S = 2.2
_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE usename = 'fairdrop_claim' AND wait_event_type = 'Lock' AND query LIKE '%claim.issue(%'
"""


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL], ids=["continued", "killed"])
async def test_claim_process_stopped_in_mid_batch(
    stack: Stack, city: City, crowd: Crowd, end: signal.Signals
) -> None:
    """Its batch commits without it. What it then says, or never says, changes nothing."""
    drop = await city.open_drop(quota=PACKS)
    victim, _ = stack.pids("claim")
    # One connection each: on a second one the other process would tell them.
    async with crowd.rush(drop, residents(HOLDERS), arrive_within_s=2) as rush:
        await rush.until(wins=60)
        async with locked(stack, drop) as lock:
            # A process has two batches under way at most, so of three one is the victim's.
            await eventually(
                lambda: _batches_wait(stack, 3), within_s=1, what=lambda: "no batches wait"
            )
            stopped_at = datetime.now(UTC)
            os.kill(victim, signal.SIGSTOP)
            try:
                before = await live_claims(stack, drop)
                await lock.release()
                unheard = await _decided_and_untold(stack, drop, rush)
                assert unheard, "the stopped process had no batch under way"
                await rush.until_true(
                    lambda: rush.wins >= before + 50, "the other process sells on"
                )
                await asyncio.sleep(STOPPED_S)
            finally:
                os.kill(victim, end)
        history = await rush.ended()
    rush.assert_struck(stopped_at)
    if end is signal.SIGKILL:
        assert history.unknown, "no connection was cut"
        await replaced(stack, "claim", victim)
    # Who was decided on while nobody listened is told of the very claim.
    told = {call.holder: call.claim_id for call in history.wins}
    assert {holder: told.get(holder) for holder in unheard} == unheard
    await assert_everything_holds(rush)


async def _batches_wait(stack: Stack, number: int) -> bool:
    return int(await stack.owner.fetchval(_WAITING)) >= number


async def _decided_and_untold(stack: Stack, drop: Drop, rush: Rush) -> dict[str, str]:
    """Return the claims whose holders have long been decided on and have heard nothing."""
    await eventually(
        lambda: _none_wait(stack), within_s=2, what=lambda: "batches wait without a lock"
    )
    decided = (await read_drop(stack, drop, rush.holders)).claims
    await asyncio.sleep(0.5)
    heard = {call.holder for call in rush.history.wins}
    return {claim.holder: claim.claim_id for claim in decided if claim.holder not in heard}


async def _none_wait(stack: Stack) -> bool:
    return not await stack.owner.fetchval(_WAITING)
