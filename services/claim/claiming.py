"""Claiming: one pack of one drop for one holder, answered after the ledger has committed it."""

import asyncio
import time
from typing import TYPE_CHECKING

from services.claim.attempts import Attempt
from services.claim.lane import DEADLINE_S, Lane
from shared.ids import new_id

if TYPE_CHECKING:
    from uuid import UUID

    from services.claim.arrivals import Arrivals
    from services.claim.deciding import Ledger
    from services.claim.definitions import Definition
    from services.claim.holders import Holder
    from services.claim.outcomes import Outcome
    from shared.clock import Clock
    from shared.gate.gate import Gate
    from shared.tasks import TaskOwner

_TICK_S = 0.05
_IDLE_LANE_KEPT_S = 120.0


class Claiming:
    """The lanes of a process, one for each drop somebody asks about."""

    def __init__(
        self,
        *,
        gate: "Gate",
        ledger: "Ledger",
        clock: "Clock",
        arrivals: "Arrivals",
        owner: "TaskOwner",
    ) -> None:
        self._gate = gate
        self._ledger = ledger
        self._clock = clock
        self._arrivals = arrivals
        self._owner = owner
        self._lanes: dict[UUID, Lane] = {}
        self._used_s: dict[UUID, float] = {}

    def lane(self, definition: "Definition") -> Lane:
        lane = self._lanes.get(definition.drop_id)
        if lane is None:
            lane = self._lanes[definition.drop_id] = Lane(
                definition,
                gate=self._gate,
                ledger=self._ledger,
                clock=self._clock,
                arrivals=self._arrivals,
                owner=self._owner,
            )
        self._used_s[definition.drop_id] = time.monotonic()
        return lane

    async def claim(
        self,
        definition: "Definition",
        holder: "Holder",
        *,
        request_key: str,
        channel: str | None,
    ) -> "Outcome":
        """Ask for a pack. The same holder and request key get the claim they were given before.

        A `Won` is durable: it was committed, with its journal, before this returns.
        """
        lane = self.lane(definition)
        known = lane.recall(holder, request_key)
        if known is not None:
            return known
        attempt = Attempt(
            holder=holder,
            request_key=request_key,
            channel=channel,
            claim_id=new_id(definition.city_id),
            deadline_s=asyncio.get_running_loop().time() + DEADLINE_S,
            person_id=holder.person_id,
        )
        submitted = lane.submit(attempt)
        return await submitted if isinstance(submitted, asyncio.Future) else submitted

    def now_us(self, definition: "Definition") -> int:
        """Return the drop's time: the gate's clock where it was heard, else this process's."""
        lane = self._lanes.get(definition.drop_id)
        heard = lane.standing.clock.earliest_us() if lane is not None else None
        return self._clock.now_us() if heard is None else heard

    async def keep_deadlines(self) -> None:
        """Answer whoever has waited too long, and drop lanes nobody uses, until cancelled."""
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = asyncio.get_running_loop().time()
            for drop_id, lane in list(self._lanes.items()):
                lane.expire_waiters(now_s)
                unused = time.monotonic() - self._used_s[drop_id] > _IDLE_LANE_KEPT_S
                if unused and lane.is_idle:
                    del self._lanes[drop_id], self._used_s[drop_id]
