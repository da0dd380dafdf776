"""Requests and answers of the control plane."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from shared.bookkeeping.splitting import SHARE_TOTAL_BP
from shared.voucher_ids import PACK_VOUCHERS_MAX
from shared.web.fields import FEN_MAX, Fen, Name, StrictModel, UtcTime
from shared.web.pages import PageRequest

FUNDERS_MAX = 20
KINDS_MAX = 16
QUOTA_MAX = 100_000_000
DROP_FACE_FEN_MAX = 10**15
_FACE_FEN_MAX = 10**9


def _built(mode: str) -> str:
    if mode == "lottery":
        raise ValueError("draws are not built; use grab")
    return mode


def _names_no_rule(given: object) -> object:
    if given:
        raise ValueError("this feature is not built; leave the field out")
    return given


AccountPart = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
"""A name that becomes a part of account codes, which are divided by colons."""

CityCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
PublicId = Annotated[str, BeforeValidator(str)]
RefundPolicy = Literal["restore", "restore_once", "restore_until_delivery", "forfeit"]


class Funder(StrictModel):
    """Who pays which share of every voucher; a platform that pays later funds by pledge."""

    funder_id: AccountPart
    name: Name
    kind: Literal["government", "platform", "merchant_pool", "bank"]
    share_bp: Annotated[int, Field(ge=1, le=SHARE_TOTAL_BP, description="Hundredths of a percent")]
    mode: Literal["cash", "pledge"]


class NewProgramme(StrictModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "Spring consumption vouchers",
                "city_code": "330100",
                "funders": [
                    {
                        "funder_id": "city",
                        "name": "Bureau of Commerce",
                        "kind": "government",
                        "share_bp": 7500,
                        "mode": "cash",
                    },
                    {
                        "funder_id": "platform",
                        "name": "Payment platform",
                        "kind": "platform",
                        "share_bp": 2500,
                        "mode": "pledge",
                    },
                ],
            }
        }
    )

    name: Name
    city_code: CityCode
    funders: Annotated[list[Funder], Field(min_length=1, max_length=FUNDERS_MAX)]

    @model_validator(mode="after")
    def _shares_make_a_whole(self) -> Self:
        require_distinct("funder_id", [funder.funder_id for funder in self.funders])
        total_bp = sum(funder.share_bp for funder in self.funders)
        if total_bp != SHARE_TOTAL_BP:
            raise ValueError(
                f"share_bp of all funders must sum to {SHARE_TOTAL_BP}, not {total_bp}"
            )
        return self


class ProgrammeView(BaseModel):
    programme_id: PublicId
    name: str
    city_code: str
    funders: list[Funder]
    created_at: datetime
    created_by: str


class NewFunding(StrictModel):
    """Money that came in, or, from a funder who pledges, a promise; `settles_pledge` pays one."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "funder_id": "city",
                "amount_fen": 500_000_000,
                "reference": "Treasury payment 2026-0415",
            }
        }
    )

    funder_id: AccountPart
    amount_fen: Fen
    reference: Name
    settles_pledge: bool = False


class FundingView(BaseModel):
    """`journal_kind` is J1 for cash, J2 for a pledge, J3 for a pledge that is paid."""

    funding_id: PublicId
    programme_id: PublicId
    funder_id: str
    amount_fen: int
    reference: str
    settles_pledge: bool
    journal_kind: Literal["J1", "J2", "J3"]
    created_at: datetime
    created_by: str


class VoucherKind(StrictModel):
    """A kind of voucher; `count` of them are in every pack. Exactly one validity is given."""

    kind_id: AccountPart
    name: Name
    category: Name
    face_fen: Annotated[int, Field(ge=1, le=_FACE_FEN_MAX)]
    min_spend_fen: Annotated[int, Field(ge=0, le=FEN_MAX)]
    count: Annotated[int, Field(ge=1, le=PACK_VOUCHERS_MAX)]
    valid_days: Annotated[
        int | None,
        Field(ge=1, le=3650, description="Days, the claim's own counted, to 24:00 in the city"),
    ] = None
    valid_until: UtcTime | None = None
    refund_policy: RefundPolicy

    @model_validator(mode="after")
    def _has_one_validity(self) -> Self:
        if (self.valid_days is None) == (self.valid_until is None):
            raise ValueError("give exactly one of valid_days and valid_until")
        return self


