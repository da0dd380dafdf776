"""The bank, as it is spoken to: a payout file, and what became of each payout."""

from datetime import datetime
from http import HTTPStatus
from typing import Literal
from uuid import UUID

import structlog
from pydantic import BaseModel, Field

from shared.clock import rfc3339
from shared.counterparties import PRINTABLE, Counterparty, Fate, Word, rejected, word_of

_log = structlog.get_logger()

_SHOWN_MAX = 500


class _Payout(BaseModel):
    end_to_end_no: str
    amount_fen: int
    state: Literal["paid", "rejected", "processing"]
    bank_txn_no: str | None = Field(None, max_length=64, pattern=PRINTABLE)
    reason: str | None = None


class Bank:
    """Asks the bank, once each time; what it does not say clearly is not known."""

    def __init__(self, counterparty: Counterparty) -> None:
        self._counterparty = counterparty

    @property
    def may_be_asked(self) -> bool:
        return self._counterparty.may_be_asked

    async def give(self, batch_id: UUID, file: bytes, at: datetime) -> bool:
        """Give it a payout file; return whether it has surely taken it.

        Given again, the same file pays nothing twice.
        """
        reply = await self._counterparty.ask(
            "POST",
            "/v1/payout-files",
            content=file,
            media_type="text/csv; charset=utf-8",
            query={"instructed_at": rfc3339(at)},
        )
        if reply is None or reply.status == HTTPStatus.OK:
            return reply is not None
        _log.error(
            "payout file refused",
            batch_id=str(batch_id),
            status=reply.status,
            body=str(reply.body)[:_SHOWN_MAX],
        )
        return False

    async def query(self, payout_id: UUID, amount_fen: int) -> Word:
        """Ask what became of a payout."""
        reply = await self._counterparty.ask("GET", f"/v1/payouts/{payout_id}")
        return word_of(reply, payout_id, lambda body: _read(payout_id, amount_fen, body))


def _read(payout_id: UUID, amount_fen: int, body: object) -> Word:
    """Return the word that an answer carries. Raises ValueError for one that proves nothing."""
    said = _Payout.model_validate(body)
    if (said.end_to_end_no, said.amount_fen) != (str(payout_id), amount_fen):
        raise ValueError("it speaks of another payout")
    if said.state == "rejected":
        return rejected(said.reason)
    if said.state == "processing":
        return Word(Fate.PROCESSING)
    if not said.bank_txn_no:
        raise ValueError("a payment has a number")
    return Word(Fate.CONFIRMED, said.bank_txn_no)
