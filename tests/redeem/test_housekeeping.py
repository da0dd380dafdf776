"""What happens though nobody asks: also when steps fail, and in several processes at once."""

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from services.redeem import housekeeping
from services.redeem.housekeeping import COHORTS, HOLDS, Behind, Housekeeping
from shared.db.calling import Calls, Fetch
from shared.tasks import TaskOwner
from tests import tills
from tests.builders import DropTerms
from tests.redeem.market import Market, Stall, eventually
from tests.tills_http import TillCaller, order

if TYPE_CHECKING:
    from collections.abc import Callable

HELD = 40


class FailingCalls(Calls):
    """Calls of which some fail; `fails` is asked with each call's arguments."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls._pool, timeout_s=calls._timeout_s)
        self.fails: Callable[[tuple[Any, ...]], Exception | None] = lambda _: None
        self.made: list[tuple[Any, ...]] = []

    async def call(self, fetch: Fetch, statement: str, *arguments: Any) -> Any:  # noqa: ANN401
        self.made.append(arguments)
        fault = self.fails(arguments)
        if fault is not None:
            raise fault
        return await super().call(fetch, statement, *arguments)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the housekeeping of a service from working by itself."""
    monkeypatch.setattr(housekeeping, "_LOOK_EVERY_S", 3600.0)


def another(market: Market) -> tuple[Housekeeping, FailingCalls]:
    """Return the housekeeping of one more process."""
    calls = FailingCalls(market.resources.direct)
    return Housekeeping(calls, Behind(CollectorRegistry())), calls


async def hold_many(market: Market) -> tuple[Stall, TillCaller]:
    stall = await market.open(DropTerms(quota=HELD + 1), claims=HELD)
    till = await stall.till()
    bodies = [order(stall.code(claim), capture=False) for claim in range(HELD)]
    answers = await asyncio.gather(*(till.redeem(body) for body in bodies))
    assert {answer.body["state"] for answer in answers} == {"held"}
    return stall, till


async def count_of(market: Market, state: str) -> int:
    counted: int = await market.owner.fetchval(
        "SELECT count(*) FROM redeem.redemptions WHERE state = $1", state
    )
    return counted


@pytest.mark.usefixtures("still")
class TestSteps:
    async def test_several_processes_at_once(self, later: Market) -> None:
        await hold_many(later)
        await tills.advance(later.owner, timedelta(minutes=16))
        await asyncio.gather(*(another(later)[0].catch_up(HOLDS) for _ in range(4)))
        assert await count_of(later, "released") == HELD
        await tills.advance(later.owner, timedelta(days=8))
        await asyncio.gather(*(another(later)[0].catch_up(COHORTS) for _ in range(4)))
        assert await later.owner.fetchval("SELECT count(*) FROM redeem.expiries") == 2

    async def test_one_that_fails_keeps_nobody_else(self, later: Market) -> None:
        await hold_many(later)
        await tills.advance(later.owner, timedelta(minutes=16))
        bad = await later.owner.fetchval("SELECT min(redemption_id::text) FROM redeem.redemptions")
        keeping, calls = another(later)
        calls.fails = lambda asked: asyncpg.DataError("x") if str(asked[-1]) == bad else None
        with pytest.raises(asyncpg.DataError):
            await keeping.catch_up(HOLDS)
        assert await count_of(later, "released") == HELD - 1
        calls.fails = lambda _: None
        await keeping.catch_up(HOLDS)
        assert await count_of(later, "released") == HELD

    async def test_a_server_that_is_away_is_not_asked_for_every_step(self, later: Market) -> None:
        await hold_many(later)
        await tills.advance(later.owner, timedelta(minutes=16))
        keeping, calls = another(later)
        calls.fails = lambda asked: OSError() if len(asked) > 1 else None
        with pytest.raises(OSError):  # noqa: PT011 - it has no words
            await keeping.catch_up(HOLDS)
        assert len(calls.made) == 2
        assert await count_of(later, "held") == HELD

    async def test_many_are_done_in_portions(
        self, later: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(housekeeping, "_TAKEN_AT_ONCE", 7)
        await hold_many(later)
        await tills.advance(later.owner, timedelta(minutes=16))
        await another(later)[0].catch_up(HOLDS)
        assert await count_of(later, "released") == HELD


async def test_it_goes_on_after_faults_and_waits_longer_each_time(
    later: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_LOOK_EVERY_S", 0.01)
    keeping, calls = another(later)
    calls.fails = lambda _: OSError()
    owner = TaskOwner()
    keeping.start(owner)
    try:
        await asyncio.sleep(0.5)
        assert 4 <= len(calls.made) <= 14  # at 10 ms, 20, 40, ... for each of the two works
        calls.fails = lambda _: None
        before = len(calls.made)

        async def looks_often() -> bool:
            return len(calls.made) > before + 10

        await eventually(looks_often)
    finally:
        await owner.close(grace_s=0)


async def test_how_far_behind_it_is_can_be_seen(later: Market) -> None:
    async def metrics() -> str:
        async with later.http.get("/metrics") as answer:
            return await answer.text()

    async def caught_up() -> dict[str, str]:
        return dict(
            re.findall(
                r'^fairdrop_redeem_caught_up_timestamp_seconds\{work="(\w+)"\} (\S+)',
                await metrics(),
                re.MULTILINE,
            )
        )

    async def have_looked() -> bool:
        return (await caught_up()).keys() == {"holds", "cohorts"}

    await eventually(have_looked)
    assert 'fairdrop_redeem_due{work="cohorts"} 0.0' in await metrics()
    now_s = await later.owner.fetchval("SELECT extract(epoch FROM now())::float8")
    assert all(abs(now_s - float(moment)) < 60 for moment in (await caught_up()).values())
