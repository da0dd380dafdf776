"""Programmes, drops and claims, made through the functions that the services call.

Every builder takes a connection of the database's owner.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import asyncpg

from shared.bookkeeping.splitting import split_by_largest_remainder
from shared.ids import city_of, new_id

CITY_CODE = "330100"
OPERATOR = "operator-1"
SHARES = MappingProxyType({"city": 6667, "platform": 3333})
"""Shares that split no round face evenly, so that a wrong rounding shows."""


@dataclass(frozen=True, slots=True)
class Programme:
    programme_id: UUID
    shares: Mapping[str, int]

    @property
    def city_id(self) -> int:
        return city_of(self.programme_id)


@dataclass(frozen=True, slots=True)
class Kind:
    kind_id: str
    face_fen: int
    count: int
    min_spend_fen: int = 4000
    valid_days: int = 7


PACK = (Kind("meal", 1001, 3), Kind("book", 500, 1))


@dataclass(frozen=True, slots=True)
class DropTerms:
    """What a drop offers. It opened an hour ago unless `opens_in` says otherwise."""

    quota: int = 10
    limit_per_holder: int = 1
    pack: Sequence[Kind] = PACK
    reclaim_after_release: bool = False
    rail: str = "bank"
    opens_in: timedelta = field(default=timedelta(hours=-1))
    closes_in: timedelta = field(default=timedelta(hours=1))


async def make_programme(
    connection: asyncpg.Connection,
    *,
    city_code: str = CITY_CODE,
    shares: Mapping[str, int] = SHARES,
    funded_fen: int = 10**9,
    pool: str | None = None,
) -> Programme:
    """Make a programme whose funders have each paid in `funded_fen` (0: nothing yet).

    The funder `pool`, if there is one, is the merchants' own and has promised its part.
    """
    city_id = await connection.fetchval("SELECT campaign.city_number($1)", city_code)
    programme = Programme(new_id(city_id), shares)
    await connection.execute(
        "INSERT INTO campaign.programmes (city_id, programme_id, name, created_at, created_by)"
        " VALUES ($1, $2, 'Autumn vouchers', campaign.now(), $3)",
        *(city_id, programme.programme_id, OPERATOR),
    )
    for position, (funder_id, share_bp) in enumerate(shares.items()):
        await connection.execute(
            "INSERT INTO campaign.funders (city_id, programme_id, funder_id, position, name, kind,"
            " share_bp, mode) VALUES ($1, $2, $3, $4, $3, $6, $5, $7)",
            *(city_id, programme.programme_id, funder_id, position, share_bp),
            *(("merchant_pool", "pledge") if funder_id == pool else ("government", "cash")),
        )
        if funded_fen:
            kind = "J2" if funder_id == pool else "J1"
            await fund(connection, programme, funder_id, funded_fen, kind)
    return programme


async def fund(
    connection: asyncpg.Connection,
    programme: Programme,
    funder_id: str,
    amount_fen: int,
    journal_kind: str = "J1",
) -> UUID:
    """Book money (J1), a promise (J2) or a promise paid (J3); it must be accepted."""
    funding_id = new_id(programme.city_id)
    outcome = await connection.fetchval(
        "SELECT campaign.fund($1, $2, $3, $4, $5, 'receipt', $6, $7)",
        *(programme.city_id, programme.programme_id, funding_id, funder_id, amount_fen),
        *(journal_kind, OPERATOR),
    )
    assert outcome == "booked", outcome
    return funding_id


async def make_drop(
    connection: asyncpg.Connection, programme: Programme, terms: DropTerms | None = None
) -> UUID:
    """Write a drop as a draft, with its pack and what each funder pays of it."""
    terms = terms or DropTerms()
    drop_id = new_id(programme.city_id)
    now = datetime.now(UTC)
    await connection.execute(
        "INSERT INTO campaign.drops (city_id, drop_id, programme_id, name, mode, admission, rail,"
        " reserve_mode, reclaim_after_release, opens_at, closes_at, limit_per_holder,"
        " pack_face_fen, state, version, quota, issued, live, created_at, created_by)"
        " VALUES ($1, $2, $3, 'Friday', 'grab', 'open', $4, 'full', $5, $6, $7, $8, $9, 'draft',"
        " 0, $10, 0, 0, $11, $12)",
        *(programme.city_id, drop_id, programme.programme_id, terms.rail),
        *(terms.reclaim_after_release, now + terms.opens_in, now + terms.closes_in),
        *(terms.limit_per_holder, sum(kind.face_fen * kind.count for kind in terms.pack)),
        *(terms.quota, now, OPERATOR),
    )
    for position, kind in enumerate(terms.pack):
        await connection.execute(
            "INSERT INTO campaign.voucher_kinds (city_id, drop_id, kind_id, position, name,"
            " category, face_fen, min_spend_fen, count, valid_days, refund_policy, benefit)"
            " VALUES ($1, $2, $3, $4, $3, 'catering', $5, $6, $7, $8, 'restore', 'amount')",
            *(programme.city_id, drop_id, kind.kind_id, position, kind.face_fen),
            *(kind.min_spend_fen, kind.count, kind.valid_days),
        )
        for funder_id, amount_fen in split_by_largest_remainder(
            kind.face_fen, programme.shares
        ).items():
            await connection.execute(
                "INSERT INTO campaign.kind_shares (city_id, drop_id, kind_id, funder_id,"
                " amount_fen) VALUES ($1, $2, $3, $4, $5)",
                *(programme.city_id, drop_id, kind.kind_id, funder_id, amount_fen),
            )
    return drop_id


async def change_drop(
    connection: asyncpg.Connection, drop_id: UUID, change: str, quota: int | None = None
) -> str:
    """Publish, pause, resume or close a drop, or change its quota; return the outcome."""
    outcome: str = await connection.fetchval(
        "SELECT outcome FROM campaign.change_drop($1, $2, $3, $4, $5)",
        *(city_of(drop_id), drop_id, change, quota, OPERATOR),
    )
    return outcome


async def publish(connection: asyncpg.Connection, drop_id: UUID) -> None:
    assert await change_drop(connection, drop_id, "publish") == "done"


async def make_persons(connection: asyncpg.Connection, city_id: int, count: int) -> list[UUID]:
    """Resolve subjects that nobody has seen before."""
    persons: list[UUID] = await connection.fetchval(
        "SELECT claim.resolve_persons($1, 1::smallint, $2, $3)",
        city_id,
        [os.urandom(32) for _ in range(count)],
        [new_id(city_id) for _ in range(count)],
    )
    return persons


@dataclass(frozen=True, slots=True)
class Issued:
    """What a batch of attempts got; a claim id is None where the attempt was refused."""

    outcomes: list[str]
    claim_ids: list[UUID | None]
    persons: list[UUID]

    @property
    def won(self) -> list[UUID]:
        return [claim for claim in self.claim_ids if claim is not None]


async def issue(
    connection: asyncpg.Connection,
    drop_id: UUID,
    count: int,
    *,
    persons: Sequence[UUID] | None = None,
    request_keys: Sequence[str] | None = None,
) -> Issued:
    """Send one batch of `count` attempts, of fresh persons unless they are given."""
    city_id = city_of(drop_id)
    asking = list(persons or await make_persons(connection, city_id, count))
    row = await connection.fetchrow(
        "SELECT * FROM claim.issue($1, $2, $3, $4, $5, $6)",
        *(city_id, drop_id, [new_id(city_id) for _ in range(count)], asking),
        *(list(request_keys or [""] * count), [None] * count),
    )
    assert row is not None
    return Issued(row["outcomes"], row["claim_ids"], asking)


async def release(connection: asyncpg.Connection, claim_id: UUID, *, reopen: bool) -> str:
    """Give a claim back to the drop (J7a) or withdraw its pack (J7b); return the outcome."""
    outcome: str = await connection.fetchval(
        "SELECT outcome FROM claim.release($1, $2, $3, 'returned', $4)",
        *(city_of(claim_id), claim_id, reopen, OPERATOR),
    )
    return outcome
