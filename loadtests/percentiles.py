"""Percentiles of what was measured."""

from collections.abc import Sequence
from statistics import quantiles

_PERCENT = 100


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of 100 do not exceed, nan for no values at all."""
    if len(values) < 2:  # noqa: PLR2004 - quantiles of fewer are not defined
        return values[0] if values else float("nan")
    return quantiles(values, n=_PERCENT, method="inclusive")[percent - 1]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return the percentiles that are kept of a measurement, and its largest value."""
    kept = {f"p{percent}": percentile(values, percent) for percent in (50, 95, 99)}
    kept["max"] = max(values, default=float("nan"))
    return {name: round(value, 1) for name, value in kept.items()}
