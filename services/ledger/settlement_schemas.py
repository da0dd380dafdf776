"""Requests and answers of settlement: records, batches and their payouts, returns to funders."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from services.ledger.schemas import BookPageRequest, Day, LedgerView
from shared.web.fields import Identifier, StrictModel
from shared.web.pages import PageRequest

RecordType = Literal["REDEEM", "REFUND", "REVERSAL", "EXPIRY_RETURN", "ADJUST"]
BatchState = Literal["cut", "approved", "rejected"]
PayoutState = Literal["cut", "open", "confirmed", "rejected"]
ReturnState = Literal["proposed", "approved", "rejected"]
_EXAMPLE_PROGRAMME = "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a40"


class RecordsRequest(BookPageRequest):
    record_type: RecordType | None = None
    merchant_id: UUID | None = None
    accounting_date: Day | None = None
    batch_id: Annotated[
        UUID | None, Field(description="Only what this settlement batch pays or has tried to pay.")
    ] = None


class SettlementRecordView(LedgerView):
    """One redemption, its reversal, or an expiry, with what was settled of it since.

    A record never changes; `settle_batch_no`, `settle_date` and `recon_status` are told by the
    payout and the reconciliation that refer to it. `net_fen` is what the merchant gets (of an
    expiry: nobody); `fund_split` says which funder paid what.
    """

    settlement_id: UUID
    record_version: int
    record_type: RecordType
    original_settlement_id: UUID | None
    idempotency_key: str
    programme_id: UUID
    drop_id: UUID
    voucher_id: Annotated[str | None, Field(description="None of an expiry: it counts vouchers")]
    kind_id: str
    voucher_instance_seq: int | None
    voucher_count: int
    directive_use: list[str] | None
    condition_result: dict[str, str]
    rail: Literal["ECNY_WALLET", "ECNY_HARD", "UNIONPAY", "WECHAT", "ALIPAY", "BANK"]
    payee_wallet_id: str | None
    funder_wallet_id: str | None
    merchant_id: UUID | None
    terminal_id: UUID | None
    mcc: str | None
    region_code: str | None
    order_no: str | None
    operator_txn_no: str | None
    end_to_end_no: str
    currency: Literal["CNY"]
    order_amount_fen: int
    voucher_amount_fen: int
    consumer_paid_fen: int
    other_discount_fen: int
    fund_split: dict[str, int]
    fee_fen: int
    net_fen: int
    event_time: datetime
    operator_time: datetime | None
    accounting_date: date
    settle_cycle: Literal["T0_FINAL", "T1_BATCH", "POST_VERIFY"]
    finality_time: datetime | None
    settle_batch_no: Annotated[UUID | None, Field(description="The batch that pays it")]
    payout_id: UUID | None
    settle_date: Annotated[date | None, Field(description="When the bank had paid it")]
    status: Literal["INIT", "LOCKED", "SUCCESS", "REVERSED", "REFUNDED", "FAILED", "UNKNOWN"]
    voucher_valid_to: datetime
    refund_policy: str
    refund_waterfall: str
    offline_flag: bool
    ledger_txn_id: UUID
    recon_status: Annotated[
        Literal["MATCHED", "BREAK"] | None,
        Field(description="None until a statement speaks of the payment, or could have"),
    ]
    recon_run_id: UUID | None
    break_id: UUID | None
    actor: str | None


class NewBatch(StrictModel):
    """Everything due to a programme's merchants up to the end of the day `cut_off`."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"programme_id": _EXAMPLE_PROGRAMME, "cut_off": "2026-05-01"}}
    )

    programme_id: Identifier
    cut_off: Day


class BatchesRequest(BookPageRequest):
    state: BatchState | None = None


class PayoutsRequest(PageRequest):
    """A query on the payouts of a batch."""

    model_config = ConfigDict(extra="forbid")


class PayoutTotals(LedgerView):
    """How many payouts of a batch are in a state, and what they pay."""

    state: PayoutState
    payouts: int
    amount_fen: int


class BatchView(LedgerView):
    """`amount_fen` is paid; `netted_fen` of what was due pays back what merchants owed (J13)."""

    batch_id: UUID
    programme_id: UUID
    cut_off: date
    state: BatchState
    payouts: int
    amount_fen: int
    netted_fen: int
    by_state: list[PayoutTotals]
    created_at: datetime
    created_by: str
    decided_at: datetime | None
    decided_by: str | None


class PayoutView(LedgerView):
    """What one merchant gets in a batch; its id is the payment's end-to-end number.

    cut: not approved yet. open: instructed, the bank is not certain. confirmed: paid (J15).
    rejected: not paid (J16), its records are cut again; `reason` says why.
    """

    payout_id: UUID
    batch_id: UUID
    programme_id: UUID
    merchant_id: UUID
    merchant_name: str
    amount_fen: int
    netted_fen: int
    records: int
    state: PayoutState
    bank_txn_no: str | None
    reason: str | None
    ended_at: datetime | None


class NewReturn(StrictModel):
    """Give a funder back what expired, and with `include_budget` what no drop was given."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "programme_id": _EXAMPLE_PROGRAMME,
                "funder_id": "city",
                "include_budget": True,
            }
        }
    )

    programme_id: Identifier
    funder_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    include_budget: bool


class ReturnsRequest(BookPageRequest):
    state: ReturnState | None = None


class ReturnView(LedgerView):
    """`total_fen` = `pledge_fen` (never drawn: struck off) + `bank_fen` + `wallet_fen` (paid back).

    `released_fen` of it is budget that no drop was given; the rest had expired.
    """

    return_id: UUID
    programme_id: UUID
    funder_id: str
    total_fen: int
    released_fen: int
    pledge_fen: int
    bank_fen: int
    wallet_fen: int
    state: ReturnState
    proposed_at: datetime
    proposed_by: str
    decided_at: datetime | None
    decided_by: str | None
