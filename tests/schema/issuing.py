"""`claim.issue`, asked and answered in full."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from shared.ids import city_of, new_id


@dataclass(frozen=True, slots=True)
class Answer:
    """What a batch got, attempt by attempt, and the drop as it stood afterwards."""

    outcomes: list[str]
    claim_ids: list[UUID | None]
    serials: list[int | None]
    claimed_ats: list[datetime | None]
    drop_version: int
    drop_state: str
    drop_quota: int
    drop_live: int
    drop_issued: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Attempts of these persons; the claim ids are fixed, so that it can be sent again."""

    drop_id: UUID
    claim_ids: Sequence[UUID]
    persons: Sequence[UUID]
    request_keys: Sequence[str]

    @classmethod
    def of(
        cls, drop_id: UUID, persons: Sequence[UUID], request_keys: Sequence[str] | None = None
    ) -> "Batch":
        ids = [new_id(city_of(drop_id)) for _ in persons]
        return cls(drop_id, ids, persons, request_keys or [""] * len(persons))

    async def send(self, connection: asyncpg.Connection) -> Answer:
        row = await connection.fetchrow(
            "SELECT * FROM claim.issue($1, $2, $3, $4, $5, $6)",
            *(city_of(self.drop_id), self.drop_id, self.claim_ids, self.persons),
            *(self.request_keys, [None] * len(self.persons)),
        )
        assert row is not None
        return Answer(**{name: row[name] for name in Answer.__slots__})


async def resolve(connection: asyncpg.Connection, hashes: Sequence[bytes]) -> list[UUID]:
    """Resolve subject hashes, minting a person for each new one."""
    persons: list[UUID] = await connection.fetchval(
        "SELECT claim.resolve_persons(1::smallint, 1::smallint, $1, $2)",
        hashes,
        [new_id(1) for _ in hashes],
    )
    return persons
