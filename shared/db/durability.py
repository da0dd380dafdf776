"""The settings without which an acknowledged claim could be lost."""

from typing import Protocol

POSTGRES_VERSION_MIN = 150000
REQUIRED = {"fsync": ("on",), "full_page_writes": ("on",), "synchronous_commit": ("on",)}


class NotDurableError(Exception):
    """The database may forget what it acknowledged, or is too old; the message says which."""


class Fetches(Protocol):
    """The part of an asyncpg connection that is needed here."""

    async def fetchval(self, query: str, *args: object) -> object: ...


async def assert_durable(connection: Fetches) -> None:
    """Refuse a database that acknowledges before the disk has it.

    `remote_apply` and `remote_write` are not listed: they are weaker or stronger depending on the
    standby; `on` covers the primary's disk and a synchronous standby's.

    Raises:
        NotDurableError: a setting is off, or the server is older than Postgres 15.
    """
    version = int(str(await connection.fetchval("SHOW server_version_num")))
    if version < POSTGRES_VERSION_MIN:
        raise NotDurableError(
            f"Postgres {version // 10000} is too old: Fairdrop needs Postgres 15 or later"
        )
    for name, accepted in REQUIRED.items():
        value = await connection.fetchval("SELECT current_setting($1)", name)
        if value not in accepted:
            raise NotDurableError(
                f"Postgres runs with {name} = {value}: an acknowledged claim could be lost in a"
                f" crash. Set {name} = {accepted[0]} and start again."
            )
