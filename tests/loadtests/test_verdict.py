"""A load test must be able to find what it looks for."""

import pytest

from loadtests.drop.record import Record
from loadtests.drop.report import faults_of_crowd
from loadtests.percentiles import percentile, summary
from loadtests.tills.record import Record as TillsRecord
from loadtests.tills.report import faults_of_crowd as faults_of_tills
from loadtests.verdict import Acknowledged, Redeemed, broken, compare, compare_redemptions
from shared.bookkeeping.invariants import Check

CLAIMS = [Acknowledged(f"claim-{serial}", serial) for serial in (1, 2, 3)]


def test_what_everybody_was_told_of_is_sound() -> None:
    assert compare(CLAIMS, CLAIMS, quota=3, unheard_max=0) == []


def test_a_lost_claim_is_found() -> None:
    [fault] = compare(CLAIMS[:2], CLAIMS, quota=3, unheard_max=0)
    assert fault == "1 acknowledged claims are not in the ledger: claim-3 (serial 3)"


def test_a_claim_told_under_another_serial_is_lost() -> None:
    told = [*CLAIMS[:2], Acknowledged("claim-3", 4)]
    faults = compare(CLAIMS, told, quota=3, unheard_max=1)
    assert faults == ["1 acknowledged claims are not in the ledger: claim-3 (serial 4)"]


def test_a_claim_given_twice_is_found() -> None:
    [fault] = compare(CLAIMS, [*CLAIMS, CLAIMS[0]], quota=3, unheard_max=0)
    assert fault == "1 claims were given to two requests: claim-1 (serial 1)"


def test_an_oversold_drop_is_found() -> None:
    [fault] = compare(CLAIMS, CLAIMS, quota=2, unheard_max=0)
    assert fault == "oversold: 3 live claims for a quota of 2"


def test_claims_that_nobody_heard_of_are_bounded() -> None:
    assert compare(CLAIMS, CLAIMS[:1], quota=3, unheard_max=2) == []
    [fault] = compare(CLAIMS, CLAIMS[:1], quota=3, unheard_max=1)
    assert fault == "2 claims that no client was told of; 1 are explained"


def test_a_broken_invariant_is_named() -> None:
    sound = Check("I5", "debits are credits", 0, [])
    offended = Check("I1", "never oversold", 2, [{"drop_id": "d"}])
    assert broken([sound]) == []
    assert broken([sound, offended]) == ["I1 has 2 offenders, such as [{'drop_id': 'd'}]"]


def crowd(wins: int = 2, **changes: int) -> Record:
    record = Record(started=4, waiting=4, waiting_at_opening=4, finished=4)
    record.acknowledged = [(f"claim-{serial}", serial) for serial in range(1, wins + 1)]
    for name, value in changes.items():
        setattr(record, name, value)
    return record


def test_a_crowd_in_which_everybody_knows_is_right() -> None:
    assert faults_of_crowd(crowd(), residents=4, packs=2) == []
    assert faults_of_crowd(crowd(wins=4), residents=4, packs=9) == []


def test_each_thing_that_goes_wrong_in_a_crowd_is_told() -> None:
    assert faults_of_crowd(crowd(finished=3), residents=4, packs=2) == [
        "only 3 of 4 residents finished"
    ]
    assert faults_of_crowd(crowd(undecided=1), residents=4, packs=2) == [
        "1 residents never had a final answer"
    ]
    assert faults_of_crowd(crowd(changed_claims=1), residents=4, packs=2) == [
        "1 winners were later shown another claim"
    ]
    assert faults_of_crowd(crowd(wins=1), residents=4, packs=2) == ["1 wins where 2 had to be"]


def test_a_gap_in_the_serials_is_told() -> None:
    record = crowd()
    record.acknowledged[1] = ("claim-2", 3)
    [fault] = faults_of_crowd(record, residents=4, packs=2)
    assert "without a gap" in fault


def redeemed(name: str, state: str = "captured", *, captures: int = 1, at: int = 0) -> Redeemed:
    return Redeemed(name, "claim", at, state, captures, captures)


BOOKED = [redeemed("r-1"), redeemed("r-2", "released", captures=0, at=1)]
TOLD = {"r-1": "captured", "r-2": "released"}


def test_redemptions_that_are_as_they_were_told_are_sound() -> None:
    assert compare_redemptions(BOOKED, TOLD) == []


@pytest.mark.parametrize(
    ("ledger", "tills", "fault"),
    [
        (BOOKED[1:], TOLD, "1 acknowledged redemptions are not there: r-1"),
        (BOOKED, {"r-1": "captured"}, "1 redemptions that no till was told of: r-2"),
        (BOOKED, {**TOLD, "r-2": "captured"}, "r-2 is released, told captured"),
        ([redeemed("r-1", captures=0), BOOKED[1]], TOLD, "not booked exactly once: r-1"),
        ([redeemed("r-1", captures=2), BOOKED[1]], TOLD, "not booked exactly once: r-1"),
        (
            [*BOOKED, redeemed("r-3")],
            {**TOLD, "r-3": "captured"},
            "1 vouchers were redeemed twice: claim 0",
        ),
    ],
)
def test_each_contradiction_of_the_books_is_found(
    ledger: list[Redeemed], tills: dict[str, str], fault: str
) -> None:
    [found] = compare_redemptions(ledger, tills)
    assert fault in found


def test_each_thing_that_goes_wrong_at_the_tills_is_told() -> None:
    assert faults_of_tills(TillsRecord(served=2), customers=2) == []
    wrong = TillsRecord(served=1, undecided=1, contradictions=["two won"])
    assert faults_of_tills(wrong, customers=2) == [
        "only 1 of 2 customers were served",
        "1 customers never had a final answer",
        "1 contradictions: two won",
    ]


def test_percentiles() -> None:
    values = [float(value) for value in range(101)]
    assert [percentile(values, percent) for percent in (50, 95, 99)] == [50.0, 95.0, 99.0]
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 99) != percentile([], 99)  # nan: nobody had an answer


def test_a_summary_has_the_largest_value() -> None:
    assert summary([1.0, 2.0, 3.04]) == {"p50": 2.0, "p95": 2.9, "p99": 3.0, "max": 3.0}
