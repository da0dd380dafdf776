from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.demo.crowd import CrowdModel, draw_crowd
from services.programme_file import read_programme_file

HANGZHOU = Path(__file__).parents[2] / "examples" / "hangzhou-2020-round-5.toml"
FACTS = {
    "packs": 50,
    "residents": 200,
    "share_in_first_second": 0.4,
    "tail_tau_s": 5.0,
    "tail_ends_s": 20.0,
    "clock_skew_s": 1.0,
    "retry_min_s": 0.5,
    "retry_max_s": 2.0,
    "lost_answer_share": 0.03,
    "bot_share": 0.05,
    "bot_rate_factor": 10.0,
    "bot_connections": 4,
    "polling_share": 0.1,
    "poll_interval_s": 0.5,
    "seed": 1,
}


def model(**changes: object) -> CrowdModel:
    return CrowdModel.model_validate({**FACTS, **changes})


def test_the_shares_are_met_exactly() -> None:
    visits = draw_crowd(model())

    humans = [visit for visit in visits if not visit.is_bot]
    assert sorted(visit.holder for visit in visits) == list(range(200))
    assert len(humans) == 190
    assert sum(visit.intended_s < 1 for visit in humans) == 76
    assert sum(visit.loses_answer for visit in visits) == 6
    assert sum(visit.polls for visit in visits) == 19


def test_the_tail_is_exponential() -> None:
    visits = draw_crowd(model(packs=1, residents=20_000, bot_share=0.0))

    tail = sorted(visit.intended_s - 1 for visit in visits if visit.intended_s >= 1)
    # Half of it, by the distribution cut off at 19 s, comes within 5 s x ln(1 / 0.51...) = 3.35 s.
    assert len(tail) == 12_000
    assert tail[6_000] == pytest.approx(3.35, abs=0.2)
    assert tail[-1] <= 19


@given(
    residents=st.integers(1, 500),
    share=st.floats(0, 1),
    skew_s=st.floats(0, 10),
    seed=st.integers(),
)
def test_everybody_taps_once_within_the_skew_of_their_clock(
    residents: int, share: float, skew_s: float, seed: int
) -> None:
    changed = model(
        packs=1,
        residents=residents,
        share_in_first_second=share,
        clock_skew_s=skew_s,
        seed=seed,
    )
    visits = draw_crowd(changed)

    assert sorted(visit.holder for visit in visits) == list(range(residents))
    assert [visit.taps_s for visit in visits] == sorted(visit.taps_s for visit in visits)
    for visit in visits:
        assert abs(visit.taps_s - visit.intended_s) <= skew_s + 1e-9
        assert visit.is_bot or 0 <= visit.intended_s <= 20


def test_a_seed_plays_the_same_crowd_again_and_another_seed_another() -> None:
    assert draw_crowd(model()) == draw_crowd(model())
    assert draw_crowd(model()) != draw_crowd(model(seed=2))


def test_without_skew_nobody_but_bots_is_early() -> None:
    visits = draw_crowd(model(clock_skew_s=0.0))

    assert not [visit for visit in visits if visit.taps_s < 0]


def test_a_scaled_crowd_keeps_residents_per_pack() -> None:
    scaled = model().scaled(333)

    assert (scaled.packs, scaled.residents) == (333, 1332)
    assert scaled.tail_tau_s == 5.0


@pytest.mark.parametrize(
    "change",
    [
        {"retry_min_s": 3.0},
        {"residents": 49},
        {"share_in_first_second": 1.1},
        {"tail_ends_s": 1.0},
        {"bot_connections": 0},
        {"bots": 5},
    ],
)
def test_a_crowd_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        model(**change)


def test_hangzhou_is_played_with_four_residents_for_each_pack() -> None:
    demo = read_programme_file(HANGZHOU).demo

    assert demo is not None
    assert demo.crowd.residents == 4 * demo.crowd.packs
