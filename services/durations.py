"""Durations as people type them: 8d, 12h, 1d12h, 90s."""

import re
from datetime import timedelta

_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_DURATION = re.compile(r"(?:\d{1,6}[dhms])+")
_PART = re.compile(r"(\d{1,6})([dhms])")


def parse_duration(text: str) -> timedelta:
    """Return the duration that `text` spells. Raises ValueError, saying how to write one."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write 8d, 12h, 30m, 45s or a sum like 1d12h")
    return sum(
        (timedelta(**{_UNITS[unit]: int(count)}) for count, unit in _PART.findall(text)),
        timedelta(),
    )
