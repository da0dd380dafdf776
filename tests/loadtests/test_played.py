"""A very small drop and its vouchers at the tills under Locust, from the command to the audit."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from loadtests.drop.record import Plan, Record
from loadtests.handing_over import dump, load
from loadtests.planning import PACK_VOUCHERS
from loadtests.tills.playing import cast_customers
from loadtests.tills.record import Record as TillsRecord
from loadtests.tills.scenes import SCENES, SHARES

REPOSITORY = Path(__file__).parents[2]


def test_a_small_one_is_sound(tmp_path: Path) -> None:
    options = {"--users": 100, "--packs": 20, "--tills": 8, "--customers-per-s": 100}
    played = subprocess.run(
        [
            *(sys.executable, "-m", "loadtests", "--results", str(tmp_path)),
            *(str(text) for option in options.items() for text in option),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert "exactly once; every invariant holds" in played.stdout
    [path] = tmp_path.iterdir()
    kept = json.loads(path.read_text())
    claims = kept["drop"]["answers"]
    assert claims["201"] == 20
    assert claims["200"] == 20  # each winner asked again
    assert claims["sold_out"] == 80
    # A hundred vouchers: the shares of the scenes are their numbers.
    told = kept["tills"]["answers"]
    assert kept["tills"]["customers"] == 100
    two, twice = SHARES["two_tills"], SHARES["duplicate"]
    assert told["redemptions already_redeemed"] == two
    assert told["redemptions idempotency_key_reused"] == twice
    assert told["redemptions held_elsewhere"] == SHARES["hold_and_capture"]
    assert told["redemptions below_min_spend"] == SHARES["too_small"]
    assert told["redemptions held"] == SHARES["hold_and_capture"] + SHARES["hold_and_release"]
    assert told["capture captured"] == SHARES["hold_and_capture"]
    assert told["release released"] == 2 * SHARES["hold_and_release"]
    assert told["reversals reversed"] == 2 * SHARES["reversed_afterwards"]
    assert told["reversals never_happened"] == SHARES["reversed_before"]
    assert told["redemptions reversed"] == (
        SHARES["reversed_afterwards"] + SHARES["reversed_before"]
    )
    in_one_step = 100 - SHARES["hold_and_capture"] - SHARES["hold_and_release"]
    assert told["redemptions captured"] == in_one_step + 2 * twice


def test_every_scene_has_its_customers() -> None:
    assert SHARES.keys() == SCENES.keys()
    customers = cast_customers([f"claim-{n}" for n in range(40)])
    assert len({(claim, position) for claim, position, _ in customers}) == 40 * PACK_VOUCHERS
    assert Counter(scene for *_, scene in customers) == {s: 2 * n for s, n in SHARES.items()}
    assert customers == cast_customers([f"claim-{n}" for n in range(40)])


def test_plans_and_records_survive_the_way_to_locust(tmp_path: Path) -> None:
    path = tmp_path / "handed over"
    plan = Plan("drop", 1_700_000_000_000_000, 3, "/tokens")
    dump(plan, path)
    assert load(Plan, path) == plan
    record = Record(started=3, finished=2, answers=Counter({"201": 2, "busy": 1}))
    record.acknowledged.append(("claim-1", 1))
    record.final_answer_ms.append(12.5)
    dump(record, path)
    assert load(Record, path) == record
    told = TillsRecord(served=1, redemptions={"r": "captured"}, answers=Counter({"captured": 1}))
    dump(told, path)
    assert load(TillsRecord, path) == told
