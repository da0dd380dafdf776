"""Judging what residents were told against what the ledger holds. Pure: no I/O.

A call is invoked and ends ok (a claim), refused (for good, or "ask again"), or unknown (the
connection broke). An unknown call may have happened or not, but never twice.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

FINAL_CODES: Final = frozenset({"sold_out", "closed", "limit_reached"})
RETRY_STATUSES: Final = frozenset({423, 425, 429, 503})
WON_STATUSES: Final = frozenset({200, 201})
STATEMENT_LAG: Final = timedelta(seconds=1.5)
"""A refusal may rest on what the ledger stated up to a second ago, and on the way it took."""
_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class Call:
    """One request and its answer; `status` is None when the connection broke: nothing is known."""

    holder: str
    key: str
    started: datetime
    ended: datetime
    status: int | None
    code: str | None = None
    claim_id: str | None = None
    serial: int | None = None
    body: bytes = b""

    @property
    def won(self) -> bool:
        return self.status in WON_STATUSES

    @property
    def refused(self) -> bool:
        """Whether the resident was told "no" for good."""
        return self.code in FINAL_CODES

    @property
    def final(self) -> bool:
        return self.won or self.refused

    @property
    def expected(self) -> bool:
        """Whether the contract knows such an answer to a claim."""
        return self.status is None or self.final or self.status in RETRY_STATUSES

    @property
    def took_ms(self) -> float:
        return (self.ended - self.started).total_seconds() * 1000

    def __str__(self) -> str:
        told = self.code or self.claim_id or "nothing"
        return (
            f"{self.holder}/{self.key or '-'} {self.started:%H:%M:%S.%f}-{self.ended:%S.%f}"
            f" {self.status} {told}"
        )


@dataclass(slots=True)
class History:
    """Everything a crowd was told. `asked` holds who wanted something, answered or not."""

    calls: list[Call] = field(default_factory=list)
    asked: set[tuple[str, str]] = field(default_factory=set)
    in_flight: int = 0

    def add(self, call: Call) -> None:
        self.calls.append(call)

    @property
    def wins(self) -> list[Call]:
        return [call for call in self.calls if call.won]

    @property
    def unknown(self) -> list[Call]:
        return [call for call in self.calls if call.status is None]

    @property
    def winners(self) -> dict[tuple[str, str], Call]:
        """The first win of each holder and key."""
        first: dict[tuple[str, str], Call] = {}
        for call in self.calls:
            if call.won:
                first.setdefault((call.holder, call.key), call)
        return first

    def in_flight_at(self, moment: datetime) -> list[Call]:
        """Return the calls that were begun before a moment and answered after it."""
        return [call for call in self.calls if call.started < moment < call.ended]

    def told(self) -> Counter[str]:
        """Count the answers by code; wins by status, broken connections as `unknown`."""
        return Counter(call.code or str(call.status or "unknown") for call in self.calls)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row of the ledger's claims, its holder named as the crowd names it."""

    claim_id: str
    holder: str
    key: str
    serial: int
    claimed_at: datetime
    released_at: datetime | None = None

    @property
    def live(self) -> bool:
        return self.released_at is None


@dataclass(frozen=True, slots=True)
class Moment:
    """How a drop stood from `at` on, until the next version."""

    at: datetime
    quota: int
    live: int
    state: str

    @property
    def free(self) -> int:
        return self.quota - self.live


