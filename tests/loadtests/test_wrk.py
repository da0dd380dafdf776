"""Reading back what wrk and its scripts report."""

import shutil
from pathlib import Path

import pytest

from loadtests.bench import wrk
from loadtests.bench.pinning import Scheduled
from loadtests.bench.wrk import Run, parse_summary, read_answers
from loadtests.faults import LoadTestError
from loadtests.verdict import Acknowledged

REPORT = """\
Running 3s test @ http://127.0.0.1:40571/v1/drops/0197a3c2/claims
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     5.51ms    2.02ms  70.69ms   93.24%
    Req/Sec    11.80k     0.97k   13.02k    76.67%
  35302 requests in 3.00s, 29.02MB read
  Non-2xx or 3xx responses: 12
Requests/sec:  11754.15
Transfer/sec:      9.66MB
{"duration_us":3003364,"requests":35302,"socket_errors":2,"p50_us":5031,"p99_us":12535}
"""


def empty() -> Run:
    return Run(duration_s=2.0, p50_ms=1.0, p99_ms=2.0, socket_errors=0)


def test_the_summary_is_the_last_line() -> None:
    run = parse_summary(REPORT)
    assert (run.duration_s, run.socket_errors) == (3.003364, 2)
    assert (run.p50_ms, run.p99_ms) == (5.031, 12.535)


@pytest.mark.parametrize(
    "output", ["", "unable to connect to 127.0.0.1:1 Connection refused\n", '{"requests": 3}\n']
)
def test_a_report_without_a_summary_is_no_run(output: str) -> None:
    with pytest.raises(LoadTestError, match="no summary"):
        parse_summary(output)


def test_answers_are_counted_by_status_and_code() -> None:
    run = empty()
    read_answers(run, ["201 0197-a 1\n", "409 sold_out\n", "201 0197-b 2\n", "409 sold_out\n"])
    read_answers(run, ["503 busy\n", "200 \n", "200 0197-a 1\n"])
    assert run.answers == {"201": 2, "409 sold_out": 2, "503 busy": 1, "200": 2}
    assert run.acknowledged == [
        Acknowledged("0197-a", 1),
        Acknowledged("0197-b", 2),
        Acknowledged("0197-a", 1),
    ]
    assert run.per_second("201") == 1.0
    assert not run.exhausted


def test_a_thread_without_tokens_says_so() -> None:
    run = empty()
    read_answers(run, ["201 0197-a 1\n", "exhausted \n"])
    assert run.exhausted
    assert run.answers == {"201": 1}


def test_a_win_that_cannot_be_read_is_not_counted() -> None:
    with pytest.raises(LoadTestError, match="answered with 201"):
        read_answers(empty(), ["201 unreadable\n"])


def test_processor_time_is_told_per_answer() -> None:
    run = empty()
    run.answers.update({"201": 8_000, "503 busy": 2_000})
    assert run.server_us() is None
    run.server = Scheduled(ran_s=1.5, waited_s=0.1)
    assert run.server_us() == 150.0


def test_without_wrk_and_root_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LoadTestError, match=r"apt-get install wrk.*brew install wrk"):
        wrk.find_or_install()


def test_every_script_is_there() -> None:
    scripts = Path(wrk.__file__).parent
    assert {path.name for path in scripts.glob("*.lua")} == {"answers.lua", "claim.lua", "echo.lua"}
