"""Rates as ratios: what one run's machine does is compared with nothing but itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

from loadtests.bench.wrk import Run
from loadtests.faults import LoadTestError


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that is measured: how many of one answer come in a second."""

    name: str
    answer: str
    meaning: str

    @property
    def title(self) -> str:
        return self.name.replace("_", " ")


ECHO = Figure("echo", "200", "the reference, a FastAPI route that returns its pydantic body")
WON_BY_PASS = Figure("won_by_pass", "201", "durable claims, each of a new holder with a pass")
WON_BY_JWT = Figure("won_by_jwt", "201", "the same with a new JWT each: verified, person minted")
SOLD_OUT = Figure("sold_out", "409 sold_out", "refusals from the flag, by pass")
FIGURES = (ECHO, WON_BY_PASS, WON_BY_JWT, SOLD_OUT)

Round = Mapping[Figure, Run]

# A busy service may ask a client to come again; that is no claim, but no mistake either.
_ASKED_TO_RETRY = frozenset({"503 busy", "503 overloaded"})


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the smallest and the largest of its values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure over all rounds. A ratio is taken to the echo of the same round.

    `server_us` is the server's processor time for one answer, `waited_share` the part of the time
    that it wanted to run and could not, because the core was somebody else's: then rates say
    little, and processor time still says something.
    """

    figure: Figure
    per_second: Spread
    ratio: Spread
    server_us: Spread | None
    waited_share: float | None
    p50_ms: Spread
    p99_ms: Spread
    answers: Counter[str]
    socket_errors: int


def measure(figure: Figure, rounds: Sequence[Round]) -> Measured:
    """Put the rounds of a figure together. Raises LoadTestError when a round has none."""
    runs = [one[figure] for one in rounds]
    rates = [run.per_second(figure.answer) for run in runs]
    echoes = [one[ECHO].per_second(ECHO.answer) for one in rounds]
    if not all(rates) or not all(echoes):
        seen = [dict(run.answers) for run in runs]
        raise LoadTestError(f"{figure.title}: a round without one such answer, or echo: {seen}")
    costs = [cost for run in runs if (cost := run.server_us()) is not None]
    waits = [run.server.waited_s for run in runs if run.server is not None]
    told = len(costs) == len(waits) == len(runs)
    return Measured(
        figure=figure,
        per_second=Spread.of(rates),
        ratio=Spread.of([rate / echo for rate, echo in zip(rates, echoes, strict=True)]),
        server_us=Spread.of(costs) if told else None,
        waited_share=sum(waits) / sum(run.duration_s for run in runs) if told else None,
        p50_ms=Spread.of([run.p50_ms for run in runs]),
        p99_ms=Spread.of([run.p99_ms for run in runs]),
        answers=sum((run.answers for run in runs), Counter()),
        socket_errors=sum(run.socket_errors for run in runs),
    )


def wrong_answers(figure: Figure, run: Run) -> list[str]:
    """Return what a run was told that it must not be told."""
    expected = {figure.answer} | _ASKED_TO_RETRY
    return [
        f"{figure.title}: {count} answers {answer!r}"
        for answer, count in sorted(run.answers.items())
        if answer not in expected
    ]
