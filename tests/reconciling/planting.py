"""Differences planted in what would otherwise be a true statement."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from tests.reconciling.movements import Row, sum_fen

KINDS = ("omit", "extra", "amount", "duplicate", "direction")


@dataclass(frozen=True, slots=True)
class Expected:
    """A difference that reconciliation has to find."""

    type: str
    number: str
    statement_fen: int | None
    booked_fen: int | None

    @property
    def difference_fen(self) -> int:
        return (self.statement_fen or 0) - (self.booked_fen or 0)


@dataclass(frozen=True, slots=True)
class Planted:
    """The rows as they are stated, and what is different in them."""

    rows: list[Row]
    expected: list[Expected]

    @property
    def difference_fen(self) -> int:
        return sum(one.difference_fen for one in self.expected)


def plant(true_rows: Sequence[Row], seed: int, *, each: int = 1) -> Planted:
    """Plant `each` differences of every kind, each in a row of its own; the seed says where."""
    chosen = random.Random(seed)
    spoilt = chosen.sample(range(len(true_rows)), each * len(KINDS))
    rows: list[Row] = []
    expected: list[Expected] = []
    for place, row in enumerate(true_rows):
        kind = KINDS[spoilt.index(place) % len(KINDS)] if place in spoilt else "none"
        stated, found = _spoil(row, kind, chosen)
        rows += stated
        expected += found
    # Nothing cancels out by accident: a balance would not show it.
    planted = Planted(rows, expected)
    assert planted.difference_fen == sum_fen(rows) - sum_fen(true_rows)
    return planted


def _spoil(row: Row, kind: str, chosen: random.Random) -> tuple[list[Row], list[Expected]]:
    match kind:
        case "omit":
            return [], [Expected("missing_in_channel", row.number, None, row.signed_fen)]
        case "extra":
            number = str(UUID(int=chosen.getrandbits(128), version=4))
            fen = chosen.randint(1, 9_999)
            extra = Row(number, chosen.choice(("in", "out")), fen, f"EX{fen}", row.kind)
            return [row, extra], [Expected("missing_in_ledger", number, extra.signed_fen, None)]
        case "amount":
            other = replace(row, amount_fen=row.amount_fen + chosen.choice((-1, 1, 7, 300)))
            return [other], [Expected("amount", row.number, other.signed_fen, row.signed_fen)]
        case "duplicate":
            return [row, row], [Expected("duplicate", row.number, row.signed_fen, None)]
        case "direction":
            turned = row.turned()
            return [turned], [Expected("direction", row.number, turned.signed_fen, row.signed_fen)]
    return [row], []
