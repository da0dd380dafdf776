"""The chart of accounts. One book per programme, integer fen, currency CNY."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Side = Literal["debit", "credit"]


@dataclass(frozen=True, slots=True)
class Family:
    """Accounts of one meaning: `name:part:part`.

    A guarded family is cold and must never be overdrawn, so each of its accounts has a balance
    row with a CHECK. The others are hot and insert-only: an update per claim would make one row
    the lock on which everybody waits.
    """

    name: str
    code: str
    normal_side: Side
    guarded: bool
    meaning: str


CHART = (
    Family("bank", "1001", "debit", True, "supervised bank account"),
    Family("wallet", "1001", "debit", True, "digital-RMB custody wallet"),
    Family("pledge", "1122", "debit", True, "co-funding promised, not yet paid"),
    Family("merchant_recv", "1133", "debit", True, "owed by a merchant after settlement"),
    Family("suspense_short", "1901", "debit", True, "short found (短款), cause not yet known"),
    Family("available", "2001", "credit", True, "budget not yet allocated to a drop"),
    Family("reserved", "2002", "credit", False, "allocated to a drop, not yet claimed"),
    Family("outstanding", "2003", "credit", False, "claimed, unused voucher liability"),
    Family("held", "2004", "credit", False, "redemption authorised, not captured"),
    Family("payable", "2202", "credit", False, "redeemed, owed to a merchant"),
    Family("transit", "2203", "credit", True, "payout instructed, not confirmed"),
    Family("return", "2241", "credit", False, "expired or unused, owed back to the funder"),
    Family("suspense_over", "2901", "credit", True, "over found (长款), cause not yet known"),
)
FAMILIES = {family.name: family for family in CHART}


def bank() -> str:
    """Return the programme's supervised bank account."""
    return "bank:main"


def wallet() -> str:
    """Return the programme's digital-RMB custody wallet."""
    return "wallet:main"


def pledge(funder_id: str) -> str:
    return f"pledge:{funder_id}"


def available(funder_id: str) -> str:
    return f"available:{funder_id}"


def reserved(funder_id: str, drop_id: UUID) -> str:
    return f"reserved:{funder_id}:{drop_id}"


def outstanding(funder_id: str, drop_id: UUID) -> str:
    return f"outstanding:{funder_id}:{drop_id}"


def family_of(account_code: str) -> Family:
    """Return the family of an account code. Raises KeyError for a code outside the chart."""
    return FAMILIES[account_code.partition(":")[0]]
