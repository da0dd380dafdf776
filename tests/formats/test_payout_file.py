"""The payout file: written, read back, and refused whole in every way that it can be wrong."""

import csv
import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.formats.faults import FILE_BYTES_MAX, FormatFault
from shared.formats.payout_file import PayoutFile, PayoutLine, parse, write
from tests.formats.writing import changed_once, payout_lines

FILE = PayoutFile(
    "batch-1",
    "acct-1",
    (
        PayoutLine("p-1", "e-1", "m-1", "=西湖面馆", "3301040160001234567", 1200, "May, 1st"),
        PayoutLine("p-2", "e-2", "m-2", "'t Hart", "+33", 800),
    ),
)
WRITTEN = write(FILE)


def faults(content: bytes) -> str:
    file = parse(content)
    assert isinstance(file, FormatFault), file
    return "; ".join(file.faults)


def test_what_a_bank_reads_is_what_was_meant() -> None:
    assert parse(WRITTEN) == FILE
    assert FILE.total_fen == 2000
    assert parse(write(PayoutFile("b", "a", ()))) == PayoutFile("b", "a", ())


def test_a_spreadsheet_sees_chinese_and_no_formula() -> None:
    assert WRITTEN.startswith(b"\xef\xbb\xbf")
    cells = list(csv.reader(io.StringIO(WRITTEN.decode("utf-8-sig"))))
    assert cells[2][3] == "'=西湖面馆"
    assert cells[3][3:5] == ["''t Hart", "'+33"]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for row in cells for cell in row)


@given(st.lists(payout_lines, max_size=12, unique_by=lambda line: line.end_to_end_no))
def test_what_is_written_is_read(lines: list[PayoutLine]) -> None:
    file = PayoutFile("batch-1", "账户 1", tuple(lines))
    assert parse(write(file)) == file


def test_a_name_of_several_lines_becomes_one() -> None:
    read = parse(write(PayoutFile("b", "a", (PayoutLine("p", "e", "m", "a\nb\r", "x", 1),))))
    assert isinstance(read, PayoutFile)
    assert read.lines[0].merchant_name == "a b "


@given(at=st.integers(0, len(WRITTEN) - 1), byte=st.integers(0, 255))
def test_a_changed_byte_is_noticed(at: int, byte: int) -> None:
    """Only the names of batch and account are stated once."""
    file = parse(changed_once(WRITTEN, at, byte))
    if isinstance(file, PayoutFile):
        assert file.lines == FILE.lines
        assert at < WRITTEN.index(b";rows=")


@given(
    st.binary(max_size=400) | st.text(max_size=400).map(lambda text: text.encode(errors="replace"))
)
def test_nothing_makes_it_raise(content: bytes) -> None:
    for spoilt in (content, b"#batch=" + content, WRITTEN[:150] + content + WRITTEN[150:]):
        assert isinstance(parse(spoilt), PayoutFile | FormatFault)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda _: b"", "first line must state"),
        (lambda file: file.replace(b"#batch", b"batch"), "first line must state"),
        (lambda file: file.replace(b"rows=2", b"rows=3"), "rows=3, the rows make 2"),
        (lambda file: file.replace(b"total_fen=2000", b"total_fen=2001"), "total_fen=2001"),
        (lambda file: file.replace(b",1200,", b",1201,"), "sha256"),
        (lambda file: file.replace(b",1200,", b",12.00,"), "row 1 must have"),
        (lambda file: file.replace(b",1200,", b",-1200,"), "row 1 must have"),
        (lambda file: file.replace(b",e-1,", b",,"), "row 1 must have"),
        (lambda file: file.replace(b",e-2,", b",e-1,"), "occurs twice"),
        (lambda file: file.replace(b",800,", b",800,,"), "row 2 must have 7 values"),
        (lambda file: file.replace(b"m-1", b"m" * 401), "at most 400 characters"),
        (lambda file: file.replace(b"account_no", b"account"), "columns must be"),
        (lambda file: file + b'"', "not CSV"),
        (lambda file: file.replace(b"m-1", b"\xff"), "not UTF-8"),
        (lambda file: file.replace(b"m-1", b"\x00"), "zero byte"),
        (lambda file: file + b" " * FILE_BYTES_MAX, "bytes"),
    ],
)
def test_every_fault_is_named(spoil: Callable[[bytes], bytes], named: str) -> None:
    """Nothing of a file is used that is not whole: no part of it is paid."""
    assert named in faults(spoil(WRITTEN))


@pytest.mark.parametrize("name", ["a;b", "a=b", "a\nb"])
def test_a_name_that_would_break_the_first_line_is_not_written(name: str) -> None:
    for file in (PayoutFile(name, "a", ()), PayoutFile("b", name, ())):
        with pytest.raises(ValueError, match="cannot be named"):
            write(file)
