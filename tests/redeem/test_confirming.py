"""A till's answer waits a moment for the e-CNY operator, and no longer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import pytest
import pytest_asyncio

from services.redeem import confirming
from shared.tasks import TaskOwner
from tests import tills
from tests.builders import DropTerms
from tests.redeem.market import Market, Stall
from tests.tills_http import TillCaller, fresh_no, order

Answers = Callable[[UUID], Awaitable[None]]


class Operator:
    """Stands for what sends instructions: `answers` says what becomes of one."""

    def __init__(self, owner: TaskOwner) -> None:
        self._owner = owner
        self.answers: Answers
        self.nudged: list[UUID] = []
        self.finished = asyncio.Event()

    def nudge(self, city_id: int, redemption_id: UUID) -> asyncio.Future[None]:
        assert city_id > 0
        self.nudged.append(redemption_id)
        booked = asyncio.get_running_loop().create_future()
        self._owner.spawn(self._attempt(redemption_id, booked), name="operator")
        return booked

    async def _attempt(self, redemption_id: UUID, booked: asyncio.Future[None]) -> None:
        await self.answers(redemption_id)
        booked.set_result(None)
        self.finished.set()


@pytest_asyncio.fixture
async def operator(market: Market) -> AsyncIterator[Operator]:
    owner = TaskOwner()
    operator = Operator(owner)
    kept = market.resources.confirming._instructs
    market.resources.confirming._instructs = operator
    yield operator
    market.resources.confirming._instructs = kept
    await owner.close(grace_s=5)


@pytest_asyncio.fixture
async def stall(market: Market) -> Stall:
    return await market.open(DropTerms(rail="ecny"))


@pytest_asyncio.fixture
async def till(stall: Stall) -> TillCaller:
    return await stall.till()


def saying(market: Market, stall: Stall, till: TillCaller, word: str) -> Answers:
    """Return an operator that says this at once."""

    async def answer(redemption_id: UUID) -> None:
        asked = tills.ask(till.till, stall.claims[0]).again(redemption_id=redemption_id)
        await tills.answer(market.owner, asked, word)

    return answer


@pytest.mark.parametrize(("word", "state"), [("confirmed", "captured"), ("rejected", "failed")])
async def test_an_operator_that_answers_at_once(
    market: Market, operator: Operator, stall: Stall, till: TillCaller, word: str, state: str
) -> None:
    operator.answers = saying(market, stall, till, word)
    body = order(stall.code())
    answer = await till.redeem(body)
    assert (answer.status, answer.body["state"]) == (201, state)
    assert ("settlement_id" in answer.body) == (state == "captured")
    assert answer.body.get("voucher_state") == (None if state == "captured" else "open")
    assert operator.nudged == [UUID(answer.body["redemption_id"])]
    again = await till.redeem(body)
    assert again.body["state"] == state
    assert len(operator.nudged) == 1


async def test_the_capture_of_a_hold(
    market: Market, operator: Operator, stall: Stall, till: TillCaller
) -> None:
    operator.answers = saying(market, stall, till, "confirmed")
    held = await till.redeem(order(stall.code(), capture=False))
    assert operator.nudged == []
    number = fresh_no()
    answer = await till.capture(held.body["redemption_id"], number)
    assert (answer.status, answer.body["state"]) == (200, "captured")
    assert answer.body["settlement_id"]
    again = await till.capture(held.body["redemption_id"], number)
    assert again.body == answer.body


async def test_an_operator_that_takes_its_time(
    market: Market,
    operator: Operator,
    stall: Stall,
    till: TillCaller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The till is told `pending`, the attempt goes on, and the same request is told the end."""
    monkeypatch.setattr(confirming, "PATIENCE_S", 0.2)
    may_answer = asyncio.Event()
    at_once = saying(market, stall, till, "confirmed")

    async def slowly(redemption_id: UUID) -> None:
        await may_answer.wait()
        await at_once(redemption_id)

    operator.answers = slowly
    body = order(stall.code())
    answer = await till.redeem(body)
    assert (answer.status, answer.body["state"]) == (201, "pending")
    assert (await till.read_back(body["request_no"])).body["state"] == "pending"
    may_answer.set()
    await operator.finished.wait()
    assert (await till.redeem(body)).body["state"] == "captured"
    assert (await till.read_back(body["request_no"])).body["state"] == "captured"


async def test_an_operator_that_says_nothing(
    operator: Operator, stall: Stall, till: TillCaller
) -> None:
    async def nothing(_redemption_id: UUID) -> None:
        await asyncio.sleep(0)

    operator.answers = nothing
    answer = await till.redeem(order(stall.code()))
    assert (answer.status, answer.body["state"]) == (201, "pending")
