"""The day statement of a bank account as CSV: docs/formats/bank-statement.md.

A first line of control totals, column names, and one row per movement with the running balance.
"""

import csv
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from shared.formats.faults import (
    ROWS_MAX,
    FormatFault,
    QuarantinedRow,
    decode_file,
    moves_too_much,
    one_line,
    parse_amount,
    parse_day,
)

Direction = Literal["in", "out"]
COLUMNS = (
    "date",
    "reference",
    "direction",
    "amount_fen",
    "balance_fen",
    "counterparty",
    "bank_txn_no",
)
_TOTALS = ("account", "date", "opening_fen", "closing_fen", "rows", "in_fen", "out_fen", "sha256")
_NUMBER = re.compile(r"-?\d{1,15}", re.ASCII)
_REFERENCE_MAX = 200


@dataclass(frozen=True, slots=True)
class Movement:
    """Money that came in or went out; `balance_fen` is what the account held after it."""

    day: date
    reference: str
    direction: Direction
    amount_fen: int
    balance_fen: int
    counterparty: str
    bank_txn_no: str


@dataclass(frozen=True, slots=True)
class BankStatement:
    """One account's day. A statement with `quarantined` rows has gaps in its running balance."""

    account: str
    day: date
    opening_fen: int
    closing_fen: int
    rows: tuple[tuple[int, Movement], ...]
    quarantined: tuple[QuarantinedRow, ...] = ()

    @property
    def totals(self) -> dict[str, int]:
        """The control totals, in fen."""
        return {
            "opening_fen": self.opening_fen,
            "closing_fen": self.closing_fen,
            "rows": len(self.rows) + len(self.quarantined),
            "in_fen": sum(row.amount_fen for _, row in self.rows if row.direction == "in"),
            "out_fen": sum(row.amount_fen for _, row in self.rows if row.direction == "out"),
        }


def write(movements: Sequence[Movement], *, account: str, day: date, opening_fen: int) -> bytes:
    """Return the statement of a day; a text of several lines becomes one.

    Raises ValueError for an account that would break the first line.
    """
    if any(forbidden in account for forbidden in ";=\r\n"):
        raise ValueError(f"{account!r} cannot be named in a statement")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for movement in movements:
        table.writerow(
            [
                movement.day.isoformat(),
                one_line(movement.reference),
                movement.direction,
                movement.amount_fen,
                movement.balance_fen,
                one_line(movement.counterparty),
                one_line(movement.bank_txn_no),
            ]
        )
    closing_fen = movements[-1].balance_fen if movements else opening_fen
    rows = tuple(enumerate(movements, 1))
    totals = BankStatement(account, day, opening_fen, closing_fen, rows).totals
    stated = {"account": account, "date": day.isoformat(), **totals, "sha256": _digest(text)}
    head = ";".join(f"{name}={stated[name]}" for name in _TOTALS)
    return f"#{head}\n{text.getvalue()}".encode()


def _digest(text: io.StringIO) -> str:
    return hashlib.sha256(text.getvalue().encode()).hexdigest()


def parse(content: bytes) -> BankStatement | FormatFault:
    """Read a statement. Its totals and its running balance must agree before any row is used."""
    text = decode_file(content)
    if isinstance(text, FormatFault):
        return text
    first, _, table = text.partition("\n")
    stated = _stated(first.removesuffix("\r"))
    if isinstance(stated, FormatFault):
        return stated
    try:
        cells = list(csv.reader(io.StringIO(table, newline=""), strict=True))
    except csv.Error as error:
        return FormatFault((f"the table is not CSV: {error}",))
    if len(cells) - 1 > ROWS_MAX:
        return FormatFault((f"the file has more than {ROWS_MAX} rows",))
    if not cells or sorted(cells[0]) != sorted(COLUMNS):
        return FormatFault((f"the columns must be {', '.join(COLUMNS)}, in any order",))
    statement = _read_rows(stated, cells)
    faults = moves_too_much(row.amount_fen for _, row in statement.rows)
    faults += _wrong_totals(statement, stated)
    if hashlib.sha256(table.encode()).hexdigest() != stated["sha256"]:
        faults.append("the table is not the one whose sha256 is stated")
    faults += _broken_balance(statement)
    return FormatFault(tuple(faults)) if faults else statement


def _stated(line: str) -> dict[str, str] | FormatFault:
    parts = [part.partition("=") for part in line.removeprefix("#").split(";")]
    stated = {name: value for name, _, value in parts}
    if not line.startswith("#") or tuple(stated) != _TOTALS:
        return FormatFault((f"the first line must state #{'=…;'.join(_TOTALS)}=…",))
    if any(not _NUMBER.fullmatch(stated[name]) for name in _TOTALS[2:-1]):
        return FormatFault(("the stated totals must be whole numbers",))
    if parse_day(stated["date"]) is None:
        return FormatFault(("the stated date is not a date of the years 2000 to 2200",))
    return stated


def _read_rows(stated: dict[str, str], cells: list[list[str]]) -> BankStatement:
    rows: list[tuple[int, Movement]] = []
    quarantined: list[QuarantinedRow] = []
    for number, values in enumerate(cells[1:], 1):
        read = _read_row(cells[0], values, stated["date"])
        if isinstance(read, Movement):
            rows.append((number, read))
        else:
            quarantined.append(QuarantinedRow(number, ",".join(values), read))
    return BankStatement(
        stated["account"],
        date.fromisoformat(stated["date"]),
        int(stated["opening_fen"]),
        int(stated["closing_fen"]),
        tuple(rows),
        tuple(quarantined),
    )


def _read_row(columns: list[str], values: list[str], day: str) -> Movement | str:
    if len(values) != len(columns):
        return f"the row has {len(values)} values instead of {len(columns)}"
    row = dict(zip(columns, values, strict=True))
    amount_fen = parse_amount(row["amount_fen"])
    if row["date"] != day:
        return f"the row is of {row['date'][:20]}, the statement of {day}"
    if row["direction"] not in {"in", "out"} or amount_fen is None:
        return "its direction must be in or out, its amount a positive number of fen"
    if not _NUMBER.fullmatch(row["balance_fen"]):
        return "its balance must be a whole number of fen"
    if not 0 < len(row["reference"]) <= _REFERENCE_MAX:
        return f"its reference must have 1 to {_REFERENCE_MAX} characters"
    return Movement(
        date.fromisoformat(day),
        row["reference"],
        "in" if row["direction"] == "in" else "out",
        amount_fen,
        int(row["balance_fen"]),
        row["counterparty"],
        row["bank_txn_no"],
    )


def _wrong_totals(statement: BankStatement, stated: dict[str, str]) -> list[str]:
    computed = statement.totals
    if statement.quarantined:
        # What cannot be read cannot be summed: of such a file the number of rows is checked.
        computed = {"rows": computed["rows"]}
    return [
        f"the first line states {name}={stated[name]}, the rows make {value}"
        for name, value in computed.items()
        if int(stated[name]) != value
    ]


def _broken_balance(statement: BankStatement) -> list[str]:
    """Follow the running balance from opening to closing; a quarantined row hides its step."""
    if statement.quarantined:
        return []
    balance_fen = statement.opening_fen
    for number, row in statement.rows:
        balance_fen += row.amount_fen if row.direction == "in" else -row.amount_fen
        if balance_fen != row.balance_fen:
            return [f"row {number} states balance {row.balance_fen}, the rows make {balance_fen}"]
    if balance_fen != statement.closing_fen:
        return [f"the statement closes at {statement.closing_fen}, its rows at {balance_fen}"]
    return []
