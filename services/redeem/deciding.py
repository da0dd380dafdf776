"""The ledger's decisions on a batch of redemptions."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import structlog

from services.redeem.attempts import Attempt
from services.redeem.insisting import insist
from services.redeem.outcomes import Redemption, Refusal, Refused, refused
from shared.db.calling import Calls

_log = structlog.get_logger()

# As many as redeem.decide takes.
BATCH_MAX = 256
_DECIDE = "SELECT * FROM redeem.decide($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"

Outcome = Redemption | Refused


class Ledger:
    """Calls `redeem.decide`: one statement in autocommit, one transaction, one batch.

    Nothing is held between round trips, so a stopped process hangs nobody.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def decide(
        self, city_id: int, attempts: Sequence[Attempt], *, until_s: float
    ) -> list[Outcome | None]:
        """Decide a batch of one city, sending it again until `until_s` (loop time).

        None means that no answer came in time; the attempt may still have been decided, and the
        same request will be told of it.
        """
        try:
            decided = await insist(lambda: self._decide(city_id, attempts), until_s=until_s)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as fault:
            return await self._bisect(city_id, attempts, fault, until_s=until_s)
        return decided or [None] * len(attempts)

    async def _decide(self, city_id: int, attempts: Sequence[Attempt]) -> list[Outcome | None]:
        row = await self._calls.call(
            "fetchrow",
            _DECIDE,
            city_id,
            [attempt.redemption_id for attempt in attempts],
            [attempt.till.terminal_id for attempt in attempts],
            [attempt.request_no for attempt in attempts],
            [attempt.body_hash for attempt in attempts],
            [attempt.claim_id for attempt in attempts],
            [attempt.position for attempt in attempts],
            [attempt.code_step for attempt in attempts],
            [attempt.order_no for attempt in attempts],
            [attempt.order_amount_fen for attempt in attempts],
            [attempt.category for attempt in attempts],
            [attempt.capture for attempt in attempts],
        )
        return [_outcome(attempt, row, place) for place, attempt in enumerate(attempts)]

    async def _bisect(
        self, city_id: int, attempts: Sequence[Attempt], fault: Exception, *, until_s: float
    ) -> list[Outcome | None]:
        """Keep one bad row from failing its whole batch: try the halves by themselves."""
        if len(attempts) == 1 or asyncio.get_running_loop().time() >= until_s:
            _log.error("attempts refused by the ledger", count=len(attempts), fault=repr(fault))
            return [None] * len(attempts)
        middle = len(attempts) // 2
        first = await self.decide(city_id, attempts[:middle], until_s=until_s)
        return first + await self.decide(city_id, attempts[middle:], until_s=until_s)


def _outcome(attempt: Attempt, row: Any, place: int) -> Outcome:  # noqa: ANN401
    """Return what one attempt of a batch is told."""
    outcome = row["outcomes"][place]
    refusal = Refusal.of(outcome)
    if refusal is not None:
        return refused(
            refusal,
            asking=attempt.till.terminal_id,
            by_terminal=row["by_terminals"][place],
            by_request_no=row["by_request_nos"][place],
            by_at=row["by_ats"][place],
        )
    redemption_id = row["redemption_ids"][place]
    return Redemption(
        redemption_id=redemption_id,
        claim_id=row["claim_ids"][place],
        position=row["voucher_positions"][place],
        state=outcome,
        # The same request has the same order: it is part of its hash.
        order_amount_fen=attempt.order_amount_fen,
        discount_fen=row["amounts_fen"][place],
        hold_expires_at=row["hold_expires_ats"][place] if outcome == "held" else None,
        settlement_id=row["settlement_ids"][place] if outcome == "captured" else None,
        # After a resend our own redemption comes back as replayed; its till never heard of it.
        replayed=row["are_replayed"][place] and redemption_id != attempt.redemption_id,
    )
