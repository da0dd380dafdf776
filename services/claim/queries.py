"""What the claim service reads outside the hot path."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.claim.holders import IDENTITY_KEY_VERSION
from services.claim.packs import Touched
from shared.ids import city_of
from shared.voucher_ids import PACK_VOUCHERS_MAX

_CONNECTION_WAIT_S = 2.0

_CITIES = "SELECT city_id FROM campaign.cities"

_PUBLISHED_DROPS = """
    SELECT d.city_id, d.drop_id, d.opens_at
    FROM campaign.drops AS d
    JOIN campaign.cities AS c USING (city_id)
    WHERE d.published_at IS NOT NULL
        AND ($1::text IS NULL OR c.city_code = $1)
        AND ($2::timestamptz IS NULL OR (d.opens_at, d.drop_id) < ($2, $3))
    ORDER BY d.opens_at DESC, d.drop_id DESC
    LIMIT $4
"""

_PERSONS = """
    SELECT i.city_id, i.person_id
    FROM unnest($1::smallint[], $2::bytea[]) AS asked (city_id, identity_hash)
    JOIN claim.person_identities AS i
        ON i.city_id = asked.city_id AND i.dimension = 'subject' AND i.key_version = $3
        AND i.identity_hash = asked.identity_hash
"""

# Live and released claims have an index each; asked for together, neither would be used.
_CLAIMS_OF_PERSONS = """
    SELECT c.* FROM unnest($1::smallint[], $2::uuid[]) AS mine (city_id, person_id)
    CROSS JOIN LATERAL (
        SELECT claim_id, drop_id, serial, claimed_at, state FROM claim.claims
        WHERE city_id = mine.city_id AND person_id = mine.person_id AND state = 'live'
        UNION ALL
        SELECT claim_id, drop_id, serial, claimed_at, state FROM claim.claims
        WHERE city_id = mine.city_id AND person_id = mine.person_id AND state = 'released'
    ) AS c
    WHERE $3::uuid IS NULL OR c.claim_id <= $3
    ORDER BY c.claim_id DESC
    LIMIT $4
"""

_CLAIM_OF_SUBJECT = """
    SELECT c.claim_id, c.drop_id, c.serial, c.claimed_at, c.state
    FROM claim.claims AS c
    JOIN claim.person_identities AS i
        ON i.city_id = c.city_id AND i.person_id = c.person_id
        AND i.dimension = 'subject' AND i.key_version = $3 AND i.identity_hash = $4
    WHERE c.city_id = $1 AND c.claim_id = $2
"""

# One that no till has touched has no row.
_TOUCHED_VOUCHERS = """
    SELECT asked.claim_id, v.position, v.state, v.remaining_fen
    FROM unnest($1::smallint[], $2::uuid[]) AS asked (city_id, claim_id)
    CROSS JOIN LATERAL (
        SELECT position, state, remaining_fen FROM redeem.vouchers
        WHERE city_id = asked.city_id AND claim_id = asked.claim_id
        LIMIT $3
    ) AS v
"""


async def city_ids(pool: asyncpg.Pool) -> list[int]:
    return [row["city_id"] for row in await _fetch(pool, _CITIES)]


async def published_drops(
    pool: asyncpg.Pool,
    *,
    city_code: str | None,
    before: tuple[datetime, UUID] | None,
    limit: int,
) -> list[asyncpg.Record]:
    """Return published drops, latest opening first."""
    opens_at, drop_id = before or (None, None)
    return await _fetch(pool, _PUBLISHED_DROPS, city_code, opens_at, drop_id, limit)


async def claims_of_subject(
    pool: asyncpg.Pool,
    hashes: dict[int, bytes],
    *,
    from_claim: UUID | None,
    limit: int,
) -> Sequence[Any]:
    """Return the claims of one subject in every city, newest first, from `from_claim` on.

    `hashes` are the subject's keyed hashes by city.
    """
    persons = await _fetch(
        pool, _PERSONS, list(hashes), list(hashes.values()), IDENTITY_KEY_VERSION
    )
    return await _fetch(
        pool,
        _CLAIMS_OF_PERSONS,
        [row["city_id"] for row in persons],
        [row["person_id"] for row in persons],
        from_claim,
        limit,
    )


async def claim_of_subject(
    pool: asyncpg.Pool, city_id: int, claim_id: UUID, subject_hash: bytes
) -> asyncpg.Record | None:
    """Return a claim if it is this subject's, else None: nobody learns that it exists."""
    rows = await _fetch(
        pool, _CLAIM_OF_SUBJECT, city_id, claim_id, IDENTITY_KEY_VERSION, subject_hash
    )
    return rows[0] if rows else None


async def touched_vouchers(
    pool: asyncpg.Pool, claim_ids: Sequence[UUID]
) -> dict[UUID, dict[int, Touched]]:
    """Return the vouchers of these claims that a till has touched, by claim and position."""
    found: defaultdict[UUID, dict[int, Touched]] = defaultdict(dict)
    if claim_ids:
        cities = [city_of(claim_id) for claim_id in claim_ids]
        for row in await _fetch(pool, _TOUCHED_VOUCHERS, cities, claim_ids, PACK_VOUCHERS_MAX):
            found[row["claim_id"]][row["position"]] = Touched(row["state"], row["remaining_fen"])
    return found


async def _fetch(pool: asyncpg.Pool, statement: str, *arguments: Any) -> list[asyncpg.Record]:  # noqa: ANN401
    async with pool.acquire(timeout=_CONNECTION_WAIT_S) as connection:
        return await connection.fetch(statement, *arguments)
