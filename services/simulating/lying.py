"""Lies on command: rows of a day's file that are not so. What the books hold stays true.

A file that lies is written from its lying rows, so its totals and its running balance agree: only
a comparison with the books can find it out.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time
from typing import Any, Final
from uuid import UUID

from services.simulating.book import Book, Direction, Kind, Movement
from services.simulating.refusals import TooFewRows
from services.simulating.schemas import (
    BreakType,
    NewLie,
    NewLies,
    PlantedLie,
    PlantedLies,
    What,
)
from shared.clock import CITY_TIME
from shared.errors import InvalidRequest, NotFound

_TYPES: Final[Mapping[What, BreakType]] = {
    "omit": "missing_in_channel",
    "extra": "missing_in_ledger",
    "amount": "amount",
    "duplicate": "duplicate",
    "direction": "direction",
}
_OPPOSITE: Final[Mapping[Kind, Kind]] = {
    "PAY": "REFUND",
    "REFUND": "PAY",
    "TOPUP": "WITHDRAW",
    "WITHDRAW": "TOPUP",
    "DEPOSIT": "TRANSFER",
    "TRANSFER": "DEPOSIT",
    "PAYOUT": "DEPOSIT",
}
_DIRECTIONS: Final[tuple[Direction, ...]] = ("in", "out")
_EXTRA_FEN: Final = (100, 20_000)
_AMOUNT_OFF_FEN: Final = (1, 5_000)
_EXTRA_SEQ: Final = 900_000_000_000


@dataclass(frozen=True, slots=True)
class Lie:
    """What is said of the row `booked`: `stated` instead, of a duplicate as well."""

    what: What
    booked: Movement | None
    stated: Movement | None

    @property
    def planted(self) -> PlantedLie:
        shown = self.stated or self.booked
        assert shown is not None  # noqa: S101 - a lie is about a row, or makes one up
        stated_fen = self.stated.signed_fen if self.stated else None
        # Of two rows the first is true: for the second nothing was booked.
        told_of = None if self.what == "duplicate" else self.booked
        booked_fen = told_of.signed_fen if told_of else None
        return PlantedLie(
            what=self.what,
            type=_TYPES[self.what],
            reference=shown.reference,
            txn_no=shown.txn_no,
            stated_fen=stated_fen,
            booked_fen=booked_fen,
            difference_fen=(stated_fen or 0) - (booked_fen or 0),
        )


class Lies:
    """What the files of a book say that is not so. `extra_kinds`: what a made-up row is called."""

    def __init__(self, book: Book, extra_kinds: Mapping[Direction, Kind]) -> None:
        self._book = book
        self._db = book.connection
        self._extra_kinds = extra_kinds

    def plant(self, wanted: NewLies) -> PlantedLies:
        """Make up the lies of one file, instead of those that it told before.

        Raises:
            NotFound, TooFewRows, InvalidRequest: there are no such rows, or not enough of them.
        """
        rows = self._book.movements(wanted.account, wanted.day)
        planting = _Planting(rows, wanted, self._extra_kinds)
        lies = [planting.make(at, lie) for at, lie in enumerate(wanted.lies)]
        planted = [lie.planted for lie in lies]
        difference_fen = sum(lie.difference_fen for lie in planted)
        with self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO lies VALUES (?, ?, ?, ?)",
                [wanted.account, wanted.day.isoformat(), _written(lies), difference_fen],
            )
        return PlantedLies(
            account=wanted.account,
            day=wanted.day,
            planted=planted,
            difference_fen=difference_fen,
        )

    def clear(self) -> None:
        with self._db:
            self._db.execute("DELETE FROM lies")

    def stated(self, account: str, day: date) -> list[Movement]:
        """Return a day's rows as its file states them."""
        found = self._db.execute(
            "SELECT told FROM lies WHERE account = ? AND day = ?", [account, day.isoformat()]
        ).fetchone()
        lies = [] if found is None else _read(found[0])
        by_row = {lie.booked.seq: lie for lie in lies if lie.booked is not None}
        stated: list[Movement] = []
        for row in self._book.movements(account, day):
            lie = by_row.get(row.seq)
            if lie is None or lie.what == "duplicate":
                stated.append(row)
            if lie is not None and lie.stated is not None:
                stated.append(lie.stated)
        return stated + [lie.stated for lie in lies if lie.booked is None and lie.stated]

    def carried_fen(self, account: str, day: date) -> int:
        """Return what the files of the days before said that the account holds more than it does.

        A file opens with the balance with which the last one closed, lies and all.
        """
        (carried_fen,) = self._db.execute(
            "SELECT coalesce(sum(difference_fen), 0) FROM lies WHERE account = ? AND day < ?",
            [account, day.isoformat()],
        ).fetchone()
        return int(carried_fen)


