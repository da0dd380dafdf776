"""What the service opens at start and its routes use."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from services.campaign.telling import GateTeller
from shared.auth.tokens import open_verifier
from shared.db.database import Database
from shared.db.durability import assert_durable
from shared.gate.gate import Gate, connect
from shared.secrets import Secrets
from shared.settings import Settings
from shared.terminal_keys import TerminalKeys

# With the campaign's one process this is its whole share of Postgres' connections.
_POOL_SIZE = 8


@dataclass(frozen=True, slots=True)
class Resources:
    database: Database
    teller: GateTeller
    terminal_keys: TerminalKeys


@asynccontextmanager
async def open_resources(app: FastAPI, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Open what the environment names, for the life of the app.

    Raises:
        SettingsError: a variable is missing.
        SecretsError: the deployment's master key is not in its form.
        NotDurableError: the database could lose what it acknowledged.
        IdentityProviderError: the keys of the staff's tokens cannot be had.
    """
    settings = Settings.load(environ)
    terminal_keys = TerminalKeys(Secrets.load(settings.data_dir))
    async with AsyncExitStack() as opened:
        app.state.verifier = await open_verifier(settings.data_dir, environ)
        database = Database(settings.postgres_url, pool_size=_POOL_SIZE)
        opened.push_async_callback(database.close)
        await _assert_durable(database)
        gate = Gate(connect(settings.redis_url))
        opened.push_async_callback(gate.close)
        teller = GateTeller(gate, app.state.metrics.registry)
        app.state.resources = Resources(database, teller, terminal_keys)
        yield


async def ask_postgres(app: FastAPI) -> None:
    """Raise unless the database answers."""
    resources: Resources = app.state.resources
    await resources.database.ping()


def opened_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


Opened = Annotated[Resources, Depends(opened_resources)]


async def _assert_durable(database: Database) -> None:
    async with database.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None  # noqa: S101 - asyncpg's, of a fresh checkout
        await assert_durable(raw.driver_connection)
