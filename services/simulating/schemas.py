"""What both simulators take and answer: the clock, faults, lies."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.web.fields import FEN_MAX, StrictModel, Text, UtcTime

FAULTS_MAX = 100
LIES_MAX = 100
DELAY_MS_MAX = 60_000

Number = Annotated[
    Text, Field(min_length=1, max_length=64, pattern=r"^[^|;=\s]+$", examples=["0197a3c2-7b4e"])
]
"""A number, an account or a wallet: what names something in a file."""

Reference = Annotated[Text, Field(min_length=1, max_length=200)]
Counterparty = Annotated[Text, Field(max_length=400)]

InstructedAt = Annotated[
    UtcTime | None,
    Field(
        description="The time of the one who instructs. A simulator's clock never runs behind it,"
        " so that money moves on the day that a development clock plays."
    ),
]

Action = Literal["delay", "silence", "lose", "duplicate", "reject", "process"]


class ClockView(BaseModel):
    """The simulator's time and accounting day (Asia/Shanghai)."""

    now: datetime
    day: date


class NewClock(StrictModel):
    """Move the clock forward; a time before the simulator's own changes nothing."""

    model_config = ConfigDict(json_schema_extra={"example": {"now": "2026-05-02T01:00:00Z"}})

    now: UtcTime


class NewFault(StrictModel):
    """So many requests at a point, or those of them that `match` names, meet a fault.

    delay: done at once, answered `delay_ms` later. silence: done, and never answered. lose: not
    even done, and never answered. duplicate: arrives twice, and is answered with the second answer.
    reject: refused for good. process: taken, and done only `delay_ms` later.
    """

    model_config = ConfigDict(
        json_schema_extra={"example": {"on": "payments", "do": "silence", "times": 3}}
    )

    on: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")]
    do: Action
    times: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    every: Annotated[
        int, Field(ge=1, le=1_000_000, description="Only each so-and-so-manieth of them")
    ] = 1
    delay_ms: Annotated[int, Field(ge=0, le=DELAY_MS_MAX)] = 0
    match: Annotated[
        Text | None,
        Field(
            max_length=400,
            description="An end-to-end number, batch, account or wallet that the request names",
        ),
    ] = None

    @model_validator(mode="after")
    def _says_how_late(self) -> Self:
        if (self.delay_ms > 0) != (self.do in {"delay", "process"}):
            raise ValueError("delay_ms goes with delay and process, and only with them")
        return self


class NewFaults(StrictModel):
    faults: Annotated[list[NewFault], Field(min_length=1, max_length=FAULTS_MAX)]


class FaultView(BaseModel):
    """`hits` is how many requests met it so far, `left` how many more will."""

    on: str
    do: Action
    delay_ms: int
    every: int
    match: str | None
    hits: int
    left: int


class FaultsView(BaseModel):
    """Every fault since the last clearing, the spent ones too. A restart forgets them all."""

    items: list[FaultView]


What = Literal["omit", "extra", "amount", "duplicate", "direction"]
BreakType = Literal["missing_in_channel", "missing_in_ledger", "amount", "duplicate", "direction"]


class NewLie(StrictModel):
    """One untrue row. What is not said is chosen by the seed.

    omit: the row is left out. extra: a row of nothing. amount: another amount. duplicate: the row
    twice. direction: in for out, or out for in.
    """

    what: What
    reference: Annotated[
        Reference | None, Field(description="Of the row that is lied about; not with extra")
    ] = None
    amount_fen: Annotated[
        int | None,
        Field(strict=True, ge=1, le=FEN_MAX, description="What is stated; with extra and amount"),
    ] = None
    direction: Annotated[Literal["in", "out"] | None, Field(description="Only with extra")] = None

    @model_validator(mode="after")
    def _says_what_it_needs(self) -> Self:
        if self.what == "extra" and self.reference is not None:
            raise ValueError("an extra row is of nothing, so it names no reference")
        if self.amount_fen is not None and self.what not in {"extra", "amount"}:
            raise ValueError("amount_fen goes with extra and amount only")
        if self.direction is not None and self.what != "extra":
            raise ValueError("direction goes with extra only")
        return self


class NewLies(StrictModel):
    """Have the file of an account (or wallet) and day lie, instead of what it lied before.

    The same seed over the same rows chooses the same.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "account": "0197a3c2-7b4e-7001-9f3a-5d2c8e1b6a40",
                "day": "2026-05-02",
                "seed": 7,
                "lies": [{"what": "omit"}, {"what": "extra"}, {"what": "amount"}],
            }
        }
    )

    account: Number
    day: Annotated[date, Field(strict=False)]
    seed: Annotated[int, Field(ge=0, le=2**31)] = 0
    lies: Annotated[list[NewLie], Field(min_length=1, max_length=LIES_MAX)]


class PlantedLie(BaseModel):
    """What a reconciliation should find. Money in counts above zero and money out below.

    `type` is that of the break, `difference_fen` what the file says that the account has more than
    the books say (长款, or 短款 below zero). `stated_fen` is None for a row left out, `booked_fen`
    for one that nothing was booked for, the second of two among them.
    """

    what: What
    type: BreakType
    reference: str
    txn_no: str
    stated_fen: int | None
    booked_fen: int | None
    difference_fen: int


class PlantedLies(BaseModel):
    """`difference_fen` is the sum: so much more does the file's account hold than it should."""

    account: str
    day: date
    planted: list[PlantedLie]
    difference_fen: int
