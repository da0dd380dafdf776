"""One redemption that a till asks for, on its way to the decision."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.redeem.outcomes import Redemption, Refused


@dataclass(frozen=True, slots=True)
class Till:
    """The terminal that signed a request."""

    city_id: int
    terminal_id: UUID


@dataclass(slots=True, eq=False)
class Attempt:
    """What `redeem.decide` is asked.

    `redemption_id` is fixed before the first send, so that a batch whose reply was lost can be
    sent again. `deadline_s` is loop time.
    """

    till: Till
    redemption_id: UUID
    request_no: str
    body_hash: bytes
    claim_id: UUID
    position: int
    code_step: int
    order_no: str
    order_amount_fen: int
    category: str
    capture: bool
    deadline_s: float
    decided: asyncio.Future[Redemption | Refused]

    @property
    def names(self) -> set[tuple[UUID, int | str]]:
        """Return what no two attempts that are being decided may share: voucher and request."""
        return {(self.claim_id, self.position), (self.till.terminal_id, self.request_no)}

    def answer(self, outcome: Redemption | Refused) -> None:
        """Answer who waits, unless they have gone."""
        if not self.decided.done():
            self.decided.set_result(outcome)
