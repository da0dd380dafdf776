"""The way through one process, when replies are lost, late, or not what they should be."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
import pytest_asyncio

from services.redeem import lane
from services.redeem.deciding import Outcome
from services.redeem.outcomes import BUSY, OVERLOADED, Redemption, Refusal, Refused
from tests.builders import DropTerms
from tests.redeem.lanes import OneLane, lane_of
from tests.redeem.market import Market

CLAIMS = 8
LOST = asyncpg.ConnectionDoesNotExistError("the connection was closed in the middle of operation")


@pytest_asyncio.fixture
async def one(market: Market) -> AsyncIterator[OneLane]:
    stall = await market.open(DropTerms(quota=CLAIMS + 1), claims=CLAIMS)
    async with lane_of(market, stall, await stall.till()) as one:
        yield one


class Once:
    """Fails the first time, and never again."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault
        self.failed = False

    async def __call__(self) -> None:
        if not self.failed:
            self.failed = True
            raise self.fault


def captured(outcomes: Sequence[Outcome]) -> list[Redemption]:
    return [outcome for outcome in outcomes if isinstance(outcome, Redemption)]


async def made(market: Market, one: OneLane) -> int:
    counted: int = await market.owner.fetchval(
        "SELECT count(*) FROM redeem.redemptions WHERE claim_id = ANY ($1)", one.stall.claims
    )
    return counted


