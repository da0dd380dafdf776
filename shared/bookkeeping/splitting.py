"""Splitting an amount over shares without losing or inventing a fen."""

from collections.abc import Mapping

from shared.invariant import invariant

SHARE_TOTAL_BP = 10_000


def split_by_largest_remainder(amount_fen: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Split `amount_fen` in proportion to `shares` (any positive weights, in order).

    Each part is rounded down, and the fen that remain go to the largest remainders; equal
    remainders go to whoever comes first. The parts sum to the amount exactly.
    Source: the Hamilton method (largest remainder) with a fixed tie-break.

    Raises:
        ValueError: a negative amount, a negative share, or shares that sum to zero.
    """
    total = sum(shares.values())
    if amount_fen < 0 or total <= 0 or any(share < 0 for share in shares.values()):
        raise ValueError("an amount is split over shares that are positive in all")
    parts = {name: amount_fen * share // total for name, share in shares.items()}
    remainders = [
        (-(amount_fen * share % total), place, name)
        for place, (name, share) in enumerate(shares.items())
    ]
    for _, _, name in sorted(remainders)[: amount_fen - sum(parts.values())]:
        parts[name] += 1
    invariant(sum(parts.values()) == amount_fen, f"a split of {amount_fen} fen lost money")
    return parts
