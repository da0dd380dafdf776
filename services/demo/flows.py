"""Where each fen of a programme went, summed from the transfers of its book."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.demo.report.story import Edge, Funder, MoneyFlow, Stop

_TIMEOUT_S = 60
_SUMS = """
    SELECT j.kind, debit.code, credit.code, sum(t.amount_fen)::bigint
    FROM ledger.transfers AS t
    JOIN ledger.journals AS j USING (city_id, journal_id)
    JOIN ledger.accounts AS debit ON debit.city_id = t.city_id
        AND debit.programme_id = t.programme_id AND debit.account_id = t.debit_account_id
    JOIN ledger.accounts AS credit ON credit.city_id = t.city_id
        AND credit.programme_id = t.programme_id AND credit.account_id = t.credit_account_id
    WHERE t.programme_id = $1
    GROUP BY j.kind, debit.code, credit.code
"""
_REFUNDED = frozenset({"J21", "J22", "J23", "J23e"})


class Moved(NamedTuple):
    """What the journals of a kind moved between two accounts, in all."""

    kind: str
    debit: str
    credit: str
    amount_fen: int


async def read_moved(owner_url: str, programme_id: str) -> list[Moved]:
    """Sum up a book as its owner sees it."""
    connection = await asyncpg.connect(owner_url, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
    try:
        return [Moved(*row) for row in await connection.fetch(_SUMS, UUID(programme_id))]
    finally:
        await connection.close(timeout=_TIMEOUT_S)


def money_flow(moved: Iterable[Moved], funders: Mapping[str, Funder]) -> MoneyFlow:
    """Draw what happened to each funder's money.

    Raises:
        InvariantViolatedError: money that came to a stop did not go on from it.
    """
    whole = list(moved)
    shares = [_Share(whole, funder_id) for funder_id in funders]
    edges: list[Edge] = []
    for share in shares:
        edges += share.edges(funders[share.funder_id])
    unpaid_fen = sum(share.redeemed_fen - share.absorbed_fen for share in shares) - _paid_fen(whole)
    rails = _paid_by_rail(whole)
    if unpaid_fen == 0 and len(rails) == 1:
        # Everything is paid, so each funder's part is.
        [stop] = rails
        edges += [
            Edge(
                Stop.REDEEMED,
                stop,
                share.redeemed_fen - share.absorbed_fen,
                funders[share.funder_id],
            )
            for share in shares
        ]
    else:
        edges += [Edge(Stop.REDEEMED, stop, fen) for stop, fen in rails.items()]
        edges.append(Edge(Stop.REDEEMED, Stop.UNPAID, unpaid_fen))
    return MoneyFlow([edge for edge in _joined(edges) if edge.amount_fen])


def _paid_by_rail(moved: Iterable[Moved]) -> dict[Stop, int]:
    paid: Counter[Stop] = Counter()
    for kind, debit, credit, fen in moved:
        if kind == "J15":
            paid[Stop.PAID_BANK] += fen
        elif kind == "J17" and credit == "wallet:main":
            paid[Stop.PAID_ECNY] += fen
        elif kind == "J23e" and debit == "wallet:main":
            paid[Stop.PAID_ECNY] -= fen
    return {stop: fen for stop, fen in paid.items() if fen}


def _paid_fen(moved: Iterable[Moved]) -> int:
    return sum(_paid_by_rail(moved).values())


class _Share:
    """One funder's part of a book."""

    def __init__(self, moved: Iterable[Moved], funder_id: str) -> None:
        self.funder_id = funder_id
        self._moved = list(moved)
        self.absorbed_fen = self._sum("J11", credit="pledge") + self._sum("J17", credit="pledge")
        self.absorbed_fen -= sum(self._sum(kind, debit="pledge") for kind in _REFUNDED)
        captured = sum(
            self._sum(kind, debit=family)
            for kind in ("J10", "J17")
            for family in ("outstanding", "held")
        )
        self.redeemed_fen = captured - sum(
            self._sum(kind, credit=family)
            for kind in _REFUNDED
            for family in ("outstanding", "return")
        )

    def _sum(self, kind: str, *, debit: str = "", credit: str = "") -> int:
        """Sum what a kind moved out of, or into, this funder's accounts of a family."""
        return sum(
            one.amount_fen
            for one in self._moved
            if one.kind == kind
            and (not debit or _is_of(one.debit, debit, self.funder_id))
            and (not credit or _is_of(one.credit, credit, self.funder_id))
        )

    def edges(self, funder: Funder) -> Iterator[Edge]:
        """Yield the ways of the money, but those of what was redeemed."""
        funded_fen = self._sum("J1", credit="available") + self._sum("J2", credit="available")
        allocated_fen = self._sum("J4", debit="available")
        claimed_fen = self._sum("J6", credit="outstanding")
        claimed_fen -= self._sum("J7a", debit="outstanding") + self._sum("J7b", debit="outstanding")
        expired_fen = self._sum("J18", credit="return") + self._sum("J9", credit="return")
        expired_fen += sum(self._sum(kind, credit="return") for kind in _REFUNDED)
        unclaimed_fen = allocated_fen - claimed_fen
        yield Edge(funder, Stop.ALLOCATED, allocated_fen)
        yield Edge(Stop.ALLOCATED, Stop.CLAIMED, claimed_fen, funder)
        yield Edge(Stop.ALLOCATED, Stop.UNCLAIMED, unclaimed_fen, funder)
        yield Edge(Stop.CLAIMED, Stop.REDEEMED, self.redeemed_fen, funder)
        yield Edge(Stop.CLAIMED, Stop.EXPIRED, expired_fen, funder)
        unused_fen = claimed_fen - self.redeemed_fen - expired_fen
        yield Edge(Stop.CLAIMED, Stop.UNUSED, unused_fen, funder)
        yield Edge(Stop.REDEEMED, Stop.ABSORBED, self.absorbed_fen, funder)
        free: list[tuple[Funder | Stop, int]] = [
            (Stop.EXPIRED, expired_fen),
            (Stop.UNCLAIMED, unclaimed_fen),
            (funder, funded_fen - allocated_fen),
        ]
        yield from self._back(funder, free)

    def _back(self, funder: Funder, free: list[tuple[Funder | Stop, int]]) -> Iterator[Edge]:
        """Match what is free with where it went; one fen is like another."""
        returned_fen, undrawn_fen = (
            self._sum("J19", debit="return"),
            self._sum("J20", debit="return"),
        )
        left_fen = sum(fen for _, fen in free) - returned_fen - undrawn_fen
        ends = [
            (Stop.UNDRAWN, undrawn_fen),
            (Stop.RETURNED, returned_fen),
            (Stop.BUDGET, left_fen),
        ]
        for source, source_fen in free:
            rest_fen = source_fen
            for number, (stop, room_fen) in enumerate(ends):
                fen = min(rest_fen, room_fen)
                rest_fen -= fen
                ends[number] = (stop, room_fen - fen)
                yield Edge(source, stop, fen, funder)


def _is_of(code: str, family: str, funder_id: str) -> bool:
    return code.split(":")[:2] == [family, funder_id]


def _joined(edges: Iterable[Edge]) -> Iterator[Edge]:
    """Join edges that differ in their amount alone."""
    sums: Counter[tuple[Funder | Stop, Stop, Funder | None]] = Counter()
    for edge in edges:
        sums[edge.source, edge.target, edge.funder] += edge.amount_fen
    for (source, target, funder), fen in sums.items():
        yield Edge(source, target, fen, funder)
