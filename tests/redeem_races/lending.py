"""A bounded number of connections, lent one by one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg

# The services' sessions end a long wait, and ask again; here a busy machine must only be late. A
# deadlock is still found at once.
_PATIENT = {"lock_timeout": "30s", "statement_timeout": "60s"}


class Lent:
    """Plain connections, unlike a pool's: what builders take."""

    def __init__(self) -> None:
        self._free: asyncio.Queue[asyncpg.Connection] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await self._free.get()
        try:
            yield connection
        finally:
            self._free.put_nowait(connection)

    def add(self, connection: asyncpg.Connection) -> None:
        self._free.put_nowait(connection)


@contextlib.asynccontextmanager
async def lending(url: str, count: int) -> AsyncIterator[Lent]:
    """Open connections and lend them until the block ends."""
    lent = Lent()
    async with contextlib.AsyncExitStack() as opened:
        for _ in range(count):
            connection = await asyncpg.connect(url, server_settings=_PATIENT)
            opened.push_async_callback(connection.close)
            lent.add(connection)
        yield lent
