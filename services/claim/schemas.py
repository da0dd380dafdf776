"""The claim service's requests and responses."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from shared.web.fields import StrictModel

Channel = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class ClaimRequest(StrictModel):
    """Nothing is needed; `channel` says where the resident came from."""

    channel: Channel | None = None


class PassRequest(StrictModel):
    """Empty."""


class PassGranted(BaseModel):
    """Use `pass` as the bearer token of the claim, from `admits_at` on."""

    model_config = {"populate_by_name": True}

    granted: Annotated[str, Field(alias="pass")]
    admits_at: datetime
    expires_at: datetime


class KindView(BaseModel):
    kind_id: str
    name: str
    category: str
    face_fen: int
    min_spend_fen: int
    count: int
    valid_days: int | None
    valid_until: datetime | None
    refund_policy: str


class DropView(BaseModel):
    """A published drop. `remaining` never overstates what the ledger had a second ago."""

    drop_id: str
    name: str
    state: Literal["live", "paused", "closed"]
    mode: str
    admission: str
    opens_at: datetime
    closes_at: datetime
    server_time: datetime
    quota: int
    remaining: int
    limit_per_holder: int
    pack: list[KindView]


class VoucherView(BaseModel):
    voucher_id: str
    kind_id: str
    category: str
    face_fen: int
    min_spend_fen: int
    valid_from: str
    valid_until: str
    state: Literal["active", "held", "redeemed", "expired", "released"]


class ClaimView(BaseModel):
    claim_id: str
    drop_id: str
    serial: int
    claimed_at: str
    vouchers: list[VoucherView]


class MyVoucher(VoucherView):
    """A voucher with the claim it came with, and how much of it can still be spent.

    While a till holds it, that part of its face is not in `remaining_fen`.
    """

    claim_id: str
    drop_id: str
    remaining_fen: int


class VoucherCode(BaseModel):
    """What a till scans: it names one voucher, and is good for one redemption.

    Ask again at `expires_at`; until then it is the same.
    """

    code: str
    expires_at: datetime
