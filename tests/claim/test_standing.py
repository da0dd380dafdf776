"""What a process may say from memory, case by case."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import asyncpg
import pytest

from services.claim import gate_clock, standing
from services.claim.deciding import Ledger
from services.claim.definitions import Definition
from services.claim.gate_clock import GateClock
from services.claim.outcomes import Refusal, Refused
from services.claim.standing import Standing
from shared.gate.gate import Gate, connect
from shared.gate.statement import Statement
from shared.ids import new_id

OPENS_US, CLOSES_US = 1_000_000_000, 2_000_000_000
DURING_US = 1_500_000_000
# A claim of the last moment has surely been committed by then.
CLOSED_US = CLOSES_US + 250_000
SOLD_OUT = Statement(
    version=8,
    state="live",
    remaining=0,
    issued=10,
    quota=10,
    opens_us=OPENS_US,
    closes_us=CLOSES_US,
)
LOSER, WINNER = b"loser 1!", b"winner 1"


@dataclass
class StoppedClock:
    """Monotonic time as a test sets it."""

    s: float = 100.0

    def monotonic(self) -> float:
        return self.s

    def monotonic_us(self) -> int:
        return round(self.s * 1_000_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    clock = StoppedClock()
    monkeypatch.setattr(standing, "time", clock)
    monkeypatch.setattr(gate_clock, "monotonic_us", clock.monotonic_us)
    return clock


@pytest.fixture
async def drop(clock: StoppedClock) -> Standing:
    """A drop of which this process has heard nothing; its ledger and gate are never asked."""
    assert clock.s == 100
    definition = Definition(
        city_id=1,
        drop_id=new_id(1),
        programme_id=new_id(1),
        name="Friday",
        mode="grab",
        admission="open",
        opens_at=datetime.now(UTC),
        closes_at=datetime.now(UTC),
        limit_per_holder=1,
        pack=(),
    )
    nowhere = asyncpg.create_pool("postgresql://nobody@127.0.0.1:1/none")
    return Standing(definition, Ledger(nowhere), Gate(connect("redis://127.0.0.1:1")))


def hear(
    drop: Standing, statement: Statement, *, asked_s: float, winners: int | None = None
) -> None:
    """Adopt a statement, with the first `winners` serials listed as WINNER's."""
    assert drop.adopt(statement, asked_s=asked_s)
    if winners is not None:
        drop._winners.add(WINNER, winners)


class TestAdopt:
    def test_the_first_statement_is_held(self, drop: Standing, clock: StoppedClock) -> None:
        assert [drop.is_fresh] == [False]
        assert drop.adopt(SOLD_OUT, asked_s=clock.s)
        assert drop.statement == SOLD_OUT
        assert drop.is_fresh

    def test_it_is_fresh_for_a_second(self, drop: Standing, clock: StoppedClock) -> None:
        drop.adopt(SOLD_OUT, asked_s=clock.s)
        clock.s += 1
        assert [drop.is_fresh] == [True]
        clock.s += 0.001
        assert [drop.is_fresh] == [False]

    def test_the_second_begins_when_it_was_asked_for(
        self, drop: Standing, clock: StoppedClock
    ) -> None:
        """A process that was stopped, or an answer that was slow, does not make it younger."""
        asked_s = clock.s
        clock.s += 1.5
        drop.adopt(SOLD_OUT, asked_s=asked_s)
        assert drop.statement == SOLD_OUT
        assert not drop.is_fresh

    @pytest.mark.parametrize("version", [8, 9])
    def test_a_slow_answer_that_confirms_or_follows_takes_no_freshness_away(
        self, drop: Standing, clock: StoppedClock, version: int
    ) -> None:
        drop.adopt(SOLD_OUT, asked_s=clock.s)
        clock.s += 0.9
        assert drop.adopt(replace(SOLD_OUT, version=version), asked_s=clock.s - 5)
        assert drop.is_fresh
        clock.s += 0.2
        assert not drop.is_fresh

    def test_an_overtaken_statement_is_not_believed(
        self, drop: Standing, clock: StoppedClock
    ) -> None:
        asked_s = clock.s
        clock.s += 0.1
        drop.adopt(SOLD_OUT, asked_s=clock.s)
        clock.s += 0.1
        assert not drop.adopt(replace(SOLD_OUT, version=7, remaining=4), asked_s=asked_s)
        assert drop.statement == SOLD_OUT

    def test_a_ledger_that_went_back_is_believed(self, drop: Standing, clock: StoppedClock) -> None:
        hear(drop, SOLD_OUT, asked_s=clock.s, winners=10)
        clock.s += 0.1
        restored = replace(SOLD_OUT, version=3, remaining=6, issued=4)
        assert drop.adopt(restored, asked_s=clock.s)
        assert drop.statement == restored
        # Its serials 5 to 10 will be somebody else's: the list begins anew.
        assert drop._winners.issued == 0
        assert drop.may_have_won(LOSER)


