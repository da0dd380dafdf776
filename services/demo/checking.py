"""Holding the ledger to what the crowd was told."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from services.demo.claim_log import SOLD_OUT, ClaimLog
from shared.bookkeeping.invariants import SAMPLE_MAX, Check
from shared.errors import Json

ReadBack = Mapping[tuple[int, str], int | None]
"""The serial under which a holder finds a claim afterwards, by (holder, claim_id)."""

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value", bound=Hashable)


def check_log(log: ClaimLog, read_back: ReadBack, packs: int) -> list[Check]:
    """Return what must hold of a drop of `packs` that everybody was answered about."""
    told = {(yes.holder, yes.claim_id, yes.serial) for yes in log.yeses}
    winners = {yes.holder for yes in log.yeses}
    serials = {yes.serial for yes in log.yeses}
    missing = [
        (holder, claim_id, serial)
        for holder, claim_id, serial in told
        if read_back.get((holder, claim_id)) != serial
    ]
    return [
        check_of(
            "I3_every_yes_is_in_the_ledger",
            "Each acknowledged claim is found by its holder afterwards, under its serial.",
            [{"holder": h, "claim_id": c, "serial": s} for h, c, s in sorted(missing)],
        ),
        check_of(
            "crowd_one_claim_each",
            "However often a holder was told yes, it was the same claim.",
            _several("holder", "claims", ((yes.holder, yes.claim_id) for yes in log.yeses)),
        ),
        check_of(
            "crowd_one_holder_of_each_claim",
            "No claim was given to two holders.",
            _several("claim_id", "holders", ((yes.claim_id, yes.holder) for yes in log.yeses)),
        ),
        check_of(
            "crowd_serials_are_distinct",
            "No serial was given with two claims.",
            _several("serial", "claims", ((yes.serial, yes.claim_id) for yes in log.yeses)),
        ),
        check_of(
            "crowd_every_serial_was_told",
            "The serials 1 to the number of packs were given, no other, and none is missing.",
            [{"serial": serial} for serial in sorted(serials ^ set(range(1, packs + 1)))],
        ),
        check_of(
            "crowd_no_yes_was_also_a_no",
            "Nobody who holds a pack was finally refused, on any connection.",
            [{"holder": h, "refused": code} for h, code in log.noes if h in winners],
        ),
        check_of(
            "crowd_refused_for_stock_alone",
            "The only final refusal of this drop is that it is sold out.",
            [{"holder": h, "refused": code} for h, code in log.noes if code != SOLD_OUT],
        ),
        check_of(
            "crowd_everybody_was_told",
            "Everybody had a final answer before the crowd's patience ended.",
            [{"holder": holder} for holder in log.undecided],
        ),
    ]


def check_of(name: str, description: str, offences: list[dict[str, Json]]) -> Check:
    """Return the check that these offences are of."""
    return Check(name, description, len(offences), offences[:SAMPLE_MAX])


def _several(key: str, values: str, pairs: Iterable[tuple[_Key, _Value]]) -> list[dict[str, Json]]:
    """Return each key that stands with more than one value."""
    found: defaultdict[_Key, set[_Value]] = defaultdict(set)
    for one, other in pairs:
        found[one].add(other)
    return [
        {key: str(one), values: [*sorted(str(other) for other in others)]}
        for one, others in found.items()
        if len(others) > 1
    ]
