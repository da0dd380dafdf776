"""A lane by itself, on the real ledger and the real gate, with faults put in where a test says."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from services.claim.arrivals import Arrivals
from services.claim.attempts import Attempt
from services.claim.deciding import Ledger
from services.claim.definitions import Definition
from services.claim.holders import Holder
from services.claim.lane import Lane
from services.claim.outcomes import Outcome
from shared.clock import Clock
from shared.db.calling import Fetch
from shared.gate.gate import Gate
from shared.gate.statement import Statement
from shared.ids import new_id
from shared.tasks import TaskOwner
from tests.claim.office import Office

_TICK_S = 0.02

Before = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Put no fault in."""


class FaultyLedger(Ledger):
    """The ledger, counting its calls; what is put `before` and `after` one may wait or fail."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self.calls: list[str] = []
        self.before: dict[str, Before] = {}
        self.after: dict[str, Before] = {}

    async def _call(self, fetch: Fetch, statement: str, *arguments: Any) -> Any:  # noqa: ANN401
        function = re.search(r"claim\.(\w+)\(", statement)
        name = function[1] if function else "read_statement"
        self.calls.append(name)
        await self.before.get(name, nothing)()
        reply = await super()._call(fetch, statement, *arguments)
        await self.after.get(name, nothing)()
        return reply


class FaultyGate(Gate):
    """The gate; `before_take` may wait or fail."""

    before_take: Before = staticmethod(nothing)

    async def take(
        self, drop_id: UUID, statement: Statement, *, denied_version: int | None = None
    ) -> tuple[int, int]:
        await self.before_take()
        return await super().take(drop_id, statement, denied_version=denied_version)


class OneLane:
    """The lane of one drop in a process of its own."""

    def __init__(self, office: Office, definition: Definition, owner: TaskOwner) -> None:
        self.definition = definition
        self.ledger = FaultyLedger(office.resources.reads)
        self.gate = FaultyGate(office.redis)
        self.lane = Lane(
            definition,
            gate=self.gate,
            ledger=self.ledger,
            clock=Clock(),
            arrivals=Arrivals(office.resources.reads),
            owner=owner,
        )

    def attempt(self, name: str, *, channel: str | None = None, deadline_s: float = 2.0) -> Attempt:
        return Attempt(
            holder=Holder(name.encode().ljust(32, b".")),
            request_key="",
            channel=channel,
            claim_id=new_id(self.definition.city_id),
            deadline_s=asyncio.get_running_loop().time() + deadline_s,
            person_id=None,
        )

    async def ask(self, name: str, *, channel: str | None = None) -> Outcome:
        attempt = self.attempt(name, channel=channel)
        known = self.lane.recall(attempt.holder, attempt.request_key)
        if known is not None:
            return known
        submitted = self.lane.submit(attempt)
        return await submitted if isinstance(submitted, asyncio.Future) else submitted

    async def keep_deadlines(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.lane.expire_waiters(asyncio.get_running_loop().time())


@asynccontextmanager
async def lane_of(office: Office, drop_id: str) -> AsyncIterator[OneLane]:
    owner, background = TaskOwner(), TaskOwner()
    definition = await office.resources.definitions.find(UUID(drop_id), now_s=0)
    assert definition is not None
    one = OneLane(office, definition, owner)
    background.spawn(one.keep_deadlines(), name="deadlines")
    try:
        yield one
    finally:
        await owner.close(grace_s=3)
        await background.close(grace_s=0)