STATED: list[tuple[dict[str, object], int | None, Refusal | None]] = [
    ({}, DURING_US, Refusal.SOLD_OUT),
    ({}, None, Refusal.SOLD_OUT),
    ({"remaining": 1}, DURING_US, None),
    ({"remaining": 1}, None, None),
    ({"remaining": 1}, OPENS_US - 1, Refusal.NOT_OPEN),
    ({"remaining": 1}, OPENS_US, None),
    ({"remaining": 1}, CLOSES_US - 1, None),
    ({"remaining": 1}, CLOSES_US, None),
    ({"remaining": 1}, CLOSED_US - 1, None),
    ({"remaining": 1}, CLOSED_US, Refusal.CLOSED),
    ({}, OPENS_US - 1, Refusal.NOT_OPEN),
    ({}, CLOSES_US, Refusal.SOLD_OUT),
    ({}, CLOSED_US, Refusal.CLOSED),
    ({"state": "paused"}, OPENS_US - 1, Refusal.PAUSED),
    ({"state": "paused"}, None, Refusal.PAUSED),
    ({"state": "paused"}, CLOSED_US, Refusal.CLOSED),
    ({"state": "closed"}, OPENS_US - 1, Refusal.CLOSED),
    ({"state": "closed", "remaining": 3}, None, Refusal.CLOSED),
]


class TestRefusal:
    @pytest.mark.parametrize(("changes", "now_us", "expected"), STATED)
    def test_what_a_statement_refuses(
        self,
        drop: Standing,
        changes: dict[str, object],
        now_us: int | None,
        expected: Refusal | None,
    ) -> None:
        drop.adopt(replace(SOLD_OUT, **changes), asked_s=100)  # type: ignore[arg-type]
        refused = drop.refusal(now_us)
        assert (refused.refusal if refused else None) is expected
        if refused is not None:
            assert (refused.opens_us is not None) == (expected is Refusal.NOT_OPEN)

    def test_closed_by_time_is_said_of_a_statement_that_lists_every_winner(
        self, drop: Standing, clock: StoppedClock
    ) -> None:
        """The statement was true before the drop closed: others may have won since."""
        drop.adopt(replace(SOLD_OUT, remaining=1), asked_s=clock.s)
        clock.s += 0.5
        assert drop.refusal(CLOSED_US + 499_999) is None
        assert drop.refusal(CLOSED_US + 500_000) == Refused(Refusal.CLOSED)

    def test_nothing_is_refused_before_the_ledger_spoke(self, drop: Standing) -> None:
        assert drop.refusal(DURING_US) is None
        assert drop.flagged(LOSER) is None


