"""A simulator's book: its accounts and what moved them, on disk before anybody is told.

One SQLite file, written by this process alone: every change is one transaction, forced to the disk
(synchronous=FULL) at its end. A process that is killed starts again where it was.
"""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from shared.clock import CITY_TIME, Clock

Direction = Literal["in", "out"]
Kind = Literal["PAY", "REFUND", "TOPUP", "WITHDRAW", "DEPOSIT", "TRANSFER", "PAYOUT"]
INCOMING: Final = frozenset({"REFUND", "TOPUP", "DEPOSIT"})
# What fifteen digits hold: the file formats have no room for more.
BALANCE_FEN_MAX: Final = 10**15 - 1
INSUFFICIENT: Final = "insufficient balance"
TOO_FULL: Final = "the account can hold no more"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS clock (offset_us INTEGER NOT NULL);
    INSERT INTO clock SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM clock);
    CREATE TABLE IF NOT EXISTS accounts (
        account TEXT PRIMARY KEY,
        balance_fen INTEGER NOT NULL CHECK (balance_fen >= 0)
    );
    CREATE TABLE IF NOT EXISTS movements (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        account TEXT NOT NULL REFERENCES accounts,
        kind TEXT NOT NULL,
        reference TEXT NOT NULL,
        amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
        balance_fen INTEGER NOT NULL,
        counterparty TEXT NOT NULL,
        booked_us INTEGER NOT NULL,
        day TEXT NOT NULL,
        UNIQUE (account, kind, reference)
    );
    CREATE INDEX IF NOT EXISTS movements_by_day ON movements (account, day, seq);
    CREATE TABLE IF NOT EXISTS orders (
        number TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        account TEXT NOT NULL,
        counterparty TEXT NOT NULL,
        amount_fen INTEGER NOT NULL,
        original TEXT NOT NULL,
        batch TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('processing', 'done', 'rejected')),
        ready_us INTEGER NOT NULL,
        reason TEXT,
        txn_no TEXT,
        completed_us INTEGER
    );
    CREATE INDEX IF NOT EXISTS orders_processing ON orders (ready_us) WHERE state = 'processing';
    CREATE INDEX IF NOT EXISTS orders_by_original ON orders (original) WHERE original <> '';
    CREATE TABLE IF NOT EXISTS batches (
        batch TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS lies (
        account TEXT NOT NULL,
        day TEXT NOT NULL,
        told TEXT NOT NULL,
        difference_fen INTEGER NOT NULL,
        PRIMARY KEY (account, day)
    );
"""


class BookTakenError(Exception):
    """The book cannot be opened, most likely since another process keeps it."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One row of an account; `balance_fen` is what it held afterwards."""

    seq: int
    account: str
    kind: Kind
    reference: str
    amount_fen: int
    balance_fen: int
    counterparty: str
    booked_us: int

    @property
    def direction(self) -> Direction:
        return "in" if self.kind in INCOMING else "out"

    @property
    def signed_fen(self) -> int:
        return self.amount_fen if self.direction == "in" else -self.amount_fen

    @property
    def booked_at(self) -> datetime:
        return moment(self.booked_us)

    @property
    def day(self) -> date:
        return day_of(self.booked_us)

    @property
    def txn_no(self) -> str:
        return f"SIM{self.seq:012d}"


class Book:
    """The accounts of one simulator. Every method is one transaction, but those that say otherwise.

    `connection` is for what keeps its own tables in the same file.
    """

    def __init__(self, path: Path) -> None:
        """Open the book, or begin it. Raises BookTakenError while another process keeps it."""
        self.connection = _opened(path)
        (offset_us,) = self.connection.execute("SELECT offset_us FROM clock").fetchone()
        self._clock = Clock(offset_us)

    def close(self) -> None:
        self.connection.close()

    def now_us(self) -> int:
        """Return the simulator's time."""
        return self._clock.now_us()

    def hear(self, told: datetime | None) -> None:
        """Never run behind the time that somebody told."""
        ahead_us = 0 if told is None else (told - _EPOCH) // timedelta(microseconds=1)
        ahead_us -= self._clock.now_us()
        if ahead_us > 0:
            with self.connection:
                self.connection.execute("UPDATE clock SET offset_us = offset_us + ?", [ahead_us])
            self._clock.offset_us += ahead_us

    def move_once(
        self, account: str, kind: Kind, reference: str, amount_fen: int, counterparty: str
    ) -> tuple[Movement, bool] | str:
        """Book a movement, or find the one of this kind and reference; with it, whether it is new.

        Returns why not, where the account does not allow it. The caller compares what it finds.
        """
        before = self.find(account, kind, reference)
        if before is not None:
            return before, False
        with self.connection:
            booked = self.move(account, kind, reference, amount_fen, counterparty, self.now_us())
        return booked if isinstance(booked, str) else (booked, True)

    def move(
        self,
        account: str,
        kind: Kind,
        reference: str,
        amount_fen: int,
        counterparty: str,
        at_us: int,
    ) -> Movement | str:
        """Book a movement in the caller's transaction, or return why the account refuses it."""
        balance_fen = self.balance_fen(account) or 0
        balance_fen += amount_fen if kind in INCOMING else -amount_fen
        if balance_fen < 0:
            return INSUFFICIENT
        if balance_fen > BALANCE_FEN_MAX:
            return TOO_FULL
        self.connection.execute(
            "INSERT INTO accounts VALUES (?, ?)"
            " ON CONFLICT (account) DO UPDATE SET balance_fen = excluded.balance_fen",
            [account, balance_fen],
        )
        row = self.connection.execute(
            "INSERT INTO movements (account, kind, reference, amount_fen, balance_fen,"
            " counterparty, booked_us, day) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " RETURNING *",
            [
                *(account, kind, reference, amount_fen, balance_fen),
                *(counterparty, at_us, day_of(at_us).isoformat()),
            ],
        ).fetchone()
        return _movement(row)

    def balance_fen(self, account: str) -> int | None:
        """Return what an account holds, None for one that nothing ever reached."""
        row = self.connection.execute(
            "SELECT balance_fen FROM accounts WHERE account = ?", [account]
        ).fetchone()
        return None if row is None else int(row[0])

    def find(self, account: str, kind: Kind, reference: str) -> Movement | None:
        row = self.connection.execute(
            "SELECT * FROM movements WHERE account = ? AND kind = ? AND reference = ?",
            [account, kind, reference],
        ).fetchone()
        return None if row is None else _movement(row)

    def movements(self, account: str, day: date) -> list[Movement]:
        """Return a day's movements in their order."""
        rows = self.connection.execute(
            "SELECT * FROM movements WHERE account = ? AND day = ? ORDER BY seq",
            [account, day.isoformat()],
        )
        return [_movement(row) for row in rows]

    def opening_fen(self, account: str, day: date) -> int:
        """Return what an account held when a day began."""
        row = self.connection.execute(
            "SELECT balance_fen FROM movements WHERE account = ? AND day < ?"
            " ORDER BY seq DESC LIMIT 1",
            [account, day.isoformat()],
        ).fetchone()
        return 0 if row is None else int(row[0])


def _opened(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, timeout=0)
        try:
            # The lock is held until this process ends, however it ends.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            with connection:
                connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise BookTakenError(
            f"{path} cannot be opened: {error}. If another process simulates the same on this"
            " data dir, stop it first, or choose another directory with --data."
        ) from error
    return connection


def moment(us: int) -> datetime:
    """Return a time of the book as an aware datetime."""
    return _EPOCH + timedelta(microseconds=us)


def day_of(us: int) -> date:
    """Return the accounting day of a time of the book."""
    return moment(us).astimezone(CITY_TIME).date()


def _movement(row: tuple[Any, ...]) -> Movement:
    *fields, _day = row
    return Movement(*fields)
