"""The checker finds each kind of broken promise in a history that is otherwise sound."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.harness.history import (
    Call,
    Claimed,
    History,
    LedgerDrop,
    Moment,
    assert_sound,
    violations,
)

T0 = datetime(2026, 5, 1, 2, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def call(holder: str, started_s: float, ended_s: float, answer: int | str | None) -> Call:
    """Ask from .. to; the answer is a serial (won, 201), a code (refused), or None (unknown)."""
    match answer:
        case int(serial):
            body = f"claim {serial}".encode()
            return Call(
                holder, "", at(started_s), at(ended_s), 201, None, f"claim-{serial}", serial, body
            )
        case str(code):
            status = {"sold_out": 409, "limit_reached": 409, "closed": 410, "paused": 423}
            return Call(holder, "", at(started_s), at(ended_s), status.get(code, 503), code)
        case _:
            return Call(holder, "", at(started_s), at(ended_s), None)


def claimed(holder: str, serial: int, at_s: float) -> Claimed:
    return Claimed(f"claim-{serial}", holder, "", serial, at(at_s))


class Scene:
    """A drop of two packs: anna and bert win, carl is refused, bert asks again and is replayed."""

    def __init__(self) -> None:
        won = call("bert", 11, 11.2, 2)
        self.calls = [
            call("anna", 10, 10.2, 1),
            call("carl", 10, 10.1, "busy"),
            won,
            replace(won, started=at(12), ended=at(12.1), status=200),
            call("carl", 12, 12.1, "sold_out"),
        ]
        self.claims = [claimed("anna", 1, 10.1), claimed("bert", 2, 11.1)]
        self.moments = [
            Moment(at(0), 2, 0, "live"),
            Moment(at(10.1), 2, 1, "live"),
            Moment(at(11.1), 2, 2, "live"),
        ]
        self.limit = 1
        self.live = 2

    def broken(self) -> set[str]:
        return {violation.promise for violation in violations(self.history(), self.ledger())}

    def history(self) -> History:
        return History(list(self.calls), {(call.holder, call.key) for call in self.calls})

    def ledger(self) -> LedgerDrop:
        return LedgerDrop(
            limit=self.limit,
            quota=2,
            issued=2,
            live=self.live,
            opens_at=at(0),
            closes_at=at(3600),
            reclaim=False,
            claims=self.claims,
            moments=self.moments,
        )


def test_a_sound_history_is_sound() -> None:
    scene = Scene()
    assert scene.broken() == set()
    assert_sound(scene.history(), scene.ledger())


def _server_error(scene: Scene) -> None:
    scene.calls.append(replace(call("anna", 13, 13.1, None), status=500, code="internal"))


def _nobody_told_dora(scene: Scene) -> None:
    scene.calls += [call("dora", 12, 12.1, "busy"), call("dora", 13, 13.1, None)]


def _serial_twice(scene: Scene) -> None:
    scene.claims[1] = replace(scene.claims[1], serial=1)


def _serial_skipped(scene: Scene) -> None:
    scene.claims[1] = replace(scene.claims[1], serial=3)


def _claim_id_twice(scene: Scene) -> None:
    scene.claims[1] = replace(scene.claims[1], claim_id="claim-1")


def _oversold(scene: Scene) -> None:
    scene.moments.append(Moment(at(11.3), 2, 3, "live"))


def _miscounted(scene: Scene) -> None:
    scene.live = 1


def _holder_of_two(scene: Scene) -> None:
    scene.claims[1] = replace(scene.claims[1], holder="anna", key="other")


def _request_of_two(scene: Scene) -> None:
    scene.limit = 2
    scene.claims[1] = replace(scene.claims[1], holder="anna")


def _acknowledged_and_lost(scene: Scene) -> None:
    del scene.claims[1]


def _acknowledged_with_another_serial(scene: Scene) -> None:
    scene.calls[0] = replace(scene.calls[0], serial=7)


def _told_to_a_stranger(scene: Scene) -> None:
    scene.calls.append(replace(scene.calls[0], holder="dora", status=200))


def _told_differently(scene: Scene) -> None:
    scene.calls[3] = replace(scene.calls[3], body=b"another")


def _created_twice(scene: Scene) -> None:
    scene.calls[3] = replace(scene.calls[3], status=201)


def _sold_out_too_soon(scene: Scene) -> None:
    scene.calls.append(call("dora", 10.3, 10.4, "sold_out"))


def _sold_out_long_after_a_release(scene: Scene) -> None:
    scene.moments.append(Moment(at(20), 2, 1, "live"))
    scene.calls.append(call("dora", 21.6, 21.7, "sold_out"))


def _paused_without_a_pause(scene: Scene) -> None:
    scene.calls.insert(0, call("carl", 10, 10.1, "paused"))


def _closed_while_live(scene: Scene) -> None:
    scene.calls.append(call("dora", 12, 12.1, "closed"))


def _limit_reached_with_nothing(scene: Scene) -> None:
    scene.calls.append(call("dora", 12, 12.1, "limit_reached"))


def _refused_holder_of_a_claim(scene: Scene) -> None:
    scene.calls.append(call("bert", 13, 13.1, "sold_out"))


def _refused_then_served_without_new_stock(scene: Scene) -> None:
    # True of the drop, but begun before the claim was made: no pack came back in between.
    scene.calls.append(call("bert", 10.9, 11.3, "sold_out"))


def _refused_long_after_new_stock_was_won(scene: Scene) -> None:
    scene.moments[0] = Moment(at(-20), 0, 0, "live")
    scene.moments.insert(1, Moment(at(0), 2, 0, "live"))
    scene.calls.append(call("bert", 12.7, 12.9, "sold_out"))


@pytest.mark.parametrize(
    ("plant", "promise"),
    [
        (_server_error, "every answer is of the contract"),
        (_nobody_told_dora, "everybody is answered"),
        (_serial_twice, "serials are gap free"),
        (_serial_skipped, "serials are gap free"),
        (_claim_id_twice, "claim ids are distinct"),
        (_oversold, "nothing is oversold"),
        (_miscounted, "nothing is oversold"),
        (_holder_of_two, "nobody holds more than the limit"),
        (_request_of_two, "nobody holds more than the limit"),
        (_acknowledged_and_lost, "every acknowledged claim exists"),
        (_acknowledged_with_another_serial, "every acknowledged claim exists"),
        (_told_to_a_stranger, "a claim is told to its holder alone"),
        (_told_differently, "a claim is told the same way always"),
        (_created_twice, "a claim is told the same way always"),
        (_sold_out_too_soon, "no refusal is false"),
        (_sold_out_long_after_a_release, "no refusal is false"),
        (_paused_without_a_pause, "no refusal is false"),
        (_closed_while_live, "no refusal is false"),
        (_limit_reached_with_nothing, "limits are reached when said so"),
        (_refused_holder_of_a_claim, "nobody refused holds what they asked for"),
        (_refused_long_after_new_stock_was_won, "nobody refused holds what they asked for"),
        (_refused_then_served_without_new_stock, "nobody refused holds what they asked for"),
    ],
)
def test_each_broken_promise_is_found(plant: Callable[[Scene], None], promise: str) -> None:
    scene = Scene()
    plant(scene)
    assert promise in scene.broken()
    with pytest.raises(AssertionError, match=promise):
        assert_sound(scene.history(), scene.ledger())


def test_an_unknown_call_may_have_happened_or_not() -> None:
    scene = Scene()
    scene.calls[0] = call("anna", 10, 10.2, None)
    scene.calls.append(replace(call("anna", 13, 13.1, 1), status=200))
    scene.calls += [call("dora", 12, 12.1, None), call("dora", 13, 13.1, "sold_out")]
    assert scene.broken() == set()


def test_a_refusal_may_lag_a_release_by_a_second() -> None:
    scene = Scene()
    scene.claims[1] = replace(scene.claims[1], released_at=at(20))
    scene.live = 1
    scene.moments.append(Moment(at(20), 2, 1, "live"))
    scene.calls.append(call("dora", 20.9, 21, "sold_out"))
    assert scene.broken() == set()


def test_a_pack_that_came_back_may_go_to_somebody_refused_before() -> None:
    scene = Scene()
    scene.claims[0] = replace(scene.claims[0], released_at=at(20))
    scene.claims.append(claimed("carl", 3, 22))
    scene.moments += [Moment(at(20), 2, 1, "live"), Moment(at(22), 2, 2, "live")]
    scene.calls.append(call("carl", 21.9, 22.1, 3))
    ledger = replace(scene.ledger(), issued=3)
    assert violations(scene.history(), ledger) == []
