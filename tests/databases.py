"""Databases of the session's one pair of servers."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from shared.secrets import Secrets

# One for all: the service roles, and so their passwords, belong to the server.
SECRETS = Secrets(b"a-master-key-for-tests-32-bytes!")
TEMPLATE = "fairdrop_template"

CloneDatabase = Callable[[str], Awaitable[str]]


def in_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def execute(url: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
