"""The redeem service's requests and responses."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.web.fields import Fen, Name, StrictModel, Text

RequestNo = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Unique per terminal over every POST; the same number gets the same answer.",
        examples=["t7-000123"],
    ),
]
Code = Annotated[
    Text,
    Field(min_length=1, max_length=128, description="What the resident's phone shows now."),
]
OrderNo = Annotated[Text, Field(min_length=1, max_length=64, examples=["order-88"])]
_QUOTE_ID_LENGTH_MAX = 1024


class QuoteRequest(StrictModel):
    """What a voucher would take off an order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"code": "1Zk…", "order_amount_fen": 12000, "category": "catering"}]
        }
    )

    code: Code
    order_amount_fen: Fen
    category: Name


class RedemptionRequest(StrictModel):
    """One redemption, by the code that the resident shows or by a quote for it.

    With `capture` the voucher is spent at once, without it is held for a quarter of an hour.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_no": "t7-000123",
                    "code": "1Zk…",
                    "order_no": "order-88",
                    "order_amount_fen": 12000,
                    "category": "catering",
                    "capture": True,
                }
            ]
        }
    )

    request_no: RequestNo
    code: Code | None = None
    quote_id: Annotated[Text, Field(min_length=1, max_length=_QUOTE_ID_LENGTH_MAX)] | None = None
    order_no: OrderNo
    order_amount_fen: Fen
    category: Name
    capture: bool

    @model_validator(mode="after")
    def _names_one_voucher(self) -> Self:
        if (self.code is None) == (self.quote_id is None):
            raise ValueError("give either code or quote_id")
        return self


class HoldRequest(StrictModel):
    """The number under which a hold is captured or released, in full."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"request_no": "t7-000124"}]})

    request_no: RequestNo


class ReversalRequest(StrictModel):
    """Take back whatever `original_request_no` did, whether it arrived or not."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"request_no": "t7-000125", "original_request_no": "t7-000123"}]
        }
    )

    request_no: RequestNo
    original_request_no: RequestNo

    @model_validator(mode="after")
    def _names_another_request(self) -> Self:
        if self.request_no == self.original_request_no:
            raise ValueError("a reversal has a request_no of its own")
        return self


class QuoteView(BaseModel):
    """What a voucher takes off the order, or why nothing.

    `reason` is the code with which a redemption would be refused now. The quote can be used once,
    by this terminal, for this amount and category, until `expires_at`.
    """

    quote_id: str
    expires_at: str
    voucher_id: str
    applicable: bool
    reason: str | None
    discount_fen: int
    payable_by_customer_fen: int
    explanation: str


class RedemptionView(BaseModel):
    """A redemption. What it takes off stands while its state is captured, held or pending.

    Of one that ended otherwise, `voucher_state` says whether the resident may use the voucher
    again (`open`), or its money went back to the funders because it expired meanwhile.
    """

    redemption_id: str
    voucher_id: str
    state: Literal["captured", "held", "pending", "released", "reversed", "refunded", "failed"]
    discount_fen: int
    payable_by_customer_fen: int
    hold_expires_at: str | None = None
    settlement_id: str | None = None
    voucher_state: Literal["open", "expired"] | None = None


class ReversalView(BaseModel):
    """`reversed` and `never_happened` are final; `pending` is asked for again by the same request.

    `redemption_id` is what the original had made.
    """

    outcome: Literal["reversed", "never_happened", "pending"]
    redemption_id: str | None = None
