"""Types of request fields, so strict that nothing a client sends can surprise the database."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

FEN_MAX: Final = 10**13
_YEAR_MIN = 2000
_YEAR_MAX = 2200
# Controls, lone surrogates, line and paragraph separators: none is text of one line.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Bidirectional overrides and isolates let a name be shown as another.
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def _one_line(text: str) -> str:
    if any(unicodedata.category(c) in _REFUSED_CATEGORIES or c in _BIDI_CONTROLS for c in text):
        raise ValueError("control characters are not allowed")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _to_moment(given: object) -> datetime:
    if isinstance(given, datetime):
        moment = given
    elif isinstance(given, str) and _RFC3339.fullmatch(given):
        # Python reads at most microseconds; nobody opens a drop on a nanosecond.
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", given.upper()))
    else:
        raise ValueError("must be an RFC 3339 time with its offset, as 2026-05-01T10:00:00Z")
    if moment.tzinfo is None:
        raise ValueError("must have a time zone")
    # The years are judged as given, too: a time next to year 1 or 9999 cannot be moved to UTC.
    if not (_is_near(moment) and _is_near(moment.astimezone(UTC))):
        raise ValueError(f"must lie in the years {_YEAR_MIN} to {_YEAR_MAX}")
    return moment.astimezone(UTC)


def _is_near(moment: datetime) -> bool:
    return _YEAR_MIN <= moment.year <= _YEAR_MAX


Text = Annotated[str, AfterValidator(_one_line)]
"""One line of text in any script; add a length, as in Annotated[Text, Field(max_length=40)]."""

Name = Annotated[
    str, Field(min_length=1, max_length=120), AfterValidator(_one_line), AfterValidator(_not_blank)
]
"""What people call something: one line, not blank, at most 120 characters."""

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""A name for machines, chosen by a client."""

Fen = Annotated[int, Field(strict=True, ge=1, le=FEN_MAX)]
"""A positive amount of money."""

UtcTime = Annotated[
    datetime,
    BeforeValidator(_to_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An RFC 3339 time with its offset, kept in UTC."""


class StrictModel(BaseModel):
    """The base of request bodies: unknown fields are refused and nothing is converted.

    An integer does not come from "1", 1.0 or true. An enumeration needs `Field(strict=False)`,
    since JSON has only its value. Strings are `Text`, `Name` or `Identifier`, or a Literal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
