"""The daily file of a digital-RMB operator (运营机构), our own style: docs/formats/ecny-daily.md.

A header, one detail row a movement of the wallet, and a trailer that repeats the header's totals.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal, get_args

from shared.clock import rfc3339
from shared.formats.faults import (
    ROWS_MAX,
    FormatFault,
    QuarantinedRow,
    decode_file,
    is_of_our_time,
    moves_too_much,
    parse_amount,
    parse_day,
)

Kind = Literal["PAY", "REFUND", "TOPUP", "WITHDRAW"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
# What flows into the wallet; the other kinds flow out of it.
INCOMING: Final = frozenset({"REFUND", "TOPUP"})
_HEADER_FIELDS = 15
_DETAIL_FIELDS = 9
_NUMBER_MAX = 64
_SEQUENCE = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Payment:
    """One movement of the wallet.

    Paid to a merchant (PAY) or taken back (REFUND); come from the bank account (TOPUP) or gone to
    it (WITHDRAW).
    """

    end_to_end_no: str
    operator_txn_no: str
    kind: Kind
    amount_fen: int
    payee_wallet: str
    completed_at: datetime
    payer_wallet_class: str = ""


@dataclass(frozen=True, slots=True)
class DailyFile:
    """One wallet's day. `quarantined` rows count in the header but carry no amount."""

    institution: str
    wallet: str
    day: date
    sequence: int
    rows: tuple[tuple[int, Payment], ...]
    quarantined: tuple[QuarantinedRow, ...] = ()

    @property
    def totals(self) -> dict[str, int]:
        """Counts and sums in fen by kind, as the header states them."""
        payments = [payment for _, payment in self.rows]
        return _totals(payments, len(self.rows) + len(self.quarantined))


def _totals(payments: Sequence[Payment], count: int) -> dict[str, int]:
    totals = {"count": count}
    for kind in KINDS:
        amounts = [payment.amount_fen for payment in payments if payment.kind == kind]
        totals[f"{kind.lower()}_count"] = len(amounts)
        totals[f"{kind.lower()}_fen"] = sum(amounts)
    return totals


def write(
    payments: Sequence[Payment], *, institution: str, wallet: str, day: date, sequence: int = 1
) -> bytes:
    """Return the file of a day. Raises ValueError for a text that would break a row."""
    details = [_detail(number, payment) for number, payment in enumerate(payments, 1)]
    body = "".join(f"{line}\n" for line in details)
    totals = "|".join(str(total) for total in _totals(payments, len(payments)).values())
    digest = hashlib.sha256(body.encode()).hexdigest()
    head = _joined("H", institution, wallet, day.isoformat(), str(sequence))
    return f"{head}|{totals}|{digest}\n{body}T|{totals}|{digest}\n".encode()


def _detail(number: int, payment: Payment) -> str:
    return _joined(
        "D",
        str(number),
        payment.end_to_end_no,
        payment.operator_txn_no,
        payment.kind,
        str(payment.amount_fen),
        payment.payer_wallet_class,
        payment.payee_wallet,
        rfc3339(payment.completed_at),
    )


def _joined(*fields: str) -> str:
    for field in fields:
        if any(forbidden in field for forbidden in "|\r\n"):
            raise ValueError(f"{field!r} cannot stand in a row")
    return "|".join(fields)


def parse(content: bytes) -> DailyFile | FormatFault:
    """Read a file. Header, trailer and what the rows sum to must agree before any row is used."""
    text = decode_file(content)
    if isinstance(text, FormatFault):
        return text
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    lines = [line.removesuffix("\r") for line in lines]
    if len(lines) < 2 or not lines[0].startswith("H|") or not lines[-1].startswith("T|"):  # noqa: PLR2004 - header and trailer
        return FormatFault(("the file must begin with a header (H) and end with a trailer (T)",))
    if len(lines) - 2 > ROWS_MAX:
        return FormatFault((f"the file has more than {ROWS_MAX} rows",))
    header = lines[0].split("|")
    if len(header) != _HEADER_FIELDS:
        return FormatFault((f"the header has {len(header)} fields instead of {_HEADER_FIELDS}",))
    file = _read_rows(header, lines[1:-1])
    if isinstance(file, FormatFault):
        return file
    faults = _wrong_totals(file, header[5:], lines[-1].split("|")[1:], _digest(lines[1:-1]))
    return FormatFault(tuple(faults)) if faults else file


def _digest(details: Sequence[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in details).encode()).hexdigest()


def _read_rows(header: list[str], details: Sequence[str]) -> DailyFile | FormatFault:
    day = parse_day(header[3])
    if day is None or not _SEQUENCE.fullmatch(header[4]):
        return FormatFault(("the header's date or sequence cannot be read",))
    rows: list[tuple[int, Payment]] = []
    quarantined: list[QuarantinedRow] = []
    for number, line in enumerate(details, 1):
        read = _read_detail(number, line)
        if isinstance(read, Payment):
            rows.append((number, read))
        else:
            quarantined.append(QuarantinedRow(number, line, read))
    return DailyFile(header[1], header[2], day, int(header[4]), tuple(rows), tuple(quarantined))


def _read_detail(number: int, line: str) -> Payment | str:
    fields = line.split("|")
    if len(fields) != _DETAIL_FIELDS or fields[0] != "D":
        return f"a detail row has {_DETAIL_FIELDS} fields and begins with D"
    _, row_no, end_to_end_no, txn_no, kind, amount, wallet_class, payee, completed = fields
    amount_fen = parse_amount(amount)
    if row_no != str(number):
        return f"the row says that it is number {row_no[:20]}, and is {number}"
    if not 0 < len(end_to_end_no) <= _NUMBER_MAX or len(txn_no) > _NUMBER_MAX:
        return f"its numbers must have 1 to {_NUMBER_MAX} characters"
    known = next((known for known in KINDS if known == kind), None)
    if known is None or amount_fen is None:
        return f"its type must be one of {', '.join(KINDS)}, its amount a positive number of fen"
    completed_at = _moment(completed)
    if completed_at is None:
        return "its time is not RFC 3339 with an offset, of the years 2000 to 2200"
    return Payment(
        end_to_end_no,
        txn_no,
        known,
        amount_fen,
        payee,
        completed_at,
        payer_wallet_class=wallet_class,
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the second: a time next to year 1 or 9999
        return None
    return moment if is_of_our_time(moment) else None


def _wrong_totals(file: DailyFile, header: list[str], trailer: list[str], digest: str) -> list[str]:
    """Compare what header and trailer state with what the rows sum to."""
    faults = moves_too_much(payment.amount_fen for _, payment in file.rows)
    if header != trailer:
        faults.append("the trailer's totals are not the header's")
    computed = {name: str(total) for name, total in file.totals.items()}
    if file.quarantined:
        # What cannot be read cannot be summed: of such a file the number of rows is checked.
        computed = {"count": computed["count"]}
    stated = dict(zip((*file.totals, "sha256"), header, strict=True))
    faults += [
        f"the header states {name} {stated[name][:80]}, the rows make {value}"
        for name, value in {**computed, "sha256": digest}.items()
        if stated[name] != value
    ]
    return faults