@dataclass(frozen=True, slots=True)
class LedgerDrop:
    """A drop as the ledger has it; `moments` are its versions in order."""

    limit: int
    quota: int
    issued: int
    live: int
    opens_at: datetime
    closes_at: datetime
    reclaim: bool
    claims: Sequence[Claimed]
    moments: Sequence[Moment]

    @property
    def stock_came_back(self) -> bool:
        """Whether packs were free again after there were none."""
        return any(before.free <= 0 < after.free for before, after in pairwise(self.moments))

    def stood(self, call: Call, holds: Callable[[Moment], bool]) -> bool:
        """Return whether something held at some time that the call's answer may rest on."""
        first = bisect_right(self.moments, call.started - STATEMENT_LAG, key=lambda m: m.at) - 1
        last = bisect_right(self.moments, call.ended, key=lambda m: m.at)
        return any(holds(moment) for moment in self.moments[max(first, 0) : last])


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and by what."""

    promise: str
    evidence: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.evidence}"


def violations(history: History, ledger: LedgerDrop) -> list[Violation]:
    """Return every broken promise; an empty list means that the history is sound."""
    return [
        Violation(check.__name__.removeprefix("_").replace("_", " "), evidence)
        for check in _CHECKS
        for evidence in check(history, ledger)
    ]


def assert_sound(history: History, ledger: LedgerDrop) -> None:
    """Fail with the broken promises, a few of each."""
    found = violations(history, ledger)
    if not found:
        return
    shown: dict[str, list[str]] = defaultdict(list)
    for violation in found:
        shown[violation.promise].append(violation.evidence)
    lines = [
        f"  {promise} ({len(evidence)} times)\n    " + "\n    ".join(evidence[:_SHOWN_MAX])
        for promise, evidence in shown.items()
    ]
    raise AssertionError("\n".join([f"of {dict(history.told())}:", *lines]))


def _every_answer_is_of_the_contract(history: History, _ledger: LedgerDrop) -> Iterator[str]:
    for call in history.calls:
        if not call.expected:
            yield f"{call} {call.body[:200]!r}"


def _everybody_is_answered(history: History, _ledger: LedgerDrop) -> Iterator[str]:
    answered = {(call.holder, call.key) for call in history.calls if call.final}
    for holder, key in sorted(history.asked - answered):
        last = [call for call in history.calls if (call.holder, call.key) == (holder, key)][-1:]
        yield f"{holder}/{key or '-'} was last told: {last[0] if last else 'nothing at all'}"


def _serials_are_gap_free(_history: History, ledger: LedgerDrop) -> Iterator[str]:
    serials = Counter(claim.serial for claim in ledger.claims)
    missing = set(range(1, ledger.issued + 1)) - serials.keys()
    if missing:
        yield f"missing {sorted(missing)[:10]} of 1..{ledger.issued}"
    for serial, times in serials.items():
        if times > 1 or not 1 <= serial <= ledger.issued:
            yield f"serial {serial} {times} times, issued {ledger.issued}"


def _claim_ids_are_distinct(_history: History, ledger: LedgerDrop) -> Iterator[str]:
    for claim_id, times in Counter(claim.claim_id for claim in ledger.claims).items():
        if times > 1:
            yield f"{claim_id} {times} times"


def _nothing_is_oversold(_history: History, ledger: LedgerDrop) -> Iterator[str]:
    for moment in ledger.moments:
        if moment.free < 0:
            yield f"{moment.live} live of {moment.quota} at {moment.at:%H:%M:%S.%f}"
    if ledger.live != sum(claim.live for claim in ledger.claims):
        yield f"the drop counts {ledger.live} live claims, there are others"


def _nobody_holds_more_than_the_limit(_history: History, ledger: LedgerDrop) -> Iterator[str]:
    for holder, held in Counter(c.holder for c in ledger.claims if c.live).items():
        if held > ledger.limit:
            yield f"{holder} holds {held} of {ledger.limit}"
    live = [(claim.holder, claim.key) for claim in ledger.claims if claim.live]
    for (holder, key), held in Counter(live).items():
        if held > 1:
            yield f"one request, {holder}/{key or '-'}, holds {held}"


def _every_acknowledged_claim_exists(history: History, ledger: LedgerDrop) -> Iterator[str]:
    rows = {claim.claim_id: claim for claim in ledger.claims}
    for call in history.wins:
        row = rows.get(call.claim_id or "")
        if row is None:
            yield f"{call} is not in the ledger"
        elif (row.holder, row.key, row.serial) != (call.holder, call.key, call.serial):
            yield f"{call} with serial {call.serial} is {row} in the ledger"


def _a_claim_is_told_to_its_holder_alone(history: History, _ledger: LedgerDrop) -> Iterator[str]:
    told: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for call in history.wins:
        told[call.claim_id or ""].add((call.holder, call.key))
    for claim_id, askers in told.items():
        if len(askers) > 1:
            yield f"{claim_id} was told to {sorted(askers)}"


def _a_claim_is_told_the_same_way_always(history: History, _ledger: LedgerDrop) -> Iterator[str]:
    bodies: dict[str, bytes] = {}
    fresh: set[str] = set()
    for call in history.wins:
        claim_id = call.claim_id or ""
        if bodies.setdefault(claim_id, call.body) != call.body:
            yield f"{call}: {call.body!r} after {bodies[claim_id]!r}"
        if call.status == 201:
            if claim_id in fresh:
                yield f"{call}: 201 a second time"
            fresh.add(claim_id)


def _no_refusal_is_false(history: History, ledger: LedgerDrop) -> Iterator[str]:
    for call in history.calls:
        match call.code:
            case "sold_out":
                true = ledger.stood(call, lambda moment: moment.free <= 0)
            case "paused":
                true = ledger.stood(call, lambda moment: moment.state == "paused")
            case "closed":
                true = call.ended >= ledger.closes_at or ledger.stood(
                    call, lambda moment: moment.state == "closed"
                )
            case "not_open":
                true = call.started - STATEMENT_LAG < ledger.opens_at
            case _:
                continue
        if not true:
            yield f"{call}"


def _limits_are_reached_when_said_so(history: History, ledger: LedgerDrop) -> Iterator[str]:
    held: dict[str, list[Claimed]] = defaultdict(list)
    for claim in ledger.claims:
        held[claim.holder].append(claim)
    for call in history.calls:
        if call.code != "limit_reached":
            continue
        counted = [
            claim
            for claim in held[call.holder]
            if claim.claimed_at <= call.ended
            and (
                claim.released_at is None
                or claim.released_at > call.started - STATEMENT_LAG
                or not ledger.reclaim
            )
        ]
        if len(counted) < ledger.limit:
            yield f"{call}, who had {len(counted)} of {ledger.limit}"


def _nobody_refused_holds_what_they_asked_for(
    history: History, ledger: LedgerDrop
) -> Iterator[str]:
    """Where stock came back, a call that began before the claim may have been refused rightly."""
    made: dict[tuple[str, str], list[Claimed]] = defaultdict(list)
    for claim in ledger.claims:
        made[claim.holder, claim.key].append(claim)
    for call in history.calls:
        if not call.refused:
            continue
        for claim in made[call.holder, call.key]:
            given_back = claim.released_at is not None and claim.released_at <= call.ended
            later = ledger.stock_came_back and call.started <= claim.claimed_at
            if not given_back and not later:
                yield f"{call}, who holds {claim.claim_id} since {claim.claimed_at:%H:%M:%S.%f}"


_CHECKS: Final = (
    _every_answer_is_of_the_contract,
    _everybody_is_answered,
    _serials_are_gap_free,
    _claim_ids_are_distinct,
    _nothing_is_oversold,
    _nobody_holds_more_than_the_limit,
    _every_acknowledged_claim_exists,
    _a_claim_is_told_to_its_holder_alone,
    _a_claim_is_told_the_same_way_always,
    _no_refusal_is_false,
    _limits_are_reached_when_said_so,
    _nobody_refused_holds_what_they_asked_for,
)
