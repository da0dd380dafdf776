"""One request for a pack, on its way through gate and ledger."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

from services.claim.holders import Holder
from services.claim.outcomes import Outcome, Won


@dataclass(slots=True)
class Attempt:
    """What one holder asks of one drop. The same request from several connections is one attempt.

    `claim_id` is fixed before the first send, so that a batch whose reply was lost can be sent
    again. `request_key` is '' where the holder alone identifies the request.
    """

    holder: Holder
    request_key: str
    channel: str | None
    claim_id: UUID
    deadline_s: float
    person_id: UUID | None
    waiting: list[asyncio.Future[Outcome]] = field(default_factory=list)
    rank: int = -1
    arrived_us: int = 0

    @property
    def identity(self) -> tuple[bytes, str]:
        return self.holder.subject_hash, self.request_key

    def answer(self, outcome: Outcome) -> None:
        """Answer everybody who waits; only the first is told that a claim is fresh."""
        for waiter in self.waiting:
            if not waiter.done():
                waiter.set_result(outcome)
                if isinstance(outcome, Won) and outcome.fresh:
                    outcome = Won(outcome.claim_id, outcome.serial, outcome.claimed_at, fresh=False)
        self.waiting.clear()
