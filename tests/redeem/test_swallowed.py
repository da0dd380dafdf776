"""Answers that are lost on the way: between a till and the service, and between it and Postgres."""

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from shared.db.urls import service_url
from shared.embedded.servers import EmbeddedServers
from shared.settings import Settings
from tests.builders import DropTerms
from tests.callers import Answer
from tests.databases import SECRETS, TEMPLATE, CloneDatabase
from tests.kills.swallowing import Loss, SwallowingProxy
from tests.redeem.market import Market, market_of
from tests.tills_http import TillCaller, fresh_no, order

SOCKET = ".s.PGSQL.5432"
VOUCHERS = 60
CUTS, SILENCES, CUTS_BEFORE = 8, 2, 6
DECIDE = (b"redeem.decide(",)
FINISH = (b"redeem.finish_hold(", b"redeem.reverse(")
SEED = 20200420


@pytest_asyncio.fixture(params=[DECIDE, FINISH], ids=["decide", "finish"])
async def proxied(
    request: pytest.FixtureRequest,
    servers: EmbeddedServers,
    clone_database: CloneDatabase,
    tmp_path: Path,
) -> AsyncIterator[tuple[Market, SwallowingProxy]]:
    """A service whose Postgres stands behind a proxy that loses replies to certain calls."""
    database_url = await clone_database(TEMPLATE)
    folder = Path(tempfile.mkdtemp(prefix="fd-"))  # a socket's path must be short
    parts = urlsplit(service_url(database_url, "redeem", SECRETS))
    server = Path(parse_qs(parts.query)["host"][0]) / SOCKET
    proxy = SwallowingProxy(server, folder / SOCKET, calls=request.param)
    settings = Settings(
        postgres_url=urlunsplit(parts._replace(query=f"host={folder}&port=5432")),
        redis_url=servers.redis_url,
        data_dir=tmp_path,
    )
    owner = await asyncpg.connect(database_url)
    try:
        async with proxy.listening(), market_of(settings, owner) as market:
            yield market, proxy
            await market.assert_books_are_sound()
    finally:
        await owner.close()
        shutil.rmtree(folder)


async def insist(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask until something is decided."""
    for _ in range(20):
        answer = await ask()
        if answer.status != 503:
            return answer
        await asyncio.sleep(answer.body["retry_after_ms"] / 1000)
    raise AssertionError(answer.body)


def plan_losses(proxy: SwallowingProxy) -> None:
    losses = [Loss.CUT] * CUTS + [Loss.SILENCE] * SILENCES + [Loss.CUT_BEFORE] * CUTS_BEFORE
    # Nearly every call is lost until all are: the few calls of batches are enough for that.
    proxy.plan(*random.Random(SEED).sample(losses, len(losses)), every=1)


def assert_all_were_lost(proxy: SwallowingProxy) -> None:
    assert proxy.lost == {Loss.CUT: CUTS, Loss.SILENCE: SILENCES, Loss.CUT_BEFORE: CUTS_BEFORE}


async def test_replies_of_postgres_are_swallowed(proxied: tuple[Market, SwallowingProxy]) -> None:
    """Every redemption is made once, told as made, and finished once."""
    market, proxy = proxied
    stall = await market.open(DropTerms(quota=VOUCHERS + 1), claims=VOUCHERS)
    tills = [await stall.till() for _ in range(4)]
    plan_losses(proxy)

    async def shop(claim: int) -> str:
        till = tills[claim % len(tills)]
        body = order(stall.code(claim), capture=False)
        held = await insist(lambda: till.redeem(body))
        assert (held.status, held.body["state"]) == (201, "held")
        number, redemption_id = fresh_no(), held.body["redemption_id"]
        finish = till.capture if claim % 3 else till.release
        finished = await insist(lambda: finish(redemption_id, number))
        assert finished.status == 200
        if claim % 3 != 1:
            return str(finished.body["state"])
        undo = fresh_no()
        reversal = await insist(lambda: till.reverse(number, undo))
        assert reversal.body["outcome"] == "reversed"
        return "reversed"

    told = Counter(await asyncio.gather(*(shop(claim) for claim in range(VOUCHERS))))
    assert told == {"captured": 20, "released": 20, "reversed": 20}
    assert_all_were_lost(proxy)
    kept = await market.owner.fetch(
        "SELECT state, count(*) FROM redeem.redemptions GROUP BY state ORDER BY state"
    )
    assert dict(kept) == told  # type: ignore[arg-type]  # rows of two columns


async def test_a_till_that_never_hears_an_answer(
    proxied: tuple[Market, SwallowingProxy],
) -> None:
    """What it is told of its reversal is true, and the late original is refused."""
    market, proxy = proxied
    stall = await market.open(DropTerms(quota=VOUCHERS + 1), claims=VOUCHERS)
    tills = [await stall.till() for _ in range(4)]
    chosen = random.Random(SEED)
    plan_losses(proxy)

    async def shop(claim: int, after_s: float) -> tuple[str, str]:
        till = tills[claim % len(tills)]
        body = order(stall.code(claim))
        await till.send_and_hang_up(body, after_s=after_s)
        number = fresh_no()
        reversal = await insist(lambda: till.reverse(body["request_no"], number))
        assert reversal.status == 200
        late = await insist(lambda: till.redeem(body))
        late.assert_problem(409, "reversed")
        return str(body["request_no"]), str(reversal.body["outcome"])

    waits_s = [chosen.choice((0.0, 0.0005, 0.005, 0.05, 0.2)) for _ in range(VOUCHERS)]
    told = await asyncio.gather(*(shop(claim, waits_s[claim]) for claim in range(VOUCHERS)))
    outcomes = Counter(outcome for _, outcome in told)
    assert outcomes.keys() == {"reversed", "never_happened"}
    made = await market.owner.fetch("SELECT request_no, state FROM redeem.redemptions")
    assert {row["request_no"] for row in made} == {
        number for number, outcome in told if outcome == "reversed"
    }
    assert {row["state"] for row in made} == {"reversed"}
    assert_all_were_lost(proxy)


async def test_hundreds_who_hang_up_break_nobody_elses_redemption(market: Market) -> None:
    stall = await market.open(DropTerms(quota=61), claims=60)
    till, leaver = await stall.till(), await stall.till()
    chosen = random.Random(SEED)
    left = [order(stall.code(claim, 1)) for claim in range(60)]

    async def leave(body: Mapping[str, Any]) -> None:
        await leaver.send_and_hang_up(body, after_s=chosen.choice((0.0, 0.001, 0.01)))

    async def stay(caller: TillCaller, claim: int) -> int:
        body = order(stall.code(claim))
        return (await insist(lambda: caller.redeem(body))).status

    answers = await asyncio.gather(
        *(leave(body) for body in left), *(stay(till, claim) for claim in range(60))
    )
    assert answers[60:] == [201] * 60
    # Whoever hung up asks again, and is told of the one redemption, made before or made now.
    again = [await insist(lambda body=body: leaver.redeem(body)) for body in left]  # type: ignore[misc]
    assert {answer.status for answer in again} == {201}
    assert len({answer.body["redemption_id"] for answer in again}) == 60
    assert any("idempotent-replayed" in answer.headers for answer in again)
    counted = await market.owner.fetchval(
        "SELECT count(*) FROM redeem.redemptions WHERE claim_id = ANY ($1)", stall.claims
    )
    assert counted == 120
