"""The examples in docs/formats are files that are read as they stand."""

import re
from pathlib import Path

import pytest

from shared.formats import bank_statement, ecny_daily, payout_file
from shared.formats.faults import FormatFault

DOCS = Path(__file__).parents[2] / "docs" / "formats"
_EXAMPLE = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> tuple[str, bytes]:
    text = (DOCS / f"{name}.md").read_text()
    example = _EXAMPLE.search(text)
    assert example is not None
    return text, example[1].encode()


def test_the_daily_file() -> None:
    text, example = page("ecny-daily")
    file = ecny_daily.parse(example)
    assert not isinstance(file, FormatFault), file
    assert not file.quarantined
    assert {row.kind for _, row in file.rows} == set(ecny_daily.KINDS)
    for total in file.totals:
        assert re.search(rf"\b{total}\b", text), total
    rows = [row for _, row in file.rows]
    again = ecny_daily.write(
        rows, institution=file.institution, wallet=file.wallet, day=file.day, sequence=file.sequence
    )
    assert again == example


def test_the_bank_statement() -> None:
    text, example = page("bank-statement")
    read = bank_statement.parse(example)
    assert not isinstance(read, FormatFault), read
    assert not read.quarantined
    rows = [row for _, row in read.rows]
    again = bank_statement.write(
        rows, account=read.account, day=read.day, opening_fen=read.opening_fen
    )
    assert again == example
    for column in bank_statement.COLUMNS:
        assert f"| {column} |" in text, column


def test_the_payout_file() -> None:
    text, example = page("payout-file")
    file = payout_file.parse(example)
    assert not isinstance(file, FormatFault), file
    assert payout_file.write(file) == b"\xef\xbb\xbf" + example
    for column in payout_file.COLUMNS:
        assert re.search(rf"^\|.*\b{column}\b.*\|", text, re.MULTILINE), column


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_no_layout_claims_to_be_a_standard(path: Path) -> None:
    assert "not a standard" in path.read_text()


def test_every_layout_has_a_page() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == {
        "ecny-daily",
        "bank-statement",
        "payout-file",
    }
