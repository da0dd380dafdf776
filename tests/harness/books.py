"""The ledger as the tests read it, and the invariants."""

from collections.abc import Collection, Iterable
from typing import Any

from services.auditing import audit
from services.claim.holders import Identities
from tests.harness.city import Drop
from tests.harness.history import Claimed, LedgerDrop, Moment
from tests.harness.stack import Stack

_DROP = """
    SELECT limit_per_holder, quota, issued, live, opens_at, closes_at, reclaim_after_release
    FROM campaign.drops WHERE drop_id = $1
"""
_CLAIMS = """
    SELECT c.claim_id, c.request_key, c.serial, c.version, c.claimed_at, c.released_at,
        i.identity_hash
    FROM claim.claims AS c
    JOIN claim.person_identities AS i USING (city_id, person_id)
    WHERE c.drop_id = $1
    ORDER BY c.serial
"""
_CHANGES = """
    SELECT version, changed_at AS at, kind, quota_after, 0 AS live_change
    FROM campaign.drop_changes WHERE drop_id = $1
    UNION ALL
    SELECT version, min(claimed_at), 'claims', NULL, count(*) FROM claim.claims
    WHERE drop_id = $1 GROUP BY version
    UNION ALL
    SELECT version, released_at, journal_kind, NULL, -1
    FROM claim.claim_releases WHERE drop_id = $1
    ORDER BY version
"""
_STATES = {"publish": "live", "resume": "live", "pause": "paused", "close": "closed"}


async def read_drop(stack: Stack, drop: Drop, holders: Collection[str]) -> LedgerDrop:
    """Read a drop with its claims and its whole course, in one snapshot.

    `holders` are the residents' subjects; a claim of anybody else is shown as a stranger's.
    """
    identities = Identities(stack.secrets)
    named = {identities.subject_hash(drop.city_id, holder): holder for holder in holders}
    connection = await stack.connect_owner()
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            row = await connection.fetchrow(_DROP, drop.key)
            claims = await connection.fetch(_CLAIMS, drop.key)
            changes = await connection.fetch(_CHANGES, drop.key)
    finally:
        await connection.close()
    assert row is not None, f"{drop} is not in the ledger"
    limit, quota, issued, live, opens_at, closes_at, reclaim = row
    return LedgerDrop(
        limit=limit,
        quota=quota,
        issued=issued,
        live=live,
        opens_at=opens_at,
        closes_at=closes_at,
        reclaim=reclaim,
        claims=[
            Claimed(
                str(claim["claim_id"]),
                named.get(claim["identity_hash"], f"stranger {claim['identity_hash'].hex()}"),
                claim["request_key"],
                claim["serial"],
                claim["claimed_at"],
                claim["released_at"],
            )
            for claim in claims
        ],
        moments=_course(changes),
    )


def _course(changes: Iterable[Any]) -> list[Moment]:
    moments: list[Moment] = []
    quota, live, state = 0, 0, "draft"
    for change in changes:
        quota = quota if change["quota_after"] is None else change["quota_after"]
        # A withdrawn pack (J7b) leaves the quota with its claim.
        quota -= change["kind"] == "J7b"
        live += change["live_change"]
        state = _STATES.get(change["kind"], state)
        moments.append(Moment(change["at"], quota, live, state))
    return moments


async def live_claims(stack: Stack, drop: Drop) -> int:
    """Count the claims that are committed and stand."""
    counted: int = await stack.owner.fetchval(
        "SELECT count(*) FROM claim.claims WHERE drop_id = $1 AND state = 'live'", drop.key
    )
    return counted


async def assert_books_are_sound(stack: Stack) -> None:
    """Run every invariant over every city; fail with the first offenders of each broken one."""
    checks = await audit(stack.postgres_url, stack.redis_url)
    broken = [
        f"{check.name}: {check.offenders} offenders, as {check.sample[:2]}"
        for check in checks
        if check.offenders
    ]
    assert not broken, "\n".join(broken)
