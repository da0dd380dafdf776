"""The bank's day statement: written, read back, and refused in every way that it can be wrong."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.bank_statement import BankStatement, Movement, parse, write
from shared.formats.faults import FILE_BYTES_MAX, MOVED_FEN_MAX, FormatFault
from tests.formats.writing import DAY, changed_once, movements

ROWS = (
    Movement(DAY, "Treasury 0415", "in", 5000, 5100, "Bureau, of Commerce", "bk-1"),
    Movement(DAY, "p-1", "out", 1200, 3900, '"Noodles"', "bk-2"),
    Movement(DAY, "p-2", "out", 900, 3000, "=shop", "bk-3"),
)
FILE = write(ROWS, account="acct-1", day=DAY, opening_fen=100)
TABLE = FILE.decode().partition("\n")[2]
TOTALS = "opening_fen=100;closing_fen=3000;rows=3;in_fen=5000;out_fen=2100"


def sealed(
    table: str, totals: str = TOTALS, named: str = "account=acct-1;date=2026-05-01"
) -> bytes:
    """Return a statement with the right hash over this table."""
    digest = hashlib.sha256(table.encode()).hexdigest()
    return f"#{named};{totals};sha256={digest}\n{table}".encode()


def read(content: bytes) -> BankStatement:
    statement = parse(content)
    assert isinstance(statement, BankStatement), statement
    return statement


def faults(content: bytes) -> str:
    statement = parse(content)
    assert isinstance(statement, FormatFault), statement
    return "; ".join(statement.faults)


def test_rows_both_ways() -> None:
    statement = read(FILE)
    assert statement == BankStatement("acct-1", DAY, 100, 3000, tuple(enumerate(ROWS, 1)))
    assert statement.totals == {
        "opening_fen": 100,
        "closing_fen": 3000,
        "rows": 3,
        "in_fen": 5000,
        "out_fen": 2100,
    }
    assert sealed(TABLE) == FILE


def test_a_day_without_movements_closes_as_it_opened() -> None:
    statement = read(write([], account="acct-1", day=DAY, opening_fen=77))
    assert (statement.opening_fen, statement.closing_fen, statement.rows) == (77, 77, ())


@given(movements())
def test_what_is_written_is_read(written: tuple[int, list[Movement]]) -> None:
    opening_fen, rows = written
    statement = read(write(rows, account="账户 1", day=DAY, opening_fen=opening_fen))
    assert [row for _, row in statement.rows] == rows
    assert statement.quarantined == ()
    net_fen = sum(row.amount_fen if row.direction == "in" else -row.amount_fen for row in rows)
    assert statement.closing_fen - statement.opening_fen == net_fen
    assert (statement.account, statement.day, statement.opening_fen) == ("账户 1", DAY, opening_fen)


@given(at=st.integers(0, len(FILE) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_noticed(at: int, byte: int) -> None:
    """Only the account is stated once; the day is in every row."""
    statement = parse(changed_once(FILE, at, byte))
    if isinstance(statement, BankStatement):
        assert [row for _, row in statement.rows] == list(ROWS) or not statement.rows
        assert at < FILE.index(b";opening")


@given(
    st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode(errors="replace"))
)
def test_nothing_makes_it_raise(content: bytes) -> None:
    for spoilt in (content, b"#account=" + content, FILE[:120] + content + FILE[120:]):
        assert isinstance(parse(spoilt), BankStatement | FormatFault)


def test_columns_may_come_in_any_order_and_a_mark_before_them() -> None:
    plain = TABLE.replace('"Bureau, of Commerce"', "Bureau").replace('"""Noodles"""', "Noodles")
    turned = [",".join(reversed(line.split(","))) for line in plain.splitlines()]
    assert read(b"\xef\xbb\xbf" + sealed("\n".join([*turned, ""]))) == read(sealed(plain))


def test_a_text_of_several_lines_becomes_one() -> None:
    row = replace(ROWS[0], reference="a\nb\rc", counterparty="\r\n", bank_txn_no="\r")
    statement = read(write([row], account="acct-1", day=DAY, opening_fen=100))
    (told,) = [row for _, row in statement.rows]
    assert (told.reference, told.counterparty, told.bank_txn_no) == ("a b c", "  ", " ")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda _: b"", "first line must state"),
        (lambda file: file[1:], "first line must state"),
        (lambda file: file.replace(b"account=", b"acount="), "first line must state"),
        (lambda file: file.replace(b"rows=3", b"rows=x"), "must be whole numbers"),
        (lambda file: file.replace(b"rows=3", b"rows=\xef\xbc\x93"), "must be whole numbers"),
        (lambda file: file.replace(b"date=2026-05-01", b"date=2026-13-01"), "is not a date"),
        (lambda file: file.replace(b"date=2026-05-01", b"date=20260501"), "is not a date"),
        (lambda file: file.replace(b"date=2026-05-01", b"date=0001-01-01"), "is not a date"),
        (lambda file: file.replace(b"date=2026-05-01", b"date=9999-12-31"), "is not a date"),
        (lambda file: file.replace(b"rows=3", b"rows=4"), "rows=4, the rows make 3"),
        (lambda file: file.replace(b"in_fen=5000", b"in_fen=1"), "in_fen=1, the rows make 5000"),
        (lambda file: file.replace(b"out_fen=2100", b"out_fen=1"), "out_fen=1"),
        (lambda file: file.replace(b"closing_fen=3000", b"closing_fen=1"), "closes at 1, its rows"),
        (lambda file: file.replace(b"opening_fen=100", b"opening_fen=0"), "row 1 states balance"),
        (lambda file: file.replace(b",3900,", b",3901,"), "row 2 states balance 3901"),
        (lambda file: file.replace(b"Treasury", b"treasury"), "not the one whose sha256"),
        (lambda file: file.replace(b"direction,", b"direktion,"), "columns must be"),
        (lambda file: file.replace(b"direction,", b"date,", 1), "columns must be"),
        (lambda file: file + b'"', "not CSV"),
        (lambda file: file.replace(b"Treasury", b"\xff"), "not UTF-8"),
        (lambda file: file.replace(b"Treasury", b"\x00"), "zero byte"),
        (lambda file: file + b" " * FILE_BYTES_MAX, "bytes"),
    ],
)
def test_every_fault_is_named(spoil: Callable[[bytes], bytes], named: str) -> None:
    assert named in faults(spoil(FILE))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-05-01,p-1,out,1200,3900,x", "6 values instead of 7"),
        ("2026-05-02,p-1,out,1200,3900,x,bk-2", "row is of 2026-05-02"),
        ("2026-05-01,p-1,OUT,1200,3900,x,bk-2", "in or out"),
        ("2026-05-01,p-1,out,-1200,3900,x,bk-2", "positive number"),
        ("2026-05-01,p-1,out,12.00,3900,x,bk-2", "positive number"),
        ("2026-05-01,p-1,out,0,3900,x,bk-2", "positive number"),
        ("2026-05-01,p-1,out,1200,3900.0,x,bk-2", "whole number"),
        ("2026-05-01,,out,1200,3900,x,bk-2", "1 to 200 characters"),
        (f"2026-05-01,{'r' * 201},out,1200,3900,x,bk-2", "1 to 200 characters"),
    ],
)
def test_a_row_that_cannot_be_read_is_kept_aside(row: str, reason: str) -> None:
    """The others are used, and the sums and balances, which nobody can follow then, are not."""
    lines = TABLE.splitlines()
    statement = read(sealed("\n".join([*lines[:2], row, lines[3], ""])))
    assert [number for number, _ in statement.rows] == [1, 3]
    (kept,) = statement.quarantined
    assert (kept.row_no, kept.raw) == (2, row)
    assert reason in kept.reason
    assert statement.totals["rows"] == 3
    assert "rows=3" in faults(sealed("\n".join([*lines[:2], row, ""])))


def test_more_money_than_there_is_is_refused() -> None:
    """Sums of what files say must fit the books; one row that cannot be read hides their check."""
    half = MOVED_FEN_MAX // 2
    header = TABLE.splitlines()[0]
    rows = [f"2026-05-01,p-{n},in,{half},{half},x,bk-{n}" for n in range(2)]
    totals = "opening_fen=0;closing_fen=5;rows=3;in_fen=0;out_fen=0"
    assert read(sealed("\n".join([header, *rows, "bad", ""]), totals)).quarantined
    more = "\n".join([header, *rows, rows[0].replace(f",{half},", ",1,", 1), "bad", ""])
    assert f"more than {MOVED_FEN_MAX}" in faults(sealed(more, totals.replace("=3", "=4")))


@pytest.mark.parametrize("account", ["a;b", "a=b", "a\nb", "a\rb"])
def test_an_account_that_would_break_the_first_line_is_not_written(account: str) -> None:
    with pytest.raises(ValueError, match="cannot be named"):
        write([ROWS[0]], account=account, day=DAY, opening_fen=0)
