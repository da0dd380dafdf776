"""What the simulated e-CNY operator takes and answers."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from services.simulating.schemas import InstructedAt, Number
from shared.web.fields import Fen, StrictModel


class PaymentOrder(StrictModel):
    """Pay a merchant's wallet out of a custody wallet, once for each end-to-end number."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "end_to_end_no": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a41",
                "wallet": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a40",
                "payee_wallet": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a42",
                "amount_fen": 1000,
                "instructed_at": "2026-05-01T02:00:00Z",
            }
        }
    )

    end_to_end_no: Number
    wallet: Number
    payee_wallet: Number
    amount_fen: Fen
    instructed_at: InstructedAt = None


class RefundOrder(StrictModel):
    """Take a confirmed payment back into the wallet that paid it, whole or in part."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "end_to_end_no": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a43",
                "original_end_to_end_no": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a41",
                "amount_fen": 1000,
                "instructed_at": "2026-05-01T02:00:00Z",
            }
        }
    )

    end_to_end_no: Number
    original_end_to_end_no: Number
    amount_fen: Fen
    instructed_at: InstructedAt = None


class PaymentView(BaseModel):
    """What is known of a payment or refund: `processing` is certain of nothing yet.

    `operator_txn_no` and `completed_at` come with confirmed, `reason` with rejected.
    """

    end_to_end_no: str
    kind: Literal["pay", "refund"]
    wallet: str
    payee_wallet: str
    amount_fen: int
    state: Literal["confirmed", "rejected", "processing"]
    operator_txn_no: str | None
    completed_at: datetime | None
    reason: str | None


class WalletTransfer(StrictModel):
    """Money into the wallet from the bank account (in), or out of it, back or to a funder (out).

    Under one reference, once in each direction.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "reference": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a44",
                "direction": "in",
                "amount_fen": 500_000_000,
                "instructed_at": "2026-05-01T02:00:00Z",
            }
        }
    )

    reference: Number
    direction: Literal["in", "out"]
    amount_fen: Fen
    instructed_at: InstructedAt = None


class WalletTransferView(BaseModel):
    wallet: str
    reference: str
    direction: Literal["in", "out"]
    amount_fen: int
    operator_txn_no: str
    completed_at: datetime
    balance_fen: int


class WalletView(BaseModel):
    wallet: str
    balance_fen: int
