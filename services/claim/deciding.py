"""The ledger's decisions on a batch, and what the claim path reads from it."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from services.claim.attempts import Attempt
from services.claim.definitions import Definition
from services.claim.holders import IDENTITY_KEY_VERSION
from shared.db.calling import AWAY, Calls, Fetch
from shared.gate.statement import READ_STATEMENT, Statement
from shared.ids import new_id

_log = structlog.get_logger()

# The server's own bounds (1.5 s for a lock, 5 s for a statement) end a call that waits; this one
# ends a call whose server does not answer at all.
COMMAND_TIMEOUT_S = 2.5
# Both pools together stay well below what Postgres accepts from every process of a deployment.
POOL_SIZE = 12
READ_POOL_SIZE = 4
# claim.winner_keys lists this many serials a call.
WINNERS_LISTED_AT_ONCE = 200_000
_RESEND_PAUSE_S = (0.01, 0.05)

_ISSUE = "SELECT * FROM claim.issue($1, $2, $3, $4, $5, $6)"
_FIND = "SELECT * FROM claim.find_claims($1, $2, $3, $4, $5)"
_RESOLVE = "SELECT claim.resolve_persons($1, $2, $3, $4)"
_WINNERS = "SELECT claim.winner_keys($1, $2, $3, $4)"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the ledger decided on one attempt; the claim is given when it is won."""

    outcome: str
    claim_id: UUID | None
    serial: int | None
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """A live claim of a holder who was served before."""

    claim_id: UUID
    serial: int
    claimed_at: datetime


class Ledger:
    """The claim path's calls to Postgres.

    Each is one statement in autocommit: nothing is held between round trips, so a stopped process
    hangs nobody.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._calls = Calls(pool, timeout_s=COMMAND_TIMEOUT_S)

    async def _call(self, fetch: Fetch, statement: str, *arguments: Any) -> Any:  # noqa: ANN401
        return await self._calls.call(fetch, statement, *arguments)

    async def read_statement(self, definition: Definition) -> Statement:
        """Read where the drop stands, without any lock."""
        row = await self._call("fetchrow", READ_STATEMENT, definition.city_id, definition.drop_id)
        return Statement.of_row(row)

    async def winner_keys(self, definition: Definition, after_serial: int) -> bytes:
        """Return the holder keys of the serials after one, as `Winners.add` takes them.

        At most `WINNERS_LISTED_AT_ONCE` serials are listed.
        """
        keys: bytes = await self._call(
            "fetchval",
            _WINNERS,
            definition.city_id,
            definition.drop_id,
            IDENTITY_KEY_VERSION,
            after_serial,
        )
        return keys

    async def find_claims(
        self, definition: Definition, attempts: Sequence[Attempt]
    ) -> list[Found | None]:
        """Return the claim that each attempt was given before, or None; takes no lock."""
        rows = await self._call(
            "fetch",
            _FIND,
            definition.city_id,
            definition.drop_id,
            IDENTITY_KEY_VERSION,
            [attempt.holder.subject_hash for attempt in attempts],
            [attempt.request_key for attempt in attempts],
        )
        found: list[Found | None] = [None] * len(attempts)
        for row in rows:
            found[row["place"] - 1] = Found(row["claim_id"], row["serial"], row["claimed_at"])
        return found

    async def persons(self, city_id: int, subject_hashes: Sequence[bytes]) -> list[UUID]:
        """Return the persons behind subjects, minting those who are new."""
        minted = [new_id(city_id) for _ in subject_hashes]
        people: list[UUID] = await self._call(
            "fetchval", _RESOLVE, city_id, IDENTITY_KEY_VERSION, list(subject_hashes), minted
        )
        return people

    async def issue(
        self, definition: Definition, attempts: Sequence[Attempt], *, until_s: float
    ) -> tuple[list[Decision | None], Statement | None]:
        """Decide a batch, sending it again until `until_s` (loop time) while its fate is unknown.

        A None decision means that the ledger gave no answer in time; the attempt may still have
        been decided, and the same request will be told of it.
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await self._issue_once(definition, attempts)
            except AWAY as fault:
                _log.warning("batch sent again", drop_id=str(definition.drop_id), fault=repr(fault))
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as fault:
                return await self._bisect(definition, attempts, fault, until_s=until_s)
            pause = random.uniform(*_RESEND_PAUSE_S)
            if loop.time() + pause >= until_s:
                return [None] * len(attempts), None
            await asyncio.sleep(pause)

    async def _issue_once(
        self, definition: Definition, attempts: Sequence[Attempt]
    ) -> tuple[list[Decision | None], Statement | None]:
        await self._resolve(definition, attempts)
        row = await self._call(
            "fetchrow",
            _ISSUE,
            definition.city_id,
            definition.drop_id,
            [attempt.claim_id for attempt in attempts],
            [attempt.person_id for attempt in attempts],
            [attempt.request_key for attempt in attempts],
            [attempt.channel for attempt in attempts],
        )
        decisions = [
            Decision(*decided)
            for decided in zip(
                row["outcomes"], row["claim_ids"], row["serials"], row["claimed_ats"], strict=True
            )
        ]
        return list(decisions), Statement.of_row(row)

    async def _resolve(self, definition: Definition, attempts: Sequence[Attempt]) -> None:
        strangers = [attempt for attempt in attempts if attempt.person_id is None]
        if not strangers:
            return
        hashes = [attempt.holder.subject_hash for attempt in strangers]
        people = await self.persons(definition.city_id, hashes)
        for attempt, person_id in zip(strangers, people, strict=True):
            attempt.person_id = person_id

    async def _bisect(
        self,
        definition: Definition,
        attempts: Sequence[Attempt],
        fault: Exception,
        *,
        until_s: float,
    ) -> tuple[list[Decision | None], Statement | None]:
        """Keep one bad row from failing its whole batch: try the halves by themselves."""
        if len(attempts) == 1 or asyncio.get_running_loop().time() >= until_s:
            _log.error("attempts refused by the ledger", count=len(attempts), fault=repr(fault))
            return [None] * len(attempts), None
        middle = len(attempts) // 2
        first, earlier = await self.issue(definition, attempts[:middle], until_s=until_s)
        second, later = await self.issue(definition, attempts[middle:], until_s=until_s)
        return first + second, later or earlier
