"""Ratios: each to the echo of its own round."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.bench import report
from loadtests.bench.figures import (
    ECHO,
    SOLD_OUT,
    WON_BY_PASS,
    Figure,
    Measured,
    Round,
    Spread,
    measure,
    wrong_answers,
)
from loadtests.bench.pinning import Pinning, Scheduled, scheduled
from loadtests.bench.wrk import Load, Run
from loadtests.faults import LoadTestError
from loadtests.provenance import Provenance, keep_result

MADE_AT = datetime(2026, 5, 1, 2, tzinfo=UTC)
ORIGIN = Provenance(
    command="python -m loadtests.bench",
    commit="0123abc",
    dirty=True,
    cpu="Some CPU",
    cores=2,
    memory_gib=8.0,
    system="Linux 6.1",
    python="3.11.7",
    load_before=0.1,
)


QUIET = Scheduled(ran_s=1.0, waited_s=0.0)


def run_of(
    count: int, answer: str, *, p99_ms: float = 9.0, server: Scheduled | None = QUIET
) -> Run:
    return Run(
        duration_s=2.0,
        p50_ms=5.0,
        p99_ms=p99_ms,
        socket_errors=1,
        server=server,
        answers=Counter({answer: count}),
    )


def rounds_of(echoes: Sequence[int], figure: Figure, counts: Sequence[int]) -> list[Round]:
    return [
        {ECHO: run_of(echo, "200"), figure: run_of(count, figure.answer, p99_ms=count / 10)}
        for echo, count in zip(echoes, counts, strict=True)
    ]


def test_a_ratio_is_taken_within_its_round() -> None:
    # The machine slowed down fourfold: the rates spread, the ratios do not.
    measured = measure(WON_BY_PASS, rounds_of([400, 200, 100], WON_BY_PASS, [800, 400, 100]))
    assert measured.per_second == Spread(200.0, 50.0, 400.0)
    assert measured.ratio == Spread(2.0, 1.0, 2.0)
    assert measured.p99_ms == Spread(40.0, 10.0, 80.0)
    assert measured.answers == {"201": 1300}
    assert measured.socket_errors == 3
    assert measured.server_us == Spread(2500.0, 1250.0, 10000.0)


def test_other_answers_do_not_count_for_a_figure() -> None:
    run = run_of(10, "201")
    run.answers["503 busy"] = 30
    measured = measure(WON_BY_PASS, [{ECHO: run_of(10, "200"), WON_BY_PASS: run}])
    assert measured.ratio == Spread(1.0, 1.0, 1.0)


def test_processor_time_that_nothing_tells_is_unknown() -> None:
    run = run_of(10, "201", server=None)
    measured = measure(WON_BY_PASS, [{ECHO: run_of(1, "200"), WON_BY_PASS: run}])
    assert measured.server_us is None
    assert measured.waited_share is None
    assert "unknown" in printed([measured])


@pytest.mark.parametrize(("echo", "won"), [(0, 10), (10, 0)])
def test_a_round_without_answers_is_no_round(echo: int, won: int) -> None:
    with pytest.raises(LoadTestError, match="a round without"):
        measure(WON_BY_PASS, rounds_of([10, echo], WON_BY_PASS, [10, won]))


def test_wrong_answers_are_named_and_a_busy_service_is_none() -> None:
    run = run_of(10, "409 sold_out")
    run.answers.update({"503 busy": 4, "503 overloaded": 1})
    assert wrong_answers(SOLD_OUT, run) == []
    run.answers.update({"201": 1, "500 internal": 2})
    assert wrong_answers(SOLD_OUT, run) == [
        f"{SOLD_OUT.title}: 1 answers '201'",
        f"{SOLD_OUT.title}: 2 answers '500 internal'",
    ]
    assert wrong_answers(WON_BY_PASS, run_of(1, "200")) != []


def test_processor_time_of_a_process_is_read() -> None:
    before = scheduled(os.getpid())
    if before is None:
        pytest.skip("this system does not tell")
    sum(range(20_000_000))
    after = scheduled(os.getpid())
    assert after is not None
    assert after.ran_s - before.ran_s >= 0.1
    assert after.waited_s >= before.waited_s


def test_the_result_is_kept_with_its_origin(tmp_path: Path) -> None:
    measured = [
        measure(figure, rounds_of([100, 200], WON_BY_PASS, [150, 300]))
        for figure in (ECHO, WON_BY_PASS)
    ]
    content = report.document(
        measured,
        load=Load(connections=64, threads=1, seconds=3),
        rounds=2,
        pinning=Pinning(0, frozenset({1})),
        made_at=MADE_AT,
        origin=ORIGIN,
    )
    path = keep_result("bench", content, tmp_path / "results", made_at=MADE_AT, commit="0123abc")
    assert path.name == "bench-2026-05-01-0123abc.json"
    kept = json.loads(path.read_text())
    assert kept["origin"]["dirty"] is True
    assert kept["load"] == {
        "generator": "wrk",
        "connections": 64,
        "threads": 1,
        "seconds": 3,
        "rounds": 2,
    }
    won = kept["figures"]["won_by_pass"]
    assert won["ratio_to_echo"] == {"median": 1.5, "low": 1.5, "high": 1.5}
    assert won["per_second"] == {"median": 112.5, "low": 75.0, "high": 150.0}
    assert won["answers"] == {"201": 450}


def printed(measured: list[Measured]) -> str:
    file = StringIO()
    console = Console(width=120, file=file)
    console.print(report.table(measured))
    report.print_notes(console, measured)
    return file.getvalue()


def test_the_table_shows_medians_and_their_range() -> None:
    shown = printed([measure(WON_BY_PASS, rounds_of([100, 200], WON_BY_PASS, [3000, 9000]))])
    assert "3,000" in shown
    assert "1,500-4,500" in shown
    assert "30.00-45.00" in shown
    assert "12,000 x 201; 2 socket errors" in shown
    assert "Something else was running" not in shown


def test_a_busy_machine_is_told() -> None:
    run = run_of(10, "201", server=Scheduled(ran_s=1.0, waited_s=0.5))
    measured = measure(WON_BY_PASS, [{ECHO: run_of(10, "200"), WON_BY_PASS: run}])
    assert measured.waited_share == 0.25
    assert "waited for its core 25% of the time" in printed([measured])
