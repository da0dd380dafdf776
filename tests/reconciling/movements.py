"""What a bank or an operator would state of an account: what the books themselves have of it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Literal

import asyncpg

from shared.clock import CITY_TIME
from shared.formats import bank_statement, ecny_daily
from tests.builders import Programme

BANK, WALLET = "bank:main", "wallet:main"
FORMATS = {BANK: "bank-statement", WALLET: "ecny-daily"}
_EARLIER = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One movement as a statement would state it."""

    number: str
    direction: Literal["in", "out"]
    amount_fen: int
    channel_no: str
    kind: str = ""

    @property
    def signed_fen(self) -> int:
        return self.amount_fen if self.direction == "in" else -self.amount_fen

    def turned(self) -> "Row":
        return replace(self, direction="out" if self.direction == "in" else "in")


async def booked(
    owner: asyncpg.Connection,
    programme: Programme,
    account: str,
    upto: date,
    since: date = _EARLIER,
) -> list[Row]:
    """Return what moved an account after `since`, up to the end of a day, in order."""
    rows = await owner.fetch(
        "SELECT * FROM ledger.cash_movements($1, $2, $3)"
        " WHERE accounting_date > $4 AND accounting_date <= $5 ORDER BY journal_id",
        *(programme.city_id, programme.programme_id, account, since, upto),
    )
    return [
        Row(
            row["end_to_end_no"],
            row["direction"],
            row["amount_fen"],
            row["channel_no"] or f"CH{position:06d}",
            row["kind"],
        )
        for position, row in enumerate(rows)
    ]


def sum_fen(rows: Iterable[Row]) -> int:
    return sum(row.signed_fen for row in rows)


def write(
    programme: Programme, account: str, day: date, rows: Sequence[Row], *, opening_fen: int = 0
) -> bytes:
    """Return a sound file that states these rows. A wallet's states no balance."""
    if account == BANK:
        return _write_bank(programme, day, rows, opening_fen)
    completed_at = datetime.combine(day, time(12), CITY_TIME)
    return ecny_daily.write(
        [
            ecny_daily.Payment(
                row.number, row.channel_no, _kind(row), row.amount_fen, "shop", completed_at
            )
            for row in rows
        ],
        institution="bank-of-tests",
        wallet=str(programme.programme_id),
        day=day,
    )


def _kind(row: Row) -> ecny_daily.Kind:
    if row.kind == "J32":
        return "TOPUP" if row.direction == "in" else "WITHDRAW"
    return "REFUND" if row.direction == "in" else "PAY"


def _write_bank(programme: Programme, day: date, rows: Sequence[Row], opening_fen: int) -> bytes:
    balance_fen = opening_fen
    movements = []
    for row in rows:
        balance_fen += row.signed_fen
        movements.append(
            bank_statement.Movement(
                *(day, row.number, row.direction, row.amount_fen, balance_fen),
                *("somebody", row.channel_no),
            )
        )
    return bank_statement.write(
        movements, account=str(programme.programme_id), day=day, opening_fen=opening_fen
    )


def spoil_row(account: str, content: bytes, row_no: int) -> bytes:
    """Make one row of a sound file unreadable, and all that can still be checked agree with it."""
    head, *lines = content.decode().split("\n")
    if account == BANK:
        # The column names come before the rows.
        lines[row_no] = lines[row_no].replace(",in,", ",?,").replace(",out,", ",?,")
        table = "\n".join(lines)
        digest = hashlib.sha256(table.encode()).hexdigest()
        return f"{head.rpartition('=')[0]}={digest}\n{table}".encode()
    *details, trailer, _ = lines
    details[row_no - 1] = details[row_no - 1].replace("|PAY|", "|?|").replace("|REFUND|", "|?|")
    digest = hashlib.sha256("".join(f"{line}\n" for line in details).encode()).hexdigest()
    head, trailer = (f"{line.rpartition('|')[0]}|{digest}" for line in (head, trailer))
    return "\n".join([head, *details, trailer, ""]).encode()
