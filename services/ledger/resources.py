"""What the service opens at start and its routes use."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import asyncpg
from fastapi import Depends, FastAPI, Request

from services.ledger.paying import paying
from shared.auth.tokens import open_verifier
from shared.db.database import Database
from shared.db.durability import assert_durable
from shared.gate.gate import Gate, connect
from shared.secrets import Secrets
from shared.settings import Settings
from shared.voucher_ids import VoucherIds

# With the ledger's one process this is its whole share of Postgres' connections.
_POOL_SIZE = 6


@dataclass(frozen=True, slots=True)
class Resources:
    """What the use cases share.

    `auditing` is held by the one check of the invariants that may run at a time: it reads whole
    tables, and two at once would only take each other's time.
    """

    database: Database
    gate: Gate
    voucher_ids: VoucherIds
    auditing: asyncio.Lock = field(default_factory=asyncio.Lock)


@asynccontextmanager
async def open_resources(app: FastAPI, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Open what the environment names, for the life of the app.

    Raises:
        SettingsError: a variable is missing.
        SecretsError: the master key is damaged.
        NotDurableError: the database could lose what it acknowledged.
        IdentityProviderError: the keys of the staff's tokens cannot be had.
    """
    settings = Settings.load(environ)
    async with AsyncExitStack() as opened:
        app.state.verifier = await open_verifier(settings.data_dir, environ)
        database = Database(settings.postgres_url, pool_size=_POOL_SIZE)
        opened.push_async_callback(database.close)
        async with driver_connection(database) as connection:
            await assert_durable(connection)
        gate = Gate(connect(settings.redis_url))
        opened.push_async_callback(gate.close)
        voucher_ids = VoucherIds(Secrets.load(settings.data_dir))
        app.state.resources = Resources(database, gate, voucher_ids)
        await opened.enter_async_context(paying(database, settings, environ))
        yield


@asynccontextmanager
async def driver_connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Lend a connection of the pool as the driver's own, for what is written against it."""
    async with database.engine.connect() as connection:
        lent = (await connection.get_raw_connection()).driver_connection
        assert lent is not None  # noqa: S101 - the pool has just checked it out
        yield lent


async def ask_postgres(app: FastAPI) -> None:
    """Raise unless the database answers."""
    resources: Resources = app.state.resources
    await resources.database.ping()


def opened_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


Opened = Annotated[Resources, Depends(opened_resources)]
