"""What the simulated bank takes and answers."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from services.simulating.schemas import Counterparty, InstructedAt, Number, Reference
from shared.web.fields import Fen, StrictModel


class Deposit(StrictModel):
    """Money arrives on an account: what a funder does, or what comes back from a custody wallet.

    Of one reference, an account gets money once.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "account": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a40",
                "reference": "Treasury payment 2026-0415",
                "amount_fen": 500_000_000,
                "counterparty": "Bureau of Commerce",
                "instructed_at": "2026-05-01T02:00:00Z",
            }
        }
    )

    account: Number
    reference: Reference
    amount_fen: Fen
    counterparty: Counterparty = ""
    instructed_at: InstructedAt = None


class Transfer(Deposit):
    """Money leaves an account: back to a funder, or into a custody wallet.

    Under one reference, an account pays once.
    """


class MovementView(BaseModel):
    """`balance_fen` is what the account held after it."""

    account: str
    reference: str
    direction: Literal["in", "out"]
    amount_fen: int
    counterparty: str
    balance_fen: int
    bank_txn_no: str
    booked_at: datetime
    booked_on: date


class AccountView(BaseModel):
    account: str
    balance_fen: int


class PayoutFileView(BaseModel):
    """A file that was taken: `payouts` lines, of which `taken` are new to the bank."""

    batch: str
    account: str
    payouts: int
    total_fen: int
    taken: int


class PayoutView(BaseModel):
    """What is known of a payout: `processing` is certain of nothing yet.

    `bank_txn_no` and `completed_at` come with paid, `reason` with rejected.
    """

    end_to_end_no: str
    batch: str
    account: str
    payee_account: str
    amount_fen: int
    state: Literal["processing", "paid", "rejected"]
    bank_txn_no: str | None
    completed_at: datetime | None
    reason: str | None
