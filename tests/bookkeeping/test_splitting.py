"""Splitting loses no fen, is fair to within one, and always decides the same."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.bookkeeping.splitting import split_by_largest_remainder

amounts = st.integers(min_value=0, max_value=10**13)
shares = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4),
    st.integers(min_value=0, max_value=10_000),
    min_size=1,
    max_size=8,
).filter(lambda weights: sum(weights.values()) > 0)


@given(amounts, shares)
@example(1, {"a": 5000, "b": 5000})
@example(1001, {"city": 6667, "platform": 3333})
def test_parts_sum_to_the_amount_and_are_within_one_fen_of_exact(
    amount_fen: int, weights: dict[str, int]
) -> None:
    parts = split_by_largest_remainder(amount_fen, weights)
    total = sum(weights.values())
    assert list(parts) == list(weights)
    assert sum(parts.values()) == amount_fen
    # In whole numbers: |part - amount * weight / total| < 1.
    assert all(
        abs(parts[name] * total - amount_fen * weight) < total for name, weight in weights.items()
    )


@given(amounts, shares)
def test_the_largest_remainders_get_the_fen_that_are_left(
    amount_fen: int, weights: dict[str, int]
) -> None:
    parts = split_by_largest_remainder(amount_fen, weights)
    total = sum(weights.values())
    remainders = {name: amount_fen * weight % total for name, weight in weights.items()}
    raised = {name for name in weights if parts[name] > amount_fen * weights[name] // total}
    kept = weights.keys() - raised
    assert min((remainders[name] for name in raised), default=total) >= max(
        (remainders[name] for name in kept), default=0
    )


@given(amounts, shares)
def test_the_split_is_a_function_of_its_arguments(amount_fen: int, weights: dict[str, int]) -> None:
    again = split_by_largest_remainder(amount_fen, dict(weights))
    assert split_by_largest_remainder(amount_fen, weights) == again


def test_of_equal_remainders_the_first_is_served_first() -> None:
    assert split_by_largest_remainder(1, {"b": 1, "a": 1}) == {"b": 1, "a": 0}
    assert split_by_largest_remainder(1, {"a": 1, "b": 1}) == {"a": 1, "b": 0}


@pytest.mark.parametrize(
    ("amount_fen", "weights"),
    [(-1, {"a": 1}), (1, {}), (1, {"a": 0}), (1, {"a": 2, "b": -1})],
)
def test_what_cannot_be_split_is_refused(amount_fen: int, weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="split over shares"):
        split_by_largest_remainder(amount_fen, weights)
