"""How an attempt can end. Losing is what most people see: it is a value, not an exception."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Refusal(StrEnum):
    """Why an attempt got no claim. The names are the contract's codes."""

    SOLD_OUT = "sold_out"
    NOT_OPEN = "not_open"
    CLOSED = "closed"
    PAUSED = "paused"
    LIMIT_REACHED = "limit_reached"
    BUSY = "busy"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Won:
    """A claim that is committed. `fresh` for the one answer that told of it first."""

    claim_id: UUID
    serial: int
    claimed_at: datetime
    fresh: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """No claim, and why; `opens_us` is given with NOT_OPEN."""

    refusal: Refusal
    opens_us: int | None = None


Outcome = Won | Refused

BUSY = Refused(Refusal.BUSY)
OVERLOADED = Refused(Refusal.OVERLOADED)
LIMIT_REACHED = Refused(Refusal.LIMIT_REACHED)
