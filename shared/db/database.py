"""Postgres for the services that read and write as they go; the claim path has its own pool."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from shared.db.urls import sqlalchemy_url

EVERY_CITY = "*"
_CONNECT_TIMEOUT_S = 5
_COMMAND_TIMEOUT_S = 60
_POOL_WAIT_S = 5


class Database:
    """An engine with a bounded pool, and the two ways in which a use case may use it."""

    def __init__(self, url: str, *, pool_size: int) -> None:
        self.engine: AsyncEngine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=pool_size,
            max_overflow=0,  # a burst waits here instead of at Postgres
            pool_timeout=_POOL_WAIT_S,
            pool_pre_ping=True,
            connect_args={"timeout": _CONNECT_TIMEOUT_S, "command_timeout": _COMMAND_TIMEOUT_S},
        )

    @asynccontextmanager
    async def transaction(self, cities: Collection[int] | None) -> AsyncIterator[AsyncSession]:
        """Open one transaction that sees these cities (None: every city) and commit at its end.

        Row-level security holds the staff roles to the cities named here.
        """
        named = EVERY_CITY if cities is None else ",".join(map(str, sorted(cities)))
        async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
            await session.execute(
                text("SELECT set_config('fairdrop.cities', :cities, true)"), {"cities": named}
            )
            yield session

    async def call(self, statement: str, parameters: Mapping[str, Any]) -> RowMapping:
        """Run one server-side function as a transaction of its own and return its row.

        No lock is held between round trips: when this process stops, the server goes on.
        """
        async with self.engine.connect() as connection:
            autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
            return (await autocommit.execute(text(statement), parameters)).mappings().one()

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def constraint_name(error: DBAPIError) -> str | None:
    """Return the name of the constraint that refused a statement, if one did."""
    cause: BaseException | None = error.orig
    while cause is not None:
        name = getattr(cause, "constraint_name", None)
        if name is not None:
            return str(name)
        cause = cause.__cause__
    return None
