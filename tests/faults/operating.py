"""What an operator's process does, step by step in a test's hands: locks, calls, no hand-over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from shared.db.urls import service_url
from tests.harness.city import Drop
from tests.harness.stack import Stack

_CHANGE = "SELECT outcome FROM campaign.change_drop($1, $2, $3, NULL, 'operator-2')"
_RELEASE = "SELECT outcome FROM claim.release($1, $2, $3, 'returned', 'operator-2')"


class Lock:
    """The lock of a drop's row, held in a session of our own."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def release(self) -> None:
        """Give it back; a second time does nothing."""
        await self._connection.close()


@asynccontextmanager
async def locked(stack: Stack, drop: Drop) -> AsyncIterator[Lock]:
    connection = await stack.connect_owner()
    lock = Lock(connection)
    try:
        await connection.execute("BEGIN")
        await connection.execute(
            "SELECT FROM campaign.drops WHERE drop_id = $1 FOR UPDATE", drop.key
        )
        yield lock
    finally:
        await lock.release()


async def change_untold(stack: Stack, drop: Drop, what: str) -> str:
    """Change a drop with the campaign's role, in the ledger alone: the gate is not told."""
    outcome: str = await _as_campaign(stack, _CHANGE, drop.city_id, drop.key, what)
    return outcome


async def release(stack: Stack, drop: Drop, claim_id: str, *, reopen: bool) -> str:
    """Give a claim back with the campaign's role; the gate is not told."""
    outcome: str = await _as_campaign(stack, _RELEASE, drop.city_id, UUID(claim_id), reopen)
    return outcome


async def _as_campaign(stack: Stack, statement: str, *arguments: object) -> Any:  # noqa: ANN401
    url = service_url(stack.postgres_url, "campaign", stack.secrets)
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(statement, *arguments)
    finally:
        await connection.close()
