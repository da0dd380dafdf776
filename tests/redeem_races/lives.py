"""Short-lived vouchers: drops whose only cohort ends in some milliseconds."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from tests import builders
from tests.builders import DropTerms, Kind, Programme

PACK = (Kind("meal", 1001, 2),)


async def make_programme(owner: asyncpg.Connection) -> Programme:
    """Make a programme in which the merchants absorb a part of every voucher."""
    return await builders.make_programme(owner, shares={"city": 6667, "shops": 3333}, pool="shops")


async def issue_short_lived(
    owner: asyncpg.Connection, programme: Programme, lives: timedelta, *, claims: int = 1
) -> tuple[list[UUID], datetime]:
    """Return claims of a drop of their own, and when all their vouchers end."""
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=claims + 2, pack=PACK))
    ends_at = datetime.now(UTC) + lives
    await owner.execute(
        "UPDATE campaign.voucher_kinds SET valid_days = NULL, valid_until = $1 WHERE drop_id = $2",
        *(ends_at, drop_id),
    )
    await builders.publish(owner, drop_id)
    return (await builders.issue(owner, drop_id, claims)).won, ends_at