class TestUnknownOutcomes:
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize(
        "fault",
        [
            LOST,
            TimeoutError(),
            asyncpg.DeadlockDetectedError("x"),
            asyncpg.LockNotAvailableError("x"),
            OSError(32, "pipe"),
        ],
        ids=lambda fault: type(fault).__name__,
    )
    async def test_a_lost_reply_is_asked_for_again(
        self, market: Market, one: OneLane, when: str, fault: Exception
    ) -> None:
        """Whether it was committed or not, each is made once and is told so for the first time."""
        setattr(one.calls, when, Once(fault))
        attempts = [one.attempt(n) for n in range(CLAIMS)]
        told = captured(await one.ask(*attempts))
        assert [one.redemption_id for one in told] == [a.redemption_id for a in attempts]
        assert {(one.state, one.replayed) for one in told} == {("captured", False)}
        assert await made(market, one) == CLAIMS

    async def test_a_reply_that_never_comes_is_busy_in_time_and_read_back_later(
        self, market: Market, one: OneLane
    ) -> None:
        async def lost() -> None:
            raise LOST

        one.calls.after = lost
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        first = one.attempt(deadline_s=0.6)
        assert await one.ask(first) == [BUSY]
        assert 0.2 < loop.time() - begun_s < 1.5
        assert len(one.calls.batches) > 2
        one.calls.after = one.calls.before
        again = one.attempt(request_no=first.request_no)
        [told] = captured(await one.ask(again))
        assert (told.redemption_id, told.replayed) == (first.redemption_id, True)
        assert await made(market, one) == 1

    async def test_one_bad_row_fails_alone(self, market: Market, one: OneLane) -> None:
        """Postgres refuses NUL; the endpoint lets none in, but the batch must not rely on it."""
        held = asyncio.Event()
        one.calls.before = held.wait  # type: ignore[assignment]
        first = [asyncio.ensure_future(one.lane.submit(one.attempt(n))) for n in (0, 1)]
        await asyncio.sleep(0.01)
        rest = [
            asyncio.ensure_future(
                one.lane.submit(one.attempt(n, order_no="\0" if n == 4 else "order-1"))
            )
            for n in range(2, CLAIMS)
        ]
        await asyncio.sleep(0.01)
        held.set()
        outcomes = await asyncio.gather(*first, *rest)
        assert outcomes[4] == BUSY
        assert len(captured(outcomes)) == CLAIMS - 1
        assert await made(market, one) == CLAIMS - 1

    async def test_a_fault_nobody_thought_of_costs_one_batch(
        self, one: OneLane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both flushers fail while others wait behind them; those are served all the same."""
        monkeypatch.setattr(lane, "BATCH_MAX", 1)
        failures = iter([RuntimeError("first"), RuntimeError("second")])

        async def fail_twice() -> None:
            await asyncio.sleep(0.02)
            fault = next(failures, None)
            if fault is not None:
                raise fault

        one.calls.before = fail_twice
        outcomes = await one.ask(*(one.attempt(n) for n in range(6)))
        assert outcomes[:2] == [BUSY, BUSY]
        assert len(captured(outcomes)) == 4
        assert one.lane._in_flight == set()
        assert one.lane._flushing == 0
        assert len(captured(await one.ask(one.attempt(0)))) == 1


class TestBatches:
    async def test_they_form_while_two_are_in_flight(self, one: OneLane) -> None:
        """Thirty-two at once are a few calls, not thirty-two."""
        attempts = [one.attempt(n % CLAIMS, n // CLAIMS) for n in range(4 * CLAIMS)]
        outcomes = await one.ask(*attempts)
        assert len(captured(outcomes)) == 4 * CLAIMS
        assert len(one.calls.batches) <= 3

    async def test_a_voucher_is_in_one_batch_at_a_time(self, one: OneLane) -> None:
        """And whoever else wants something else is not held up by it."""
        attempts = [one.attempt() for _ in range(20)] + [one.attempt(1)]
        outcomes = await one.ask(*attempts)
        assert isinstance(outcomes[0], Redemption)
        assert isinstance(outcomes[-1], Redemption)
        refusals = Counter(o.refusal for o in outcomes if isinstance(o, Refused))
        assert refusals == {Refusal.ALREADY_REDEEMED: 19}
        assert one.calls.batches[0] == [attempts[0].redemption_id, attempts[-1].redemption_id]
        assert {len(batch) for batch in one.calls.batches[1:]} == {1}

    async def test_a_request_is_in_one_batch_at_a_time(self, one: OneLane) -> None:
        attempts = [one.attempt(n, request_no="r-1") for n in range(CLAIMS)]
        told = captured(await one.ask(*attempts))
        assert {one.redemption_id for one in told} == {attempts[0].redemption_id}
        assert [len(batch) for batch in one.calls.batches] == [1] * CLAIMS
        await one.ask(one.attempt(1))

    async def test_they_are_bounded(self, one: OneLane, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lane, "BATCH_MAX", 3)
        outcomes = await one.ask(*(one.attempt(n) for n in range(CLAIMS)))
        assert len(captured(outcomes)) == CLAIMS
        assert max(len(batch) for batch in one.calls.batches) == 3


class TestWaiting:
    async def test_cancelled_requests_break_no_batch(self, market: Market, one: OneLane) -> None:
        held = asyncio.Event()
        one.calls.before = held.wait  # type: ignore[assignment]
        attempts = [one.attempt(n) for n in range(CLAIMS)]
        # The first two are on their way, each in a batch of its own; the others wait in the queue.
        tasks = []
        for attempt in attempts:
            tasks.append(asyncio.ensure_future(one.lane.submit(attempt)))
            await asyncio.sleep(0.002)
        assert len(one.calls.batches) == 2
        for task in tasks[::2]:
            task.cancel()
        held.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(o) for o in outcomes] == [asyncio.CancelledError, Redemption] * (CLAIMS // 2)
        # The first was decided all the same; those that had not been sent never were.
        assert await made(market, one) == 1 + CLAIMS // 2
        again = one.attempt(0, request_no=attempts[0].request_no)
        [told] = captured(await one.ask(again))
        assert told.redemption_id == attempts[0].redemption_id
        assert one.lane._in_flight == set()

    async def test_whoever_waited_too_long_is_told_so_and_not_decided(
        self, market: Market, one: OneLane
    ) -> None:
        held = asyncio.Event()
        one.calls.before = held.wait  # type: ignore[assignment]
        first = []
        for n in (0, 1):
            first.append(asyncio.ensure_future(one.lane.submit(one.attempt(n))))
            await asyncio.sleep(0.01)
        late = one.attempt(2, deadline_s=0.05)
        assert await one.lane.submit(late) == BUSY
        held.set()
        assert len(captured(await asyncio.gather(*first))) == 2
        assert len(captured(await one.ask(one.attempt(3)))) == 1
        assert await made(market, one) == 3

    async def test_whoever_waits_behind_many_who_have_gone_is_served(
        self, one: OneLane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lane, "_PASSED_OVER_MAX", 3)
        held = asyncio.Event()
        one.calls.before = held.wait  # type: ignore[assignment]
        first = []
        for n in (0, 1):
            first.append(asyncio.ensure_future(one.lane.submit(one.attempt(n))))
            await asyncio.sleep(0.01)
        gone = [asyncio.ensure_future(one.ask(one.attempt(2, deadline_s=0.05))) for _ in range(9)]
        last = asyncio.ensure_future(one.lane.submit(one.attempt(3)))
        assert await asyncio.gather(*gone) == [[BUSY]] * 9
        held.set()
        assert len(captured(await asyncio.gather(*first, last))) == 3

    async def test_the_queue_is_bounded(
        self, one: OneLane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lane, "BATCH_MAX", 1)
        monkeypatch.setattr(lane, "QUEUE_MAX", 4)
        held = asyncio.Event()
        one.calls.before = held.wait  # type: ignore[assignment]
        asked = []
        for n in range(CLAIMS):
            asked.append(asyncio.ensure_future(one.lane.submit(one.attempt(n))))
            await asyncio.sleep(0.01)
        held.set()
        outcomes = await asyncio.gather(*asked)
        assert outcomes[6:] == [OVERLOADED] * 2
        assert len(captured(outcomes)) == 6

    async def test_a_crowd_at_one_voucher_is_not_looked_through_whole(
        self, one: OneLane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And nobody in it, nor behind it, is forgotten."""
        monkeypatch.setattr(lane, "_PASSED_OVER_MAX", 3)
        outcomes = await one.ask(*(one.attempt() for _ in range(12)), one.attempt(1))
        assert len(captured(outcomes)) == 2
        assert BUSY not in outcomes
