"""A lane by itself, on the real ledger, with faults put in where a test says."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from services.redeem.attempts import Attempt, Till
from services.redeem.deciding import Ledger, Outcome
from services.redeem.lane import Lane
from services.redeem.requests import body_hash
from shared.db.calling import Calls, Fetch
from shared.ids import new_id
from shared.tasks import TaskOwner
from tests.redeem.market import Market, Stall
from tests.tills import CATEGORY
from tests.tills_http import TillCaller, fresh_no

Fault = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Put no fault in."""


class FaultyCalls(Calls):
    """Calls that are counted; what is put `before` and `after` one may wait or fail."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls._pool, timeout_s=calls._timeout_s)
        self.batches: list[list[object]] = []
        self.before: Fault = nothing
        self.after: Fault = nothing

    async def call(self, fetch: Fetch, statement: str, *arguments: Any) -> Any:  # noqa: ANN401
        self.batches.append(list(arguments[1]))
        await self.before()
        reply = await super().call(fetch, statement, *arguments)
        await self.after()
        return reply


class OneLane:
    """The lane of one city in a process of its own."""

    def __init__(self, market: Market, stall: Stall, caller: TillCaller, owner: TaskOwner) -> None:
        self.stall = stall
        self.till = Till(stall.programme.city_id, caller.terminal_id)
        self.calls = FaultyCalls(market.resources.direct)
        self.lane = Lane(stall.programme.city_id, ledger=Ledger(self.calls), owner=owner)

    def attempt(
        self,
        claim: int = 0,
        position: int = 0,
        *,
        request_no: str | None = None,
        order_no: str = "order-1",
        deadline_s: float = 4.0,
    ) -> Attempt:
        loop = asyncio.get_running_loop()
        return Attempt(
            till=self.till,
            redemption_id=new_id(self.till.city_id),
            request_no=request_no or fresh_no(),
            body_hash=body_hash("redeem", order_no),
            claim_id=self.stall.claims[claim],
            position=position,
            code_step=7,
            order_no=order_no,
            order_amount_fen=10_000,
            category=CATEGORY,
            capture=True,
            deadline_s=loop.time() + deadline_s,
            decided=loop.create_future(),
        )

    async def ask(self, *attempts: Attempt) -> Sequence[Outcome]:
        return await asyncio.gather(*(self.lane.submit(attempt) for attempt in attempts))


@asynccontextmanager
async def lane_of(market: Market, stall: Stall, caller: TillCaller) -> AsyncIterator[OneLane]:
    owner = TaskOwner()
    try:
        yield OneLane(market, stall, caller, owner)
    finally:
        await owner.close(grace_s=5)
