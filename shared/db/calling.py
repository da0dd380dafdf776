"""Calls of server-side functions by the paths that tills and crowds wait for.

Each call is one statement in autocommit: nothing is held between round trips, so a process that
stops hangs nobody, and a call whose reply is lost may be sent again.
"""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import asyncpg

# Refusals of this moment: the same call is sent again.
BUSY_NOW = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.SerializationError,
)
# The reply is lost or the server is away: nothing is known of what the call did.
UNKNOWN = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
    TimeoutError,
)
AWAY = (*BUSY_NOW, *UNKNOWN)

Fetch = Literal["fetch", "fetchrow", "fetchval"]


async def _keep_session(_connection: object) -> None:
    """Do nothing between two uses: the calls set no session state, and a reset is a round trip."""


async def open_pool(
    url: str, *, size: int, timeout_s: float, settings: Mapping[str, str] = MappingProxyType({})
) -> asyncpg.Pool:
    """Open a pool whose every wait is bounded, the one for a free connection aside.

    `settings` are the sessions', where they are not to be the role's own.
    """
    return await asyncpg.create_pool(
        url,
        min_size=min(2, size),
        max_size=size,
        timeout=timeout_s,
        command_timeout=timeout_s,
        reset=_keep_session,
        server_settings=dict(settings),
    )


class Calls:
    """A pool, and calls through it whose every wait is bounded."""

    def __init__(self, pool: asyncpg.Pool, *, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        size: int,
        timeout_s: float,
        name: str,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> "Calls":
        """Open a pool of at most `size` connections, which Postgres lists under `name`."""
        named = {**settings, "application_name": name}
        pool = await open_pool(url, size=size, timeout_s=timeout_s, settings=named)
        return cls(pool, timeout_s=timeout_s)

    async def call(self, fetch: Fetch, statement: str, *arguments: Any) -> Any:  # noqa: ANN401
        """Run one statement. Raises what asyncpg raises; AWAY names what may be tried again."""
        connection = await self._pool.acquire(timeout=self._timeout_s)
        try:
            return await getattr(connection, fetch)(statement, *arguments)
        except UNKNOWN:
            # Its state is not known: the next call must not inherit a reply that is still coming.
            connection.terminate()
            raise
        finally:
            await self._pool.release(connection)

    async def fetchval(self, statement: str, *arguments: object) -> object:
        """Run one statement and return its one value."""
        return await self.call("fetchval", statement, *arguments)

    async def close(self, *, grace_s: float) -> None:
        """Close every connection, waiting at most `grace_s` for those in use.

        Raises:
            TimeoutError: the server did not answer; the connections are dropped.
        """
        try:
            async with asyncio.timeout(grace_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
            raise
