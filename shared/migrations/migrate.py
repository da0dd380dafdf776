"""Bring a database to this version: roles, revisions, functions, chart of accounts, grants."""

from importlib.resources import files

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from shared.bookkeeping.accounts import CHART
from shared.db.durability import assert_durable
from shared.db.urls import SERVICES, role_name, sqlalchemy_url
from shared.secrets import Secrets

SCHEMAS = ("campaign", "claim", "redeem", "ledger")
# Any number, the same in every version: two processes that start at once migrate one by one.
_MIGRATION_LOCK = 7_311_004
_LOCK_WAIT_S = 60


class DatabaseNewerError(Exception):
    """The database was migrated by a later version of Fairdrop."""


async def migrate(owner_url: str, secrets: Secrets, *, development: bool = False) -> None:
    """Migrate the database that `owner_url` names; running it again changes nothing.

    Functions, chart and grants are whole files that are applied every time, so that they read as
    they are and not as a history. `development` allows the clock to be moved; it is fixed at the
    first migration.

    Raises:
        NotDurableError: the server's settings could lose an acknowledged claim.
        DatabaseNewerError: a later version has been here.
    """
    connection = await asyncpg.connect(owner_url, timeout=10, command_timeout=_LOCK_WAIT_S)
    try:
        await assert_durable(connection)
        await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        await _make_roles(connection, secrets)
        await _run_revisions(owner_url)
        async with connection.transaction():
            await connection.execute("SET LOCAL check_function_bodies = off")
            for path in sorted(files("shared.functions").iterdir(), key=lambda path: path.name):
                if path.name.endswith(".sql"):
                    await connection.execute(path.read_text())
            await _write_chart(connection)
            await connection.execute(
                "INSERT INTO campaign.clock (singleton, offset_us, development)"
                " VALUES (true, 0, $1) ON CONFLICT DO NOTHING",
                development,
            )
            await connection.execute("SELECT ledger.fill_custody()")
            grants = files("shared.migrations") / "grants.sql"
            await connection.execute(grants.read_text())
    finally:
        await connection.close(timeout=5)


async def _make_roles(connection: asyncpg.Connection, secrets: Secrets) -> None:
    for service in SERVICES:
        role = role_name(service)
        exists = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
        # CREATE and ALTER ROLE take no parameters; both names come from constants and a hex digest.
        verb = "ALTER" if exists else "CREATE"
        password = secrets.role_password(role)
        await connection.execute(f"{verb} ROLE {role} LOGIN PASSWORD '{password}'")


async def _run_revisions(owner_url: str) -> None:
    engine = create_async_engine(sqlalchemy_url(owner_url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            for schema in SCHEMAS:
                await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for a connection that is already open."""
    config = Config()
    config.set_main_option("script_location", str(files("shared.migrations")))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if connection.dialect.has_table(connection, "alembic_version", schema="public"):
        current = connection.scalars(text("SELECT version_num FROM public.alembic_version")).all()
        unknown = set(current) - known
        if unknown:
            raise DatabaseNewerError(
                f"This database was written by a later version of Fairdrop (revision"
                f" {', '.join(sorted(unknown))}). Run that version, or use another data dir."
            )
    command.upgrade(config, "head")


async def _write_chart(connection: asyncpg.Connection) -> None:
    await connection.executemany(
        "INSERT INTO ledger.account_families (family, code, normal_side, guarded, meaning)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (family) DO UPDATE"
        " SET code = EXCLUDED.code, meaning = EXCLUDED.meaning",
        [(f.name, f.code, f.normal_side, f.guarded, f.meaning) for f in CHART],
    )
