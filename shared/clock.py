"""The one clock. Production runs on real time; a development data dir may shift it."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

CITY_TIME = ZoneInfo("Asia/Shanghai")


class Clock:
    """Wall-clock time plus the deployment's offset, which `campaign.clock` holds.

    Token expiry, signature windows and time-outs use real time and never ask this clock.
    """

    __slots__ = ("offset_us",)

    def __init__(self, offset_us: int = 0) -> None:
        self.offset_us = offset_us

    def now_us(self) -> int:
        """Return microseconds since the epoch."""
        return time.time_ns() // 1000 + self.offset_us

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return datetime.now(UTC) + timedelta(microseconds=self.offset_us)


def rfc3339(moment: datetime) -> str:
    """Return an aware datetime as RFC 3339 in UTC, microseconds included."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00") + "Z"
