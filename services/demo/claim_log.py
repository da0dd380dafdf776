"""What the crowd was told, kept by the crowd's side: the evidence that the ledger is held to."""

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass, field

WON = "won"
WON_BEFORE = "won_before"
NO_ANSWER = "no_answer"
SOLD_OUT = "sold_out"


@dataclass(frozen=True, slots=True)
class Yes:
    """A claim that a resident was told to have."""

    holder: int
    claim_id: str
    serial: int


@dataclass(frozen=True, slots=True)
class Voucher:
    """A voucher of a claim, as its holder was told."""

    voucher_id: str
    category: str
    face_fen: int
    min_spend_fen: int


@dataclass(slots=True)
class ClaimLog:
    """Every answer of a drop; times are seconds after T-0.

    `on_the_wire_ms` are the times from sending a request to its answer, by what was answered.
    `from_tap_ms` also count the wait for a free connection of this machine.
    """

    yeses: list[Yes] = field(default_factory=list)
    packs: dict[int, tuple[Voucher, ...]] = field(default_factory=dict)
    claims: set[str] = field(default_factory=set)
    noes: list[tuple[int, str]] = field(default_factory=list)
    undecided: list[int] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    asked_in_second: Counter[int] = field(default_factory=Counter)
    won_at_s: "array[float]" = field(default_factory=lambda: array("d"))
    on_the_wire_ms: "defaultdict[str, array[float]]" = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )
    from_tap_ms: "defaultdict[str, array[float]]" = field(
        default_factory=lambda: defaultdict(lambda: array("d"))
    )
    page_views: int = 0
    page_remaining: int | None = None
    retries: int = 0
    last_win_s: float | None = None
    asked_until_last_win: int = 0
    _answered_since_opening: int = 0

    @property
    def requests(self) -> int:
        return self.answers.total()

    def told_yes(self, yes: Yes) -> bool:
        """Note a claim that somebody was told to have; return whether it was the first time.

        Two requests of one holder that are under way together may both be told 201.
        """
        self.yeses.append(yes)
        heard = yes.claim_id in self.claims
        self.claims.add(yes.claim_id)
        return not heard

    def timed(self, code: str, *, tapped_s: float, sent_s: float, answered_s: float) -> None:
        """Note one answer, or that none came."""
        self.answers[code] += 1
        self.on_the_wire_ms[code].append((answered_s - sent_s) * 1000)
        self.from_tap_ms[code].append((answered_s - tapped_s) * 1000)
        self.asked_in_second[int(answered_s // 1)] += 1
        if answered_s >= 0:
            self._answered_since_opening += 1
        if code == WON:
            self.won_at_s.append(answered_s)
            self.last_win_s = answered_s
            self.asked_until_last_win = self._answered_since_opening
