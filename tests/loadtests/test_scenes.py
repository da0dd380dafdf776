"""A scene must notice when tills are told what cannot be."""

from collections.abc import Sequence
from itertools import count

import pytest

from loadtests.tills.scenes import SCENES, Request, Told


class StagedTill:
    """A till whose answers are written beforehand; what a scene expects is checked against them."""

    def __init__(self, *answers: Told) -> None:
        self._answers = list(answers)
        self._numbers = count(1)
        self.asked: list[Request] = []
        self.unexpected: list[str] = []
        self.contradictions: list[str] = []

    def number(self) -> str:
        return f"n-{next(self._numbers)}"

    def ask(self, request: Request, *expected: str) -> Told:
        self.asked.append(request)
        told = self._answers.pop(0)
        if told.word not in expected:
            self.unexpected.append(told.word)
        return told

    def ask_at_once(self, requests: Sequence[Request], *expected: str) -> list[Told]:
        return [self.ask(request, *expected) for request in requests]

    def contradict(self, what: str) -> None:
        self.contradictions.append(what)


def told(word: str, *, replayed: bool = False, **body: object) -> Told:
    return Told(word, {"redemption_id": "r-1", **body}, replayed)


CAPTURED, AGAIN = told("captured"), told("captured", replayed=True)
REUSED = told("idempotency_key_reused")
TAKEN = told("already_redeemed", by="other_terminal")

RIGHT = {
    "capture": [CAPTURED],
    "hold_and_capture": [told("held"), told("held_elsewhere"), CAPTURED],
    "hold_and_release": [told("held"), told("released"), told("released")],
    "duplicate": [CAPTURED, AGAIN, AGAIN, REUSED],
    "two_tills": [TAKEN, CAPTURED],
    "reversed_afterwards": [CAPTURED, told("reversed"), told("reversed"), told("reversed")],
    "reversed_before": [told("never_happened"), told("reversed"), CAPTURED],
    "too_small": [told("below_min_spend"), CAPTURED],
}


@pytest.mark.parametrize("scene", SCENES)
def test_what_is_right_passes(scene: str) -> None:
    till = StagedTill(*RIGHT[scene])
    SCENES[scene](till)
    assert (till.unexpected, till.contradictions) == ([], [])
    assert len(till.asked) == len(RIGHT[scene])


@pytest.mark.parametrize(
    ("scene", "answers"),
    [
        ("duplicate", [CAPTURED, told("captured", redemption_id="r-2"), AGAIN, REUSED]),
        ("duplicate", [CAPTURED, CAPTURED, CAPTURED, REUSED]),
        ("two_tills", [CAPTURED, CAPTURED]),
        ("two_tills", [TAKEN, TAKEN]),
        ("two_tills", [CAPTURED, told("already_redeemed", by="this_terminal")]),
    ],
)
def test_answers_that_contradict_each_other_are_noted(scene: str, answers: list[Told]) -> None:
    till = StagedTill(*answers)
    SCENES[scene](till)
    assert till.contradictions


@pytest.mark.parametrize(
    ("scene", "answers"),
    [
        ("capture", [told("bad_code")]),
        ("hold_and_capture", [told("held"), CAPTURED, CAPTURED]),
        ("duplicate", [CAPTURED, AGAIN, AGAIN, CAPTURED]),
        ("reversed_afterwards", [CAPTURED, told("reversed"), told("reversed"), CAPTURED]),
        ("reversed_before", [told("never_happened"), CAPTURED, CAPTURED]),
        ("too_small", [CAPTURED, CAPTURED]),
    ],
)
def test_a_wrong_answer_is_unexpected(scene: str, answers: list[Told]) -> None:
    till = StagedTill(*answers)
    SCENES[scene](till)
    assert till.unexpected


def test_the_late_original_is_the_same_request() -> None:
    till = StagedTill(*RIGHT["reversed_afterwards"])
    SCENES["reversed_afterwards"](till)
    assert till.asked[0] == till.asked[-1]
    assert till.asked[1].body["original_request_no"] == till.asked[0].body["request_no"]
