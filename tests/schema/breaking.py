"""What breaks a constraint: a row, or a statement where a fresh row cannot be had."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.schema.rows import NEW_ID


@dataclass(frozen=True, slots=True)
class Row:
    """A fresh row of the constraint's table with these SQL expressions in its columns.

    `without` names a stronger constraint of the same table that would refuse the row first.
    """

    differs: Mapping[str, str]
    without: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, where a fresh row cannot be had."""

    sql: str


Violation = Row | Statement


def row(**differs: str) -> Row:
    return Row(differs)


NOWHERE = NEW_ID
"""A reference to a row that does not exist."""
