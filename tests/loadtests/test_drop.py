"""A very small drop under Locust, from the command line to the audit."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from loadtests.drop.record import Plan, Record, dump_plan, dump_record, load_plan, load_record

REPOSITORY = Path(__file__).parents[2]


def test_a_small_drop_is_sound() -> None:
    played = subprocess.run(
        [sys.executable, "-m", "loadtests.drop", "--users", "100", "--packs", "20"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert "100 residents for 20 packs" in played.stdout
    assert "Every acknowledged claim is in the ledger once" in played.stdout
    answers = Counter(
        {
            words[words.index("answered") + 1]: int(words[-2])
            for line in played.stdout.splitlines()
            if "answered" in (words := line.split())
        }
    )
    assert answers["201"] == 20
    assert answers["200"] == 20  # each winner asked again
    assert answers["sold_out"] == 80


def test_plan_and_record_survive_the_way_to_locust(tmp_path: Path) -> None:
    plan = Plan("drop", 1_700_000_000_000_000, 3, "/tokens", "/record")
    dump_plan(plan, tmp_path / "plan")
    assert load_plan(tmp_path / "plan") == plan
    record = Record(started=3, finished=2, answers=Counter({"201": 2, "busy": 1}))
    record.acknowledged.append(("claim-1", 1))
    record.final_answer_ms.append(12.5)
    dump_record(record, tmp_path / "record")
    assert load_record(tmp_path / "record") == record
