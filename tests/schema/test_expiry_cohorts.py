"""Cohorts of vouchers that end together: one a claim day and kind, at the city's midnight."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from tests import builders
from tests.builders import DropTerms, Kind
from tests.schema.undoing import undone

WEEK, FORTNIGHT = Kind("meal", 1001, 3, valid_days=7), Kind("book", 500, 1, valid_days=14)
MIDNIGHT_UTC_HOUR = 16  # of Asia/Shanghai


@pytest.mark.parametrize(
    ("claimed_at", "days", "until"),
    [
        ("2026-11-10T15:59:59.999999Z", 1, "2026-11-10T16:00:00Z"),
        ("2026-11-10T16:00:00Z", 1, "2026-11-11T16:00:00Z"),
        ("2026-11-10T16:00:00.000001Z", 1, "2026-11-11T16:00:00Z"),
        ("2026-11-10T15:59:59.999999Z", 7, "2026-11-16T16:00:00Z"),
        ("2026-11-10T16:00:00Z", 7, "2026-11-17T16:00:00Z"),
        ("2026-12-31T15:59:59Z", 7, "2027-01-06T16:00:00Z"),
    ],
)
async def test_the_claim_day_counts_and_the_last_day_ends_at_midnight(
    claimant: asyncpg.Connection, claimed_at: str, days: int, until: str
) -> None:
    ends = await claimant.fetchval(
        "SELECT claim.valid_until($1, $2, NULL)", datetime.fromisoformat(claimed_at), days
    )
    assert ends == datetime.fromisoformat(until)


async def test_a_fixed_end_is_the_end(claimant: asyncpg.Connection) -> None:
    fixed = datetime(2026, 12, 1, tzinfo=UTC)
    assert fixed == await claimant.fetchval("SELECT claim.valid_until(now(), NULL, $1)", fixed)


async def test_cohorts_open_once_a_day_and_kind(owner: asyncpg.Connection) -> None:
    """Played on the clock, from before one midnight to after the next."""
    async with undone(owner):
        day = await _day_after_tomorrow(owner)
        drop_id = await _drop(owner)
        midnight = datetime(day.year, day.month, day.day, MIDNIGHT_UTC_HOUR, tzinfo=UTC)

        await _set_clock(owner, midnight - timedelta(seconds=30))
        await builders.issue(owner, drop_id, 2)
        await builders.issue(owner, drop_id, 1)
        first = {("meal", midnight + timedelta(days=6)), ("book", midnight + timedelta(days=13))}
        assert await _cohorts(owner, drop_id) == first

        await _set_clock(owner, midnight)
        await builders.issue(owner, drop_id, 1)
        await builders.issue(owner, drop_id, 1)
        second = {("meal", midnight + timedelta(days=7)), ("book", midnight + timedelta(days=14))}
        assert await _cohorts(owner, drop_id) == first | second

        # Every claim's vouchers belong to a cohort that is there.
        orphans = await owner.fetchval(
            "SELECT count(*) FROM claim.claims AS c JOIN campaign.voucher_kinds AS k"
            " USING (city_id, drop_id) WHERE c.drop_id = $1 AND NOT EXISTS ("
            "   SELECT 1 FROM claim.expiry_cohorts AS e WHERE e.drop_id = c.drop_id"
            "   AND e.kind_id = k.kind_id AND e.valid_until = claim.valid_until("
            "     c.claimed_at, k.valid_days, k.valid_until))",
            drop_id,
        )
        assert orphans == 0


async def test_a_kind_with_a_fixed_end_has_one_cohort(owner: asyncpg.Connection) -> None:
    fixed = datetime(2030, 1, 1, tzinfo=UTC)
    async with undone(owner):
        drop_id = await _drop(owner)
        await owner.execute(
            "UPDATE campaign.voucher_kinds SET valid_days = NULL, valid_until = $2"
            " WHERE drop_id = $1",
            *(drop_id, fixed),
        )
        await builders.issue(owner, drop_id, 1)
        await owner.fetchval("SELECT campaign.advance_clock($1)", 86_400_000_000)
        await builders.issue(owner, drop_id, 1)
        assert await _cohorts(owner, drop_id) == {("meal", fixed), ("book", fixed)}


async def test_a_batch_that_wins_nothing_opens_no_cohort(owner: asyncpg.Connection) -> None:
    async with undone(owner):
        drop_id = await _drop(owner, quota=1)
        won = await builders.issue(owner, drop_id, 1)
        before = await _cohorts(owner, drop_id)
        await owner.fetchval("SELECT campaign.advance_clock($1)", 86_400_000_000)
        late = await builders.issue(owner, drop_id, 2, persons=[*won.persons, won.persons[0]])
        assert late.outcomes == ["replayed", "replayed"]
        assert (await builders.issue(owner, drop_id, 1)).outcomes == ["sold_out"]
        assert await _cohorts(owner, drop_id) == before


async def _drop(owner: asyncpg.Connection, quota: int = 10) -> UUID:
    programme = await builders.make_programme(owner)
    terms = DropTerms(quota=quota, pack=(WEEK, FORTNIGHT), closes_in=timedelta(days=10))
    drop_id = await builders.make_drop(owner, programme, terms)
    await builders.publish(owner, drop_id)
    return drop_id


async def _day_after_tomorrow(owner: asyncpg.Connection) -> date:
    """Far enough ahead that the development clock, which only goes forward, can reach it."""
    day: date = await owner.fetchval("SELECT (campaign.now() AT TIME ZONE 'UTC')::date + 2")
    return day


async def _set_clock(owner: asyncpg.Connection, moment: datetime) -> None:
    ahead = await owner.fetchval("SELECT $1::timestamptz - campaign.now()", moment)
    by_us = ahead // timedelta(microseconds=1)
    await owner.fetchval("SELECT campaign.advance_clock($1)", by_us)


async def _cohorts(owner: asyncpg.Connection, drop_id: UUID) -> set[tuple[str, datetime]]:
    rows = await owner.fetch(
        "SELECT kind_id, valid_until FROM claim.expiry_cohorts WHERE drop_id = $1", drop_id
    )
    assert len({tuple(row) for row in rows}) == len(rows)
    return {(row["kind_id"], row["valid_until"]) for row in rows}
