from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.demo.claim_log import Voucher
from services.demo.shopping import UNUSED, Errand, Fate, ShoppingModel, draw_errands

FACTS = {
    "redeemed_bp": 7020,
    "percent_by_day": [30, 18, 13, 11, 10, 9, 9],
    "order_over_min": 2.67,
    "at_minimum_share": 0.15,
    "quoted_first_share_of_redeemed": 0.1,
    "held_first_share_of_redeemed": 0.05,
    "sent_again_share_of_redeemed": 0.02,
    "tried_twice_share_of_redeemed": 0.01,
    "released_share": 0.005,
    "reversed_share": 0.005,
    "never_came_share": 0.002,
    "seed": 1,
}


def model(**changes: object) -> ShoppingModel:
    return ShoppingModel.model_validate({**FACTS, **changes})


def vouchers(count: int) -> list[tuple[int, Voucher]]:
    return [(n, Voucher(f"voucher-{n}", "general", 1000, 4000)) for n in range(count)]


def drawn(count: int, tills: int = 9, **changes: object) -> list[list[Errand]]:
    return draw_errands(model(**changes), vouchers(count), {"general": tills})


def test_the_published_share_is_redeemed_to_the_voucher() -> None:
    days = drawn(10_000)

    fates = Counter(errand.fate for day in days for errand in day)
    redeemed = [[errand for errand in day if errand.fate not in UNUSED] for day in days]
    assert sum(len(day) for day in redeemed) == 7_020
    assert [len(day) for day in redeemed] == [2106, 1264, 912, 772, 702, 632, 632]
    assert (fates[Fate.QUOTED_FIRST], fates[Fate.HELD_FIRST]) == (702, 351)
    assert (fates[Fate.SENT_AGAIN], fates[Fate.TRIED_TWICE]) == (140, 70)
    assert (fates[Fate.RELEASED], fates[Fate.REVERSED], fates[Fate.NEVER_CAME]) == (50, 50, 20)


def test_orders_have_the_mean_and_the_least_that_were_asked_for() -> None:
    orders = [errand.order_fen for day in drawn(20_000) for errand in day]

    assert min(orders) == 4000
    at_minimum = sum(order == 4000 for order in orders) / len(orders)
    assert at_minimum == pytest.approx(0.15, abs=0.01)
    assert sum(orders) / len(orders) == pytest.approx(2.67 * 4000, rel=0.02)


@given(
    count=st.integers(0, 300),
    tills=st.integers(1, 5),
    redeemed_bp=st.integers(0, 9_880),
    seed=st.integers(),
)
def test_nobody_uses_a_voucher_twice_or_a_till_that_is_not_there(
    count: int, tills: int, redeemed_bp: int, seed: int
) -> None:
    days = drawn(count, tills, redeemed_bp=redeemed_bp, seed=seed)

    errands = [errand for day in days for errand in day]
    assert len({errand.voucher.voucher_id for errand in errands}) == len(errands) <= count
    for number, day in enumerate(days):
        assert all(errand.day == number for errand in day)
    for errand in errands:
        assert 0 <= errand.till < tills
        assert 0 <= errand.second_till < tills
        assert tills == 1 or errand.second_till != errand.till
        assert errand.order_fen >= 4000


def test_a_seed_plays_the_same_week_again_and_another_seed_another() -> None:
    assert drawn(200) == drawn(200)
    assert drawn(200) != drawn(200, seed=2)


@pytest.mark.parametrize(
    "change",
    [
        {"percent_by_day": [50, 49]},
        {"percent_by_day": []},
        {"redeemed_bp": 10_001},
        {"redeemed_bp": 9_900},
        {"order_over_min": 0.9},
        {"at_minimum_share": 1.0},
        {"held_first_share_of_redeemed": 0.98},
        {"held": 0.1},
    ],
)
def test_a_week_that_cannot_be_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        model(**change)
