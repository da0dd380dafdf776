"""A restart storm: claim processes are asked to end, again and again, under full load."""

import os
import signal
from datetime import UTC, datetime, timedelta

from tests.harness.city import City
from tests.harness.crowd import Crowd, assert_everything_holds, residents
from tests.harness.stack import Stack
from tests.kills.striking import replaced

HOLDERS, PACKS = 2_000, 1_200
ROUNDS = 4
HANGING_UP = timedelta(milliseconds=5)
CODES = {"busy", "overloaded", "unavailable", "sold_out"}


async def test_restarts_under_load_lose_nothing(stack: Stack, city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=PACKS)
    struck: list[datetime] = []
    async with crowd.rush(drop, residents(HOLDERS), connections=2, arrive_within_s=6) as rush:
        for turn in range(ROUNDS):
            await rush.until(wins=(turn + 1) * PACKS // (ROUNDS + 2))
            await rush.in_full_flight()
            victim = stack.pids("claim")[turn % 2]
            struck.append(datetime.now(UTC))
            os.kill(victim, signal.SIGTERM)
            await replaced(stack, "claim", victim)
        assert not rush.over, "the storm outlasted the crowd"
        history = await rush.ended()
    for moment in struck:
        rush.assert_struck(moment)
        # What it had taken in, it answered. A call that came while it hung up may find it gone.
        taken_in = history.in_flight_at(moment - HANGING_UP)
        assert [call for call in taken_in if call.status is None] == []
    # Connections that break, and "ask again": nothing else that is not a decision.
    told = {call.code for call in history.calls if call.code is not None}
    assert told <= CODES, told
    await assert_everything_holds(rush)
