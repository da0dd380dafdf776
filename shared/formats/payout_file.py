"""The payout file that a bank is given for an approved batch: docs/formats/payout-file.md."""

import csv
import hashlib
import io
from dataclasses import dataclass

from shared.formats.faults import ROWS_MAX, FormatFault, decode_file, one_line, parse_amount

COLUMNS = (
    "payout_id",
    "end_to_end_no",
    "merchant_id",
    "merchant_name",
    "account_no",
    "amount_fen",
    "remark",
)
_TOTALS = ("batch", "account", "rows", "total_fen", "sha256")
# What a spreadsheet would take for a formula, and the mark that keeps it from doing so.
_MARK = "'"
_MARKED = ("=", "+", "-", "@", "\t", _MARK)
_TEXT_MAX = 400


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """What one merchant is to be paid."""

    payout_id: str
    end_to_end_no: str
    merchant_id: str
    merchant_name: str
    account_no: str
    amount_fen: int
    remark: str = ""


@dataclass(frozen=True, slots=True)
class PayoutFile:
    """The lines of one settlement batch; `account` is the one that pays them."""

    batch: str
    account: str
    lines: tuple[PayoutLine, ...]

    @property
    def total_fen(self) -> int:
        return sum(line.amount_fen for line in self.lines)


def write(file: PayoutFile) -> bytes:
    """Return the file as UTF-8 with a byte order mark, so that a spreadsheet shows Chinese names.

    A text that a spreadsheet would take for a formula, or that begins with an apostrophe, gets an
    apostrophe in front of it. Raises ValueError for a name that would break the first line.
    """
    if any(forbidden in file.batch + file.account for forbidden in ";=\r\n"):
        raise ValueError(f"{file.batch!r} or {file.account!r} cannot be named in a file")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for line in file.lines:
        table.writerow(
            [
                _defused(line.payout_id),
                _defused(line.end_to_end_no),
                _defused(line.merchant_id),
                _defused(line.merchant_name),
                _defused(line.account_no),
                line.amount_fen,
                _defused(line.remark),
            ]
        )
    digest = hashlib.sha256(text.getvalue().encode()).hexdigest()
    stated = (file.batch, file.account, len(file.lines), file.total_fen, digest)
    head = ";".join(f"{name}={value}" for name, value in zip(_TOTALS, stated, strict=True))
    return f"#{head}\n{text.getvalue()}".encode("utf-8-sig")


def _defused(text: str) -> str:
    plain = one_line(text)
    return f"{_MARK}{plain}" if plain.startswith(_MARKED) else plain


def parse(content: bytes) -> PayoutFile | FormatFault:
    """Read a payout file whole, or say what is wrong with it: a bank pays no part of a file."""
    text = decode_file(content)
    if isinstance(text, FormatFault):
        return text
    first, _, table = text.partition("\n")
    parts = [part.partition("=") for part in first.removeprefix("#").split(";")]
    stated = {name: value for name, _, value in parts}
    if not first.startswith("#") or tuple(stated) != _TOTALS:
        return FormatFault((f"the first line must state #{'=…;'.join(_TOTALS)}=…",))
    try:
        cells = list(csv.reader(io.StringIO(table, newline=""), strict=True))
    except csv.Error as error:
        return FormatFault((f"the table is not CSV: {error}",))
    if not cells or tuple(cells[0]) != COLUMNS or len(cells) - 1 > ROWS_MAX:
        return FormatFault((f"the columns must be {', '.join(COLUMNS)}",))
    lines = [_read_line(number, values) for number, values in enumerate(cells[1:], 1)]
    faults = [line for line in lines if isinstance(line, str)]
    read = tuple(line for line in lines if isinstance(line, PayoutLine))
    file = PayoutFile(stated["batch"], stated["account"], read)
    if len({line.end_to_end_no for line in file.lines}) < len(file.lines):
        faults.append("an end-to-end number occurs twice")
    computed = {
        "rows": str(len(cells) - 1),
        "total_fen": str(file.total_fen),
        "sha256": hashlib.sha256(table.encode()).hexdigest(),
    }
    faults += [
        f"the first line states {name}={stated[name][:80]}, the rows make {value}"
        for name, value in computed.items()
        if stated[name] != value
    ]
    return FormatFault(tuple(faults)) if faults else file


def _read_line(number: int, values: list[str]) -> PayoutLine | str:
    if len(values) != len(COLUMNS) or any(len(value) > _TEXT_MAX for value in values):
        return f"row {number} must have {len(COLUMNS)} values of at most {_TEXT_MAX} characters"
    payout_id, end_to_end_no, merchant_id, merchant_name, account_no, amount, remark = (
        value.removeprefix(_MARK) for value in values
    )
    amount_fen = parse_amount(amount)
    if amount_fen is None or not end_to_end_no:
        return f"row {number} must have an end-to-end number and a positive amount"
    return PayoutLine(
        payout_id, end_to_end_no, merchant_id, merchant_name, account_no, amount_fen, remark
    )
