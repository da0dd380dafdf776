"""The e-CNY operator (运营机构), as it is spoken to: pay, refund, and what became of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from shared.clock import rfc3339
from shared.counterparties import PRINTABLE, Counterparty, Fate, Word, rejected, word_of

# A development clock is moved by weeks, and an operator's is its own.
_TIME_WITHIN = timedelta(days=10 * 366)


@dataclass(frozen=True, slots=True)
class Instruction:
    """What the operator is to do. Its id is the end-to-end number, on which it does it once."""

    city_id: int
    instruction_id: UUID
    redemption_id: UUID
    kind: str
    original_id: UUID | None
    amount_fen: int
    wallet: str
    payee_wallet: str
    attempts: int
    asked_at: datetime

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Instruction":
        return cls(**{name: row[name] for name in cls.__slots__})


class _Payment(BaseModel):
    end_to_end_no: str
    kind: str
    amount_fen: int
    state: Literal["confirmed", "rejected", "processing"]
    operator_txn_no: str | None = Field(None, max_length=64, pattern=PRINTABLE)
    completed_at: AwareDatetime | None = None
    reason: str | None = None


class EcnyOperator:
    """Asks the operator, once each time; what it does not say clearly is not known."""

    def __init__(self, counterparty: Counterparty) -> None:
        self._counterparty = counterparty

    @property
    def may_be_asked(self) -> bool:
        return self._counterparty.may_be_asked

    @property
    def is_doubtful(self) -> bool:
        return self._counterparty.is_doubtful

    async def instruct(self, instruction: Instruction) -> Word:
        """Have it pay or refund. Sent again, the same instruction is done once."""
        order: dict[str, Any] = {
            "end_to_end_no": str(instruction.instruction_id),
            "amount_fen": instruction.amount_fen,
            "instructed_at": rfc3339(instruction.asked_at),
        }
        if instruction.kind == "refund":
            path = "/v1/refunds"
            order["original_end_to_end_no"] = str(instruction.original_id)
        else:
            path = "/v1/payments"
            order["wallet"] = instruction.wallet
            order["payee_wallet"] = instruction.payee_wallet
        reply = await self._counterparty.ask("POST", path, content=json.dumps(order).encode())
        return word_of(reply, instruction.instruction_id, lambda body: _read(instruction, body))

    async def query(self, instruction: Instruction) -> Word:
        """Ask what became of an instruction whose outcome is not known."""
        reply = await self._counterparty.ask("GET", f"/v1/payments/{instruction.instruction_id}")
        return word_of(reply, instruction.instruction_id, lambda body: _read(instruction, body))


def _read(instruction: Instruction, body: object) -> Word:
    """Return the word that an answer carries. Raises ValueError for one that proves nothing."""
    said = _Payment.model_validate(body)
    meant = (str(instruction.instruction_id), instruction.kind, instruction.amount_fen)
    if (said.end_to_end_no, said.kind, said.amount_fen) != meant:
        raise ValueError("it speaks of another payment")
    if said.state == "rejected":
        return rejected(said.reason)
    if said.state == "processing":
        return Word(Fate.PROCESSING)
    if not said.operator_txn_no or said.completed_at is None:
        raise ValueError("a confirmation has a number and a time")
    # What lies years away is no time of a payment, and the ends of the calendar are none at all.
    if abs(said.completed_at - instruction.asked_at) > _TIME_WITHIN:
        raise ValueError("its time is not one of this payment")
    return Word(Fate.CONFIRMED, said.operator_txn_no, said.completed_at)
