"""Nobody who was listed is ever missed, and nobody else is taken for a winner."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.claim import winners as module
from services.claim.winners import Winners

keys = st.sets(st.binary(min_size=8, max_size=8), max_size=60)


def listed(keys: set[bytes]) -> bytes:
    """Return keys as `claim.winner_keys` does."""
    return b"".join(sorted(keys))


@given(st.lists(keys, max_size=6), keys, st.integers(1, 40))
def test_winners_are_those_who_were_added(
    pieces: list[set[bytes]], others: set[bytes], run_keys_min: int
) -> None:
    winners = Winners()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_RUN_KEYS_MIN", run_keys_min)
        for piece, issued in zip(pieces, itertools.count(100, 100), strict=False):
            winners.add(listed(piece), issued)
            assert winners.issued == issued
            assert all(winners.may_include(key) for key in piece)
    everybody = set().union(*pieces)
    assert all(winners.may_include(key) for key in everybody)
    assert not any(winners.may_include(key) for key in others - everybody)


@pytest.mark.parametrize("key", [b"\0" * 8, b"\xff" * 8])
def test_the_first_and_the_last_key_there_can_be(key: bytes) -> None:
    winners = Winners()
    assert not winners.may_include(key)
    winners.add(key, 1)
    assert winners.may_include(key)


def test_only_the_short_key_of_a_hash_counts() -> None:
    winners = Winners()
    winners.add(b"12345678", 1)
    assert winners.may_include(b"12345678" + b"x" * 24)


def test_a_million_winners_in_pieces_cost_eight_bytes_each() -> None:
    winners = Winners()
    for serial in range(0, 100_000, 1_000):
        numbers = range(serial, serial + 1_000)
        winners.add(b"".join(n.to_bytes(8, "big") for n in numbers), serial + 1_000)
    assert len(winners._late) < module._RUN_KEYS_MIN
    assert sum(len(run) for run in winners._runs) + len(winners._late) == 100_000
    assert len(winners._runs) <= 100_000 // module._RUN_KEYS_MIN