class _Planting:
    """Choosing the rows of one file, each for one lie at most."""

    def __init__(
        self, rows: Sequence[Movement], wanted: NewLies, extra_kinds: Mapping[Direction, Kind]
    ) -> None:
        named = {lie.reference for lie in wanted.lies}
        self._rows = {row.reference: row for row in rows}
        self._free = [row for row in rows if row.reference not in named]
        self._wanted = wanted
        self._extra_kinds = extra_kinds
        self._random = random.Random(wanted.seed)
        self._noon = datetime.combine(wanted.day, time(12), CITY_TIME)

    def make(self, at: int, lie: NewLie) -> Lie:
        if lie.what == "extra":
            return Lie("extra", None, self._made_up(at, lie))
        row = self._choose(at, lie)
        match lie.what:
            case "omit":
                return Lie("omit", row, None)
            case "duplicate":
                return Lie("duplicate", row, row)
            case "direction":
                return Lie("direction", row, replace(row, kind=_OPPOSITE[row.kind]))
        amount_fen = lie.amount_fen or self._other_amount(row.amount_fen)
        if amount_fen == row.amount_fen:
            raise InvalidRequest.at("body", "lies", at, "amount_fen", msg="this is what is booked")
        return Lie("amount", row, replace(row, amount_fen=amount_fen))

    def _choose(self, at: int, lie: NewLie) -> Movement:
        if lie.reference is not None:
            row = self._rows.pop(lie.reference, None)
            if row is None:
                raise NotFound(f"No row of that day, or none left, has reference {at} of the lies.")
            return row
        if not self._free:
            raise TooFewRows(f"No row is left for lie {at}: each is about a row of its own.")
        return self._free.pop(self._random.randrange(len(self._free)))

    def _other_amount(self, booked_fen: int) -> int:
        off_fen = self._random.randint(*_AMOUNT_OFF_FEN)
        lower = booked_fen > off_fen and self._random.random() < 0.5  # noqa: PLR2004 - a coin
        return booked_fen - off_fen if lower else booked_fen + off_fen

    def _made_up(self, at: int, lie: NewLie) -> Movement:
        chosen = self._random.choice(_DIRECTIONS)
        kind = self._extra_kinds[chosen if lie.direction is None else lie.direction]
        reference = UUID(int=self._random.getrandbits(128), version=4)
        return Movement(
            seq=_EXTRA_SEQ + at,
            account=self._wanted.account,
            kind=kind,
            reference=str(reference),
            amount_fen=lie.amount_fen or self._random.randint(*_EXTRA_FEN),
            balance_fen=0,
            counterparty="unknown",
            booked_us=int(self._noon.timestamp()) * 1_000_000,
        )


def _written(lies: Sequence[Lie]) -> str:
    return json.dumps([asdict(lie) for lie in lies])


def _read(told: str) -> list[Lie]:
    return [
        Lie(lie["what"], _movement(lie["booked"]), _movement(lie["stated"]))
        for lie in json.loads(told)
    ]


def _movement(written: dict[str, Any] | None) -> Movement | None:
    return None if written is None else Movement(**written)
