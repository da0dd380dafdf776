"""What the report tells: the only thing that it is made from.

Amounts are integer fen. Times `t_s` are seconds after the drop opened, by the crowd's clock.
A `Phrase` is prose in both languages; a plain `str` is a name and stands in both as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, NamedTuple, Self

from shared.invariant import invariant

Rail = Literal["bank", "ecny"]
ReturnWay = Literal["bank", "wallet", "pledge"]
Answer = Literal["won", "sold_out", "other", "redeemed"]
StatementFormat = Literal["bank-statement", "ecny-daily"]


class Phrase(NamedTuple):
    """One text, in English and in Chinese."""

    en: str
    zh: str

    @classmethod
    def same(cls, name: str) -> Self:
        """Return a name that is told in one language alone, and stands in both."""
        return cls(name, name)


class Second(NamedTuple):
    """How many claims were won, and how many answered with no, in the second that begins at t."""

    t_s: int
    won: int
    refused: int


class Stock(NamedTuple):
    t_s: float
    remaining: int


@dataclass(frozen=True, slots=True)
class LatencyLine:
    """Times from sending a request to its answer, by what the answer was."""

    answer: Answer
    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class DayLine:
    """The redemptions of a day: what the vouchers gave, of orders of how much before discount."""

    day: date
    redemptions: int
    voucher_fen: int
    order_fen: int


class Stop(StrEnum):
    """Where money comes by, or stays."""

    ALLOCATED = "allocated"
    CLAIMED = "claimed"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    UNCLAIMED = "unclaimed"
    PAID_BANK = "paid_bank"
    PAID_ECNY = "paid_ecny"
    ABSORBED = "absorbed"
    UNPAID = "unpaid"
    UNUSED = "unused"
    RETURNED = "returned"
    UNDRAWN = "undrawn"
    BUDGET = "budget"


THROUGH = {
    Stop.ALLOCATED: 1,
    Stop.CLAIMED: 2,
    Stop.REDEEMED: 3,
    Stop.EXPIRED: 3,
    Stop.UNCLAIMED: 3,
}
"""What comes here goes on to the fen, to a later step; at every other stop it stays."""


@dataclass(frozen=True, slots=True)
class Funder:
    """Who puts money in: in cash, or as a promise that is drawn when it is needed."""

    name: Phrase
    kind: Literal["government", "platform", "merchant_pool", "bank"]
    mode: Literal["cash", "pledge"]


@dataclass(frozen=True, slots=True)
class Edge:
    """An amount on its way. `funder` says whose it is, where that is known."""

    source: Funder | Stop
    target: Stop
    amount_fen: int
    funder: Funder | None = None


@dataclass(frozen=True, slots=True)
class MoneyFlow:
    """Where each fen went, from the funders to where it is now.

    Raises:
        InvariantViolatedError: a stop gives on another amount than came, or money stays nowhere.
    """

    edges: Sequence[Edge]

    def __post_init__(self) -> None:
        for edge in self.edges:
            invariant(edge.amount_fen >= 0, f"{edge.source} gives {edge.target} less than nothing")
            if isinstance(edge.source, Stop):
                invariant(edge.source in THROUGH, f"money leaves {edge.source}, where it stays")
                onward = THROUGH[edge.source] < THROUGH.get(edge.target, len(Stop))
                invariant(onward, f"money goes back from {edge.source} to {edge.target}")
        for stop in THROUGH:
            came_fen, went_fen = self.came_fen(stop), self.went_fen(stop)
            invariant(came_fen == went_fen, f"{came_fen} fen came to {stop}, {went_fen} went on")
        invariant(self.put_in_fen > 0, "nobody put money in")
        stayed_fen = sum(self.came_fen(stop) for stop in Stop if stop not in THROUGH)
        invariant(
            stayed_fen == self.put_in_fen,
            f"{self.put_in_fen} fen were put in, {stayed_fen} are accounted for",
        )

    @property
    def put_in_fen(self) -> int:
        return sum(edge.amount_fen for edge in self.edges if isinstance(edge.source, Funder))

    def came_fen(self, stop: Stop) -> int:
        return sum(edge.amount_fen for edge in self.edges if edge.target is stop)

    def went_fen(self, source: Funder | Stop) -> int:
        return sum(edge.amount_fen for edge in self.edges if edge.source == source)


@dataclass(frozen=True, slots=True)
class Leverage:
    """Sums over the orders that a voucher was redeemed on.

    `voucher_fen` is what the vouchers gave, `min_spend_fen` the least that their rules asked for,
    `order_fen` the orders before discount, `paid_fen` what residents paid of them.
    """

    voucher_fen: int
    min_spend_fen: int
    order_fen: int
    paid_fen: int

    def __post_init__(self) -> None:
        invariant(self.voucher_fen > 0, "leverage needs a redeemed voucher")

    @property
    def floor(self) -> float:
        return self.min_spend_fen / self.voucher_fen

    @property
    def gross(self) -> float:
        return self.order_fen / self.voucher_fen

    @property
    def out_of_pocket(self) -> float:
        return self.paid_fen / self.voucher_fen


@dataclass(frozen=True, slots=True)
class BreakLine:
    """A difference. `diff_fen` is what the account has more than the books say.

    `type` and `resolved` (the break's state) are the ledger's words. `planted` says that the demo
    put it there, and `found` False that the reconciliation did not see what was planted.
    """

    type: str
    diff_fen: int
    planted: bool
    resolved: str
    found: bool = True


@dataclass(frozen=True, slots=True)
class ReconciliationLine:
    statement: str
    format: StatementFormat
    day: date
    rows: int
    matched: int
    breaks: Sequence[BreakLine]
    result_hash: str


@dataclass(frozen=True, slots=True)
class SettlementLine:
    """`batches` and `rejected_then_paid` are of the bank rail, `uncertain_first` of the other.

    They count payouts that a bank sent back and that were paid after all, and payments of which the
    operator had to be asked before anything was certain.
    """

    batches: int
    payouts: int
    paid_fen: int
    rejected_then_paid: int
    uncertain_first: int = 0


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """What went back: over the bank, out of the wallet, or as a promise that is no longer asked."""

    funder: Funder
    amount_fen: int
    way: ReturnWay


@dataclass(frozen=True, slots=True)
class ProgrammeStory:
    """One programme as it was played. `source_note` says what of it is real, and who tells it.

    `leverage` is None where nothing was redeemed, `sold_out_after_s` where packs were left.
    """

    name: Phrase
    city: Phrase
    city_code: str
    rail: Rail
    packs: int
    residents: int
    pack_face_fen: int
    source_note: Phrase
    claims_per_second: Sequence[Second]
    stock: Sequence[Stock]
    latency: Sequence[LatencyLine]
    sold_out_after_s: float | None
    requests_per_s_peak: int
    redemptions_by_day: Sequence[DayLine]
    money: MoneyFlow
    leverage: Leverage | None
    reconciliation: Sequence[ReconciliationLine]
    settlement: SettlementLine
    returns: Sequence[ReturnLine]

    @property
    def redemptions(self) -> int:
        return sum(line.redemptions for line in self.redemptions_by_day)

    @property
    def breaks(self) -> list[BreakLine]:
        return [found for line in self.reconciliation for found in line.breaks]

    @property
    def parked_fen(self) -> tuple[int, int]:
        """What differences were booked as over and as short, until they are explained."""
        booked = [one.diff_fen for one in self.breaks if one.found and one.resolved == "posted"]
        return sum(fen for fen in booked if fen > 0), sum(fen for fen in booked if fen < 0)


@dataclass(frozen=True, slots=True)
class CheckLine:
    """An invariant, as the audit names it, and how many rows break it."""

    name: str
    description: str
    offenders: int


@dataclass(frozen=True, slots=True)
class Story:
    """Everything. `machine` says what it ran on; `notes` is what else the reader should know."""

    made_at: datetime
    commit: str | None
    machine: str
    programmes: Sequence[ProgrammeStory]
    checks: Sequence[CheckLine]
    notes: Sequence[Phrase] = ()

    @property
    def offenders(self) -> int:
        return sum(check.offenders for check in self.checks)