class TestFlagged:
    """A refusal from memory: fresh, stated, and never to somebody who may hold a claim."""

    @pytest.fixture(autouse=True)
    def gate_is_heard(self, drop: Standing, clock: StoppedClock) -> Iterator[None]:
        drop.clock.hear(DURING_US, asked_us=clock.monotonic_us())
        return iter([None])

    def test_a_loser_of_a_drop_that_is_sold_out(self, drop: Standing, clock: StoppedClock) -> None:
        hear(drop, SOLD_OUT, asked_s=clock.s, winners=10)
        assert drop.flagged(LOSER) == Refused(Refusal.SOLD_OUT)

    def test_a_winner_is_asked_about(self, drop: Standing, clock: StoppedClock) -> None:
        hear(drop, SOLD_OUT, asked_s=clock.s, winners=10)
        assert drop.flagged(WINNER) is None

    @pytest.mark.parametrize("listed", [None, 0, 9])
    def test_nobody_is_refused_while_winners_are_not_listed(
        self, drop: Standing, clock: StoppedClock, listed: int | None
    ) -> None:
        hear(drop, SOLD_OUT, asked_s=clock.s, winners=listed)
        assert drop.flagged(LOSER) is None

    def test_an_old_statement_refuses_nobody(self, drop: Standing, clock: StoppedClock) -> None:
        hear(drop, SOLD_OUT, asked_s=clock.s, winners=10)
        clock.s += 1.01
        assert drop.flagged(LOSER) is None

    @pytest.mark.parametrize("state", ["paused", "closed"])
    def test_other_states_spare_winners_too(
        self, drop: Standing, clock: StoppedClock, state: str
    ) -> None:
        hear(drop, replace(SOLD_OUT, state=state), asked_s=clock.s, winners=10)
        assert drop.flagged(LOSER) == Refused(Refusal(state))
        assert drop.flagged(WINNER) is None

    def test_packs_that_are_left_are_never_refused(
        self, drop: Standing, clock: StoppedClock
    ) -> None:
        hear(drop, replace(SOLD_OUT, remaining=1), asked_s=clock.s, winners=10)
        assert drop.flagged(LOSER) is None


class TestFlaggedBeforeOpening:
    """The gate says when a drop opens; memory says "not yet" only while that is certain."""

    def ahead(
        self, drop: Standing, clock: StoppedClock, *, by_us: int, answer_took_s: float = 0
    ) -> None:
        """Hear of a drop that opens `by_us` after what the gate's clock showed."""
        unsold = replace(SOLD_OUT, remaining=10, issued=0)
        asked_us = clock.monotonic_us()
        clock.s += answer_took_s
        hear(drop, unsold, asked_s=clock.s)
        drop.clock.hear(OPENS_US - by_us, asked_us=asked_us)

    def test_long_before(self, drop: Standing, clock: StoppedClock) -> None:
        self.ahead(drop, clock, by_us=10_000_000)
        assert drop.flagged(LOSER) == Refused(Refusal.NOT_OPEN, opens_us=OPENS_US)

    @pytest.mark.parametrize("by_us", [50_000, 1, 0, -1])
    def test_from_shortly_before_on_the_gate_is_asked(
        self, drop: Standing, clock: StoppedClock, by_us: int
    ) -> None:
        self.ahead(drop, clock, by_us=by_us - 1)
        assert drop.flagged(LOSER) is None

    def test_time_goes_on_between_two_answers(self, drop: Standing, clock: StoppedClock) -> None:
        self.ahead(drop, clock, by_us=500_000)
        assert drop.flagged(LOSER) is not None
        clock.s += 0.5
        assert drop.flagged(LOSER) is None

    def test_the_way_of_a_slow_answer_counts(self, drop: Standing, clock: StoppedClock) -> None:
        """The gate looked at its clock some time in those 0.8 s: it may be open already."""
        self.ahead(drop, clock, by_us=800_000, answer_took_s=0.8)
        assert drop.flagged(LOSER) is None

    def test_a_clock_that_was_not_heard_for_a_second_says_nothing(
        self, drop: Standing, clock: StoppedClock
    ) -> None:
        """Readers of the drop keep the statement fresh; the clock may have been moved."""
        self.ahead(drop, clock, by_us=3_600_000_000)
        clock.s += 1.1
        hear(drop, replace(SOLD_OUT, remaining=10, issued=0), asked_s=clock.s)
        assert drop.flagged(LOSER) is None


class TestGateClock:
    def test_both_bounds(self, clock: StoppedClock) -> None:
        heard = GateClock()
        assert (heard.earliest_us(), heard.latest_us()) == (None, None)
        asked_us = clock.monotonic_us()
        clock.s += 0.25
        heard.hear(7_000_000, asked_us=asked_us)
        clock.s += 0.5
        assert (heard.earliest_us(), heard.latest_us()) == (7_500_000, 7_750_000)
        clock.s += 0.51
        assert (heard.earliest_us(), heard.latest_us()) == (None, None)
