"""Commits whose replies nobody hears: told "failed" must not mean "has a claim and is not told"."""

import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

import aiohttp
import pytest_asyncio

from shared.embedded.datadir import DataDir
from shared.embedded.servers import EmbeddedServers, erase
from tests.harness.city import City
from tests.harness.crowd import assert_everything_holds, crowd_of, residents
from tests.harness.stack import Stack, running_stack
from tests.kills.swallowing import Loss, SwallowingProxy

HOLDERS, PACKS = 1_500, 700
CUTS, SILENCES, CUTS_BEFORE = 10, 3, 4
SOCKET = ".s.PGSQL.5432"


@pytest_asyncio.fixture
async def postgres_url() -> AsyncIterator[str]:
    """A Postgres of the test's own, which the services know only through the proxy."""
    with _folder() as folder:
        data = DataDir(folder / "data")
        servers = EmbeddedServers(data, with_valkey=False)
        await servers.start()
        yield servers.postgres_url
        await servers.stop()
        erase(data)


async def test_commit_replies_swallowed(postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    server = Path(parse_qs(parts.query)["host"][0]) / SOCKET
    with _folder() as folder:
        proxy = SwallowingProxy(server, folder / SOCKET)
        proxied = urlunsplit(parts._replace(query=f"host={folder}&port=5432"))
        async with (
            proxy.listening(),
            running_stack(
                workers=2,
                environment={"FAIRDROP_POSTGRES_URL": proxied},
                direct_postgres_url=postgres_url,
            ) as stack,
        ):
            await _race(stack, proxy)


async def _race(stack: Stack, proxy: SwallowingProxy) -> None:
    losses = [Loss.CUT] * CUTS + [Loss.SILENCE] * SILENCES + [Loss.CUT_BEFORE] * CUTS_BEFORE
    async with aiohttp.ClientSession() as http, crowd_of(stack) as crowd:
        drop = await City(stack, http).open_drop(quota=PACKS)
        async with crowd.rush(drop, residents(HOLDERS), connections=2, arrive_within_s=3) as rush:
            await rush.until(wins=20)
            await rush.in_full_flight()
            proxy.plan(*random.sample(losses, len(losses)), every=3)
            history = await rush.ended()
        assert proxy.lost == {
            Loss.CUT: CUTS,
            Loss.SILENCE: SILENCES,
            Loss.CUT_BEFORE: CUTS_BEFORE,
        }
        assert proxy.commits_swallowed == CUTS + SILENCES
        # Whoever waited for a silent connection was told to ask again, and then of the claim: 200,
        # without ever hearing the 201.
        late = [call for call in history.winners.values() if call.status == 200]
        assert late, "nobody's claim was committed unheard"
        assert stack.log.count("batch sent again") >= CUTS + CUTS_BEFORE
        await assert_everything_holds(rush)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="fd-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
