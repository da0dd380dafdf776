"""Requests and answers about merchants and their tills."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.campaign.schemas import CityCode, PublicId, require_distinct
from shared.web.fields import Identifier, Name, StrictModel, Text
from shared.web.pages import PageRequest

CATEGORIES_MAX = 50
PROGRAMMES_MAX = 100

ProgrammeId = Annotated[Text, Field(max_length=64)]
MerchantState = Literal["pending", "active", "suspended"]


class NewMerchant(StrictModel):
    """A shop that wants to take vouchers of these categories in these programmes."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "name": "West Lake Noodles 西湖面馆",
                "city_code": "330100",
                "categories": ["catering"],
                "programmes": ["0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a40"],
                "mcc": "5812",
                "region_code": "330106",
                "payout_account": "3301040160001234567",
                "wallet_id": "0021000123456789",
            }
        }
    )

    name: Name
    city_code: CityCode
    categories: Annotated[list[Name], Field(min_length=1, max_length=CATEGORIES_MAX)]
    programmes: Annotated[list[ProgrammeId], Field(max_length=PROGRAMMES_MAX)]
    mcc: Annotated[
        str | None, Field(pattern=r"^[0-9]{4}$", description="Merchant category code, ISO 18245")
    ] = None
    region_code: Annotated[
        str | None, Field(pattern=r"^[0-9]{6}$", description="Where the shop is, GB/T 2260")
    ] = None
    payout_account: Annotated[
        Identifier | None, Field(description="The bank account that is paid on the bank rail")
    ] = None
    wallet_id: Annotated[
        Identifier | None, Field(description="The wallet that is paid on the e-CNY rail")
    ] = None

    @field_validator("categories")
    @classmethod
    def _categories_are_distinct(cls, categories: list[str]) -> list[str]:
        require_distinct("categories", categories)
        return categories


class NewEnrolment(StrictModel):
    model_config = ConfigDict(
        json_schema_extra={"example": {"programme_id": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a40"}}
    )

    programme_id: ProgrammeId


class MerchantView(BaseModel):
    """A merchant as staff see it; its tills may redeem while it is `active`."""

    merchant_id: PublicId
    name: str
    city_code: str
    categories: list[str]
    programmes: list[PublicId]
    mcc: str | None
    region_code: str | None
    payout_account: str | None
    wallet_id: str | None
    state: MerchantState
    created_at: datetime
    created_by: str
    approved_at: datetime | None
    approved_by: str | None
    suspended_at: datetime | None
    suspended_by: str | None


class MerchantsRequest(PageRequest):
    state: MerchantState | None = None


class NewTerminal(StrictModel):
    """Empty."""

    model_config = ConfigDict(json_schema_extra={"example": {}})


class TerminalView(BaseModel):
    """A till of a merchant. It signs its requests under `key_id`."""

    terminal_id: PublicId
    merchant_id: PublicId
    key_id: str
    state: Literal["active", "suspended"]
    created_at: datetime
    created_by: str
    suspended_at: datetime | None
    suspended_by: str | None


class TerminalIssued(TerminalView):
    """A new till with its key; no other answer shows the secret."""

    secret: Annotated[
        str, Field(description="32 bytes as base64url without padding: the key of HMAC-SHA-256")
    ]
