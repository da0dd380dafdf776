"""The operator's daily file: written, read back, and refused in every way that it can be wrong."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.ecny_daily import KINDS, DailyFile, Payment, parse, write
from shared.formats.faults import FILE_BYTES_MAX, MOVED_FEN_MAX, FormatFault
from tests.formats.writing import DAY, NUMBERS, changed_once, payments

ROWS = (
    Payment("t-1", "op-1", "TOPUP", 9000, "", datetime(2026, 5, 1, 8, tzinfo=UTC)),
    Payment("p-1", "op-2", "PAY", 1000, "shop-1", datetime(2026, 5, 1, 9, tzinfo=UTC), "4"),
    Payment("r-1", "op-3", "REFUND", 400, "shop-1", datetime(2026, 5, 1, 10, tzinfo=UTC)),
    Payment("w-1", "op-4", "WITHDRAW", 50, "", datetime(2026, 5, 1, 15, tzinfo=UTC)),
)
FILE = write(ROWS, institution="BANK-A", wallet="wallet-1", day=DAY, sequence=3)
LINES = FILE.decode().splitlines()


def sealed(lines: Sequence[str], counts: str | None = None) -> bytes:
    """Return a file of these detail rows whose totals are right for the rows of FILE."""
    body = "".join(f"{line}\n" for line in lines)
    digest = hashlib.sha256(body.encode()).hexdigest()
    totals = counts or f"{len(lines)}|1|1000|1|400|1|9000|1|50"
    return (
        f"H|BANK-A|wallet-1|2026-05-01|3|{totals}|{digest}\n{body}T|{totals}|{digest}\n"
    ).encode()


def read(content: bytes) -> DailyFile:
    file = parse(content)
    assert isinstance(file, DailyFile), file
    return file


def faults(content: bytes) -> str:
    file = parse(content)
    assert isinstance(file, FormatFault), file
    return "; ".join(file.faults)


def test_a_row_of_each_kind() -> None:
    file = read(FILE)
    assert file == DailyFile("BANK-A", "wallet-1", DAY, 3, tuple(enumerate(ROWS, 1)))
    assert file.totals == {
        "count": 4,
        "pay_count": 1,
        "pay_fen": 1000,
        "refund_count": 1,
        "refund_fen": 400,
        "topup_count": 1,
        "topup_fen": 9000,
        "withdraw_count": 1,
        "withdraw_fen": 50,
    }
    assert sealed(LINES[1:-1]) == FILE
    assert {row.kind for row in ROWS} == set(KINDS)


@given(st.lists(payments, max_size=20), NUMBERS, NUMBERS)
def test_what_is_written_is_read(rows: list[Payment], institution: str, wallet: str) -> None:
    file = read(write(rows, institution=institution, wallet=wallet, day=DAY))
    assert [row for _, row in file.rows] == rows
    assert (file.institution, file.wallet, file.day) == (institution, wallet, DAY)
    assert file.quarantined == ()
    summed: Counter[str] = Counter()
    for row in rows:
        summed[f"{row.kind.lower()}_fen"] += row.amount_fen
    assert {name: fen for name, fen in file.totals.items() if name.endswith("_fen")} == {
        f"{kind.lower()}_fen": summed[f"{kind.lower()}_fen"] for kind in KINDS
    }


@given(at=st.integers(0, len(FILE) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_noticed(at: int, byte: int) -> None:
    """Only who the file says it is from, and of what day, is stated once."""
    file = parse(changed_once(FILE, at, byte))
    if isinstance(file, DailyFile):
        assert [row for _, row in file.rows] == list(ROWS)
        named = len(b"H|BANK-A|wallet-1|2026-05-01|3|")
        # A line end of another system is the same line end.
        assert at < named or changed_once(FILE, at, byte)[at : at + 1] == b"\r"


@given(
    st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode(errors="replace"))
)
def test_nothing_makes_it_raise(content: bytes) -> None:
    for spoilt in (content, b"H|a|b|2026-05-01|1|" + content, FILE[:200] + content + FILE[200:]):
        assert isinstance(parse(spoilt), DailyFile | FormatFault)


def test_line_ends_and_a_byte_order_mark_are_not_faults() -> None:
    assert read(b"\xef\xbb\xbf" + FILE.replace(b"\n", b"\r\n")) == read(FILE)
    assert read(FILE.removesuffix(b"\n")) == read(FILE)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda _: b"", "begin with a header"),
        (lambda file: file.replace(b"H|", b"X|", 1), "begin with a header"),
        (lambda file: file.replace(b"\nT|", b"\nX|"), "end with a trailer"),
        (lambda file: file + b"D|5\n", "end with a trailer"),
        (lambda file: file.replace(b"|3|4|", b"|3|", 1), "14 fields instead of 15"),
        (lambda file: file.replace(b"2026-05-01", b"20260501", 1), "date or sequence"),
        (lambda file: file.replace(b"2026-05-01", b"2026-02-30", 1), "date or sequence"),
        (lambda file: file.replace(b"2026-05-01", b"0001-01-01", 1), "date or sequence"),
        (lambda file: file.replace(b"2026-05-01", b"9999-12-31", 1), "date or sequence"),
        (lambda file: file.replace(b"|3|4|", b"|-3|4|", 1), "date or sequence"),
        (lambda file: file.replace(b"|3|4|", b"|\xef\xbc\x93|4|", 1), "date or sequence"),
        (lambda file: file.replace(b"|3|4|1|1000|", b"|3|4|1|1001|", 1), "pay_fen 1001"),
        (lambda file: file.replace(b"\nT|4|", b"\nT|5|"), "trailer's totals are not"),
        (lambda file: file.replace(b"|1000|", b"|1001|"), "sha256"),
        (lambda file: file.replace(b"wallet", b"\xff", 1), "not UTF-8"),
        (lambda file: file.replace(b"wallet", b"\x00", 1), "zero byte"),
        (lambda file: file + b" " * FILE_BYTES_MAX, "bytes"),
        (lambda _: sealed(LINES[1:-2], "4|1|1000|1|400|1|9000|1|50"), "count 4, the rows make 3"),
    ],
)
def test_every_fault_is_named(spoil: Callable[[bytes], bytes], named: str) -> None:
    assert named in faults(spoil(FILE))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("D|2|p-1|op-2|PAY|1000|4|shop-1", "9 fields"),
        ("D|2|p-1|op-2|PAY|1000|4|shop-1|2026-05-01T09:00:00Z|x", "9 fields"),
        ("X|2|p-1|op-2|PAY|1000|4|shop-1|2026-05-01T09:00:00Z", "begins with D"),
        ("D|3|p-1|op-2|PAY|1000|4|shop-1|2026-05-01T09:00:00Z", "number 3, and is 2"),
        ("D|2||op-2|PAY|1000|4|shop-1|2026-05-01T09:00:00Z", "1 to 64 characters"),
        (f"D|2|{'x' * 65}|op-2|PAY|1000|4|shop-1|2026-05-01T09:00:00Z", "1 to 64 characters"),
        ("D|2|p-1|op-2|PAID|1000|4|shop-1|2026-05-01T09:00:00Z", "one of PAY, REFUND"),
        ("D|2|p-1|op-2|pay|1000|4|shop-1|2026-05-01T09:00:00Z", "one of PAY, REFUND"),
        ("D|2|p-1|op-2|PAY|0|4|shop-1|2026-05-01T09:00:00Z", "positive number"),
        ("D|2|p-1|op-2|PAY|-1|4|shop-1|2026-05-01T09:00:00Z", "positive number"),
        ("D|2|p-1|op-2|PAY|10.00|4|shop-1|2026-05-01T09:00:00Z", "positive number"),
        ("D|2|p-1|op-2|PAY|\uff11|4|shop-1|2026-05-01T09:00:00Z", "positive number"),
        (f"D|2|p-1|op-2|PAY|{'9' * 16}|4|shop-1|2026-05-01T09:00:00Z", "positive number"),
        ("D|2|p-1|op-2|PAY|1000|4|shop-1|2026-05-01 noon", "not RFC 3339"),
        ("D|2|p-1|op-2|PAY|1000|4|shop-1|2026-05-01T09:00:00", "with an offset"),
        ("D|2|p-1|op-2|PAY|1000|4|shop-1|0001-01-01T00:00:00+14:00", "not RFC 3339"),
        ("D|2|p-1|op-2|PAY|1000|4|shop-1|0001-01-01T00:00:00Z", "of the years 2000"),
        ("", "9 fields"),
    ],
)
def test_a_row_that_cannot_be_read_is_kept_aside(row: str, reason: str) -> None:
    """The others are used, and the file's sums, which nobody can check then, are not."""
    file = read(sealed([LINES[1], row, *LINES[3:-1]]))
    assert [number for number, _ in file.rows] == [1, 3, 4]
    (kept,) = file.quarantined
    assert (kept.row_no, kept.raw) == (2, row)
    assert reason in kept.reason
    assert file.totals["count"] == 4
    assert "count" in faults(sealed([LINES[1], row], "3|1|1000|1|400|1|9000|1|50"))


def test_more_money_than_there_is_is_refused() -> None:
    """Sums of what files say must fit the books, whatever an operator writes."""
    most = [replace(ROWS[0], amount_fen=MOVED_FEN_MAX // 2)] * 2
    assert len(read(write(most, institution="i", wallet="w", day=DAY)).rows) == 2
    more = write([*most, ROWS[1]], institution="i", wallet="w", day=DAY)
    assert f"more than {MOVED_FEN_MAX}" in faults(more)


@pytest.mark.parametrize("text", ["a|b", "a\nb", "a\rb"])
def test_a_text_that_would_break_a_row_is_not_written(text: str) -> None:
    row = Payment(text, "op", "PAY", 1, "", datetime(2026, 5, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="cannot stand in a row"):
        write([row], institution="i", wallet="w", day=DAY)
    with pytest.raises(ValueError, match="cannot stand in a row"):
        write([], institution="i", wallet=text, day=DAY)