class NewDrop(StrictModel):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "programme_id": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a40",
                "name": "Friday evening",
                "round": "5",
                "mode": "grab",
                "admission": "open",
                "opens_at": "2026-05-01T02:00:00Z",
                "closes_at": "2026-05-01T14:00:00Z",
                "quota": 1_500_000,
                "limit_per_holder": 1,
                "pack": [
                    {
                        "kind_id": "general-40-10",
                        "name": "10 off 40",
                        "category": "general",
                        "face_fen": 1000,
                        "min_spend_fen": 4000,
                        "count": 5,
                        "valid_days": 7,
                        "refund_policy": "restore",
                    }
                ],
                "rail": "bank",
            }
        }
    )

    programme_id: str
    name: Name
    round: Name | None = None
    mode: Annotated[Literal["grab", "lottery"], AfterValidator(_built)]
    admission: Literal["open", "pass"]
    opens_at: UtcTime
    closes_at: UtcTime
    quota: Annotated[int, Field(ge=1, le=QUOTA_MAX)]
    limit_per_holder: Annotated[int, Field(ge=1, le=100)] = 1
    pack: Annotated[list[VoucherKind], Field(min_length=1, max_length=KINDS_MAX)]
    rail: Literal["ecny", "bank"]
    eligibility: Annotated[dict[str, Any] | None, AfterValidator(_names_no_rule)] = None
    limits: Annotated[list[Any] | None, AfterValidator(_names_no_rule)] = None
    reclaim_after_release: bool = False

    @property
    def pack_face_fen(self) -> int:
        return sum(kind.count * kind.face_fen for kind in self.pack)

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        if self.opens_at >= self.closes_at:
            raise ValueError("opens_at must be before closes_at")
        for kind in self.pack:
            if kind.valid_until is not None and kind.valid_until <= self.closes_at:
                raise ValueError(f"valid_until of {kind.kind_id} must be after closes_at")
        return self

    @model_validator(mode="after")
    def _pack_is_bounded(self) -> Self:
        require_distinct("kind_id", [kind.kind_id for kind in self.pack])
        if sum(kind.count for kind in self.pack) > PACK_VOUCHERS_MAX:
            raise ValueError(f"a pack holds at most {PACK_VOUCHERS_MAX} vouchers")
        if self.quota * self.pack_face_fen > DROP_FACE_FEN_MAX:
            raise ValueError(f"quota times the pack's face may be {DROP_FACE_FEN_MAX} fen at most")
        return self


class NewQuota(StrictModel):
    model_config = ConfigDict(json_schema_extra={"example": {"quota": 1_600_000}})

    quota: Annotated[int, Field(ge=0, le=QUOTA_MAX)]


class DropView(BaseModel):
    """A drop as staff see it. `issued` counts serials ever given, `live` the claims that stand.

    `absorbs` is settled when the drop is published: the merchants' own pledged share is taken off
    what they are paid for its vouchers, instead of being paid in.
    """

    drop_id: PublicId
    programme_id: PublicId
    name: str
    round: str | None
    state: Literal["draft", "live", "paused", "closed"]
    version: int
    mode: str
    admission: str
    rail: str
    opens_at: datetime
    closes_at: datetime
    quota: int
    issued: int
    live: int
    limit_per_holder: int
    pack_face_fen: int
    pack: list[VoucherKind]
    reclaim_after_release: bool
    absorbs: bool
    created_at: datetime
    created_by: str
    published_at: datetime | None


class DropsRequest(PageRequest):
    programme_id: str | None = None


class NewVoid(StrictModel):
    """`reopen`: the pack goes back on sale; otherwise it is withdrawn from the drop's quota."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"reason": "Claimed by a robot", "reopen": True}}
    )

    reason: Name
    reopen: bool


class VoidView(BaseModel):
    """What became of a claim that was voided, as it was decided the first time.

    `journal_kind` is J7a where the pack was `reopened`, and J7b where it was withdrawn and its
    money went back to the funders; a closed drop takes no pack back.
    """

    claim_id: PublicId
    drop_id: PublicId
    serial: int
    state: Literal["released"]
    reopened: bool
    journal_kind: Literal["J7a", "J7b"]
    reason: str
    released_at: datetime
    released_by: str


def require_distinct(field: str, given: list[str]) -> None:
    """Raise ValueError when a text is given twice."""
    if len(set(given)) < len(given):
        raise ValueError(f"{field} must be distinct")
