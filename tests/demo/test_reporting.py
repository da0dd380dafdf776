import pytest

from services.demo.reporting import percentile, yuan


@pytest.mark.parametrize(
    ("amount_fen", "shown"),
    [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (123456789, "1,234,567.89"), (-10_001, "-100.01")],
)
def test_yuan_are_exact_to_the_fen(amount_fen: int, shown: str) -> None:
    assert yuan(amount_fen) == shown


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_percentiles_are_values_that_occurred(share: float, value: int) -> None:
    assert percentile(list(range(1, 101)), share) == value
