"""Who already holds a claim of a drop, so that "sold out" is never said to a winner.

The sold-out flag answers from memory. A winner who lost the answer and asks another process must
still be given the claim, so before a refusal the holder is looked up here. Eight bytes a winner:
a million winners are eight megabytes, and a look-up is a few binary searches.
"""

import sys
from array import array
from bisect import bisect_left

from services.claim.holders import HOLDER_KEY_BYTES

# Fewer keys than this are gathered in a set, which costs ten times as much, until they are a run.
_RUN_KEYS_MIN = 4_096


class Winners:
    """Holder keys of every claim with a serial up to `issued`, as the ledger listed them.

    A key may be of somebody whose claim was released, or, once in 2^64, of somebody else: being
    listed only means that the ledger must be asked.
    """

    def __init__(self) -> None:
        self.issued = 0
        self._runs: list[array[int]] = []
        self._late: set[int] = set()

    def add(self, packed_keys: bytes, issued: int) -> None:
        """Add the keys of serials `self.issued + 1 .. issued`: big-endian, sorted, end to end."""
        keys = array("Q", packed_keys)
        if sys.byteorder == "little":
            keys.byteswap()
        if len(keys) >= _RUN_KEYS_MIN:
            self._runs.append(keys)
        else:
            self._late.update(keys)
        if len(self._late) >= _RUN_KEYS_MIN:
            self._runs.append(array("Q", sorted(self._late)))
            self._late.clear()
        self.issued = issued

    def may_include(self, holder_key: bytes) -> bool:
        key = int.from_bytes(holder_key[:HOLDER_KEY_BYTES], "big")
        return key in self._late or any(_holds(run, key) for run in self._runs)


def _holds(run: "array[int]", key: int) -> bool:
    place = bisect_left(run, key)
    return place < len(run) and run[place] == key
