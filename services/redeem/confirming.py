"""Redemptions that wait for the e-CNY operator: told at once where it answers at once."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from services.redeem.attempts import Till
from services.redeem.insisting import insist
from services.redeem.outcomes import Redemption
from services.redeem.reading_back import read_redemption
from shared.db.calling import Calls

# So long a customer at the till may wait for the operator before the answer is `pending`.
PATIENCE_S = 1.5
_READ_WITHIN_S = 1.0


class Instructs(Protocol):
    """Sends what the ledger has instructed to the operator, and books its answer."""

    def nudge(self, city_id: int, redemption_id: UUID) -> asyncio.Future[None]:
        """Have the open instruction of a redemption sent now, by a task of its own.

        The future is done when the operator's answer is booked, or when there is none to come from
        this attempt; it never fails, and nobody who waits for it cancels the attempt.
        """
        ...


class Confirming:
    """Waits a moment for the operator."""

    def __init__(self, calls: Calls, instructs: Instructs) -> None:
        self._calls = calls
        self._instructs = instructs

    async def confirm(self, till: Till, redemption: Redemption) -> Redemption:
        """Return the redemption as it stands once the operator has answered, or after a moment."""
        if redemption.state != "pending":
            return redemption
        booked = self._instructs.nudge(till.city_id, redemption.redemption_id)
        await asyncio.wait([booked], timeout=PATIENCE_S)  # which leaves the attempt alone
        if not booked.done():
            return redemption

        def read() -> Awaitable[Redemption]:
            return read_redemption(self._calls, till, redemption.redemption_id)

        until_s = asyncio.get_running_loop().time() + _READ_WITHIN_S
        now = await insist(read, until_s=until_s)
        return redemption if now is None else replace(now, replayed=redemption.replayed)
