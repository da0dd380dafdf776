"""What is wrong with a file: values, since files of others are expected to be wrong."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

FILE_BYTES_MAX = 5 * 1024 * 1024
ROWS_MAX = 100_000
# Books add up what files say, day after day, in numbers of 64 bits.
MOVED_FEN_MAX = 10**15
# Databases take the first and the last date that there is for no date at all.
_YEARS = range(2000, 2201)


@dataclass(frozen=True, slots=True)
class FormatFault:
    """A file of which nothing may be used; each fault names what is wrong and where."""

    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """A row that cannot be read, kept as it came with the reason."""

    row_no: int
    raw: str
    reason: str


def decode_file(content: bytes) -> str | FormatFault:
    """Return a file's text, with or without a byte order mark."""
    if len(content) > FILE_BYTES_MAX:
        return FormatFault((f"the file has more than {FILE_BYTES_MAX} bytes",))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return FormatFault((f"the file is not UTF-8: byte {error.start} cannot be read",))
    if "\x00" in text:
        return FormatFault(("the file holds a zero byte",))
    return text


def one_line(text: str) -> str:
    """Return a text without line ends, which would end a row for some reader or other."""
    return text.replace("\r", " ").replace("\n", " ")


def parse_amount(text: str) -> int | None:
    """Return a positive amount in fen, None for anything else."""
    if not text.isascii() or not text.isdigit() or len(text) > 15:  # noqa: PLR2004 - fits a bigint
        return None
    return int(text) or None


def parse_day(text: str) -> date | None:
    """Return a date of our time written as 2026-05-01, None for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text and is_of_our_time(day) else None


def is_of_our_time(day: date | datetime) -> bool:
    """Return whether a date may be meant: one of the years 2000 to 2200."""
    return day.year in _YEARS


def moves_too_much(amounts_fen: Iterable[int]) -> list[str]:
    """Return the fault of a file whose rows together are more than any account ever moves."""
    moved_fen = sum(amounts_fen)
    if moved_fen <= MOVED_FEN_MAX:
        return []
    return [f"the rows move {moved_fen} fen, more than {MOVED_FEN_MAX}"]
