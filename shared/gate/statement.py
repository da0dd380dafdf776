"""What the ledger says about a drop."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Return an aware datetime as microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Statement:
    """A function of the drop's version: of two statements, the one of the higher version holds."""

    version: int
    state: str
    remaining: int
    issued: int
    quota: int
    opens_us: int
    closes_us: int

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Statement":
        """Read the `drop_*` columns that every server-side function about a drop returns."""
        return cls(
            version=row["drop_version"],
            state=row["drop_state"],
            remaining=row["drop_quota"] - row["drop_live"],
            issued=row["drop_issued"],
            quota=row["drop_quota"],
            opens_us=microseconds(row["drop_opens_at"]),
            closes_us=microseconds(row["drop_closes_at"]),
        )


READ_STATEMENT = """
    SELECT version AS drop_version, state AS drop_state, opens_at AS drop_opens_at,
        closes_at AS drop_closes_at, quota AS drop_quota, live AS drop_live, issued AS drop_issued
    FROM campaign.drops
    WHERE city_id = $1 AND drop_id = $2
"""
