"""Clients that hang up in the middle of a request break nobody else's batch."""

import asyncio
import random
import socket
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from tests.harness.books import read_drop
from tests.harness.city import City, Drop
from tests.harness.crowd import Crowd, assert_everything_holds, residents
from tests.harness.history import Call, History
from tests.harness.stack import Stack

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_SESSIONS = """
    SELECT count(*) AS open, count(*) FILTER (WHERE state <> 'idle') AS busy
    FROM pg_stat_activity WHERE usename = 'fairdrop_claim'
"""
_AT_ONCE = 64


async def test_cancel_storm(stack: Stack, city: City, crowd: Crowd) -> None:
    drop = await city.open_drop(quota=600)
    leavers, stayers = residents(500, "leaver"), residents(700, "stayer")
    for holder in leavers:
        crowd.token(holder)
    left = History()
    async with crowd.rush(drop, stayers, connections=2, arrive_within_s=1) as rush:
        await rush.until(wins=20)
        await rush.in_full_flight()
        await _storm(crowd, drop, leavers, left)
        await rush.ended()
    rush.assert_struck(left.calls[len(left.calls) // 2].ended)

    # Whoever hung up may have been served; they are told of it when they ask, or refused.
    ledger = await read_drop(stack, drop, [*stayers, *leavers])
    served_unheard = {claim.holder for claim in ledger.claims} - set(stayers)
    assert len(served_unheard) >= 20, f"only {len(served_unheard)} of those who left were served"
    async with crowd.rush(drop, leavers) as back:
        await back.ended()
    assert served_unheard <= {holder for holder, _ in back.history.winners}
    rush.history.calls += [*left.calls, *back.history.calls]
    rush.history.asked |= back.history.asked
    rush.holders = [*stayers, *leavers]
    await assert_everything_holds(rush)

    sessions = await stack.owner.fetchrow(_SESSIONS)
    assert sessions is not None
    assert sessions["busy"] == 0
    assert sessions["open"] <= 2 * 16
    assert len(await stack.redis.client_list()) <= 3 * 16


async def _storm(crowd: Crowd, drop: Drop, holders: Sequence[str], history: History) -> None:
    """Have each holder send a claim and hang up before the answer."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def leave(holder: str) -> None:
        async with turns:
            started = datetime.now(UTC)
            await _send_and_hang_up(crowd, drop, holder)
            history.add(Call(holder, "", started, datetime.now(UTC), None))

    await asyncio.gather(*(leave(holder) for holder in holders))


async def _send_and_hang_up(crowd: Crowd, drop: Drop, holder: str) -> None:
    """Send a whole request, or one whose body never comes; close politely, or with a reset."""
    whole, polite = random.random() < 0.8, random.random() < 0.5
    address = urlsplit(crowd.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    request = (
        f"POST /v1/drops/{drop.drop_id}/claims HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {crowd.token(holder)}\r\n"
        f"Content-Length: {0 if whole else 20}\r\n\r\n"
    )
    writer.write(request.encode() + (b"" if whole else b'{"cha'))
    await writer.drain()
    await asyncio.sleep(random.uniform(0, 0.01))
    if not polite:
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE
        )
    writer.close()
