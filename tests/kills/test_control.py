"""The negative control: a database that forgets loses claims, and the checker finds it."""

import asyncio

import aiohttp

from tests.harness.books import read_drop
from tests.harness.city import City
from tests.harness.crowd import crowd_of, residents
from tests.harness.history import violations
from tests.harness.stack import Stack, running_stack
from tests.kills.striking import kill_postgres

HOLDERS, PACKS = 1_500, 1_200
FORGETFUL = (
    # Neither by time nor by volume: what is committed stays in memory for this test's length.
    "ALTER SYSTEM SET wal_writer_delay = '10s'",
    "ALTER SYSTEM SET wal_writer_flush_after = '1GB'",
    "SELECT pg_reload_conf()",
    # A role's setting wins over the command line, on which the server was told otherwise.
    "ALTER ROLE fairdrop_claim SET synchronous_commit = off",
)
# New sessions take the setting, and they have passed no check: that was at the service's start.
NEW_SESSIONS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'fairdrop_claim'
"""


async def test_a_forgetful_database_loses_acknowledged_claims() -> None:
    """The same kill as in test_postgres_killed, with synchronous_commit off."""
    async with running_stack(workers=2) as stack, aiohttp.ClientSession() as http:
        drop = await City(stack, http).open_drop(quota=PACKS)
        await _make_forgetful(stack)
        async with (
            crowd_of(stack) as crowd,
            crowd.rush(drop, residents(HOLDERS), arrive_within_s=2) as rush,
        ):
            await rush.until(wins=400)
            await rush.in_full_flight()
            acknowledged = rush.wins
            strike = kill_postgres(stack)
            history = await rush.ended()
        strike.assert_felt(stack, rush, "batch sent again")
        found = violations(history, await read_drop(stack, drop, rush.holders))
    lost = [v for v in found if v.promise == "every acknowledged claim exists"]
    assert len(lost) > 0, f"of {acknowledged} acknowledged claims none was lost"


async def _make_forgetful(stack: Stack) -> None:
    for statement in FORGETFUL:
        await stack.owner.execute(statement)
    assert await stack.owner.fetchval(NEW_SESSIONS) > 0
    await asyncio.sleep(0.2)
