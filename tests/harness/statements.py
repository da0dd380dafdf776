"""Counting what the services asked Postgres, from the server's own log: exact and at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.harness.stack import Stack

ISSUE = "claim.issue("
READ_STATEMENT = "AS drop_version, state AS drop_state"
_SWITCHES = {"log_statement": "'all'", "log_parameter_max_length": "0"}
_SETTLE_S = 0.1


class StatementLog:
    """What was executed since the log was switched on. It works on embedded servers only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._start = path.stat().st_size

    def count(self, text: str) -> int:
        """Count the statements that contain a text."""
        with self._path.open("rb") as log:
            log.seek(self._start)
            return log.read().count(text.encode())


@asynccontextmanager
async def logged_statements(stack: Stack) -> AsyncIterator[StatementLog]:
    """Have Postgres log every statement, of sessions that are open already too."""
    for name, value in _SWITCHES.items():
        await stack.owner.execute(f"ALTER SYSTEM SET {name} = {value}")
    await _reload(stack)
    try:
        yield StatementLog(stack.data.logs / "postgres.log")
    finally:
        for name in _SWITCHES:
            await stack.owner.execute(f"ALTER SYSTEM RESET {name}")
        await _reload(stack)


async def _reload(stack: Stack) -> None:
    await stack.owner.execute("SELECT pg_reload_conf()")
    # Sessions take it before their next statement, once the signal has reached them.
    await asyncio.sleep(_SETTLE_S)
