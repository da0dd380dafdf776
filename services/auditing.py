"""`fairdrop audit`: every invariant over every city, as a table."""

import asyncpg
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.bookkeeping.invariants import (
    GATES_DESCRIPTION,
    GATES_NAME,
    Check,
    check_books,
    check_gates,
    is_sound,
)
from shared.gate.gate import Gate, GateError, connect

_CONNECT_TIMEOUT_S = 10
_QUERY_TIMEOUT_S = 600


async def audit(postgres_url: str, redis_url: str | None) -> list[Check]:
    """Check the books, and the gate where there is one, over every city.

    The URL's role must see every city, as the owner and the auditor do. A gate that does not
    answer is an offender: nothing says that it follows the ledger.
    """
    connection = await asyncpg.connect(
        postgres_url, timeout=_CONNECT_TIMEOUT_S, command_timeout=_QUERY_TIMEOUT_S
    )
    try:
        checks = await check_books(connection)
        if redis_url is not None:
            checks.append(await _check_gates(connection, redis_url))
        return checks
    finally:
        await connection.close(timeout=_CONNECT_TIMEOUT_S)


async def _check_gates(connection: asyncpg.Connection, redis_url: str) -> Check:
    redis = connect(redis_url)
    try:
        return await check_gates(connection, Gate(redis))
    except GateError as error:
        return Check(
            GATES_NAME,
            GATES_DESCRIPTION,
            offenders=1,
            sample=[{"gate": "does not answer", "cause": str(error)}],
        )
    finally:
        await redis.aclose(close_connection_pool=True)


def print_report(checks: list[Check], console: Console) -> None:
    """Print the table of all checks, what is wrong where they found something, and a verdict."""
    table = Table()
    table.add_column("Invariant", no_wrap=True)
    table.add_column("What must hold")
    table.add_column("Offenders", justify="right")
    for check in checks:
        style = "bold red" if check.offenders else None
        table.add_row(check.name, check.description, f"{check.offenders:,}", style=style)
    console.print(table)
    for check in checks:
        if check.offenders:
            _print_sample(check, console)
    console.print(_verdict(checks))


def _print_sample(check: Check, console: Console) -> None:
    shown = f"{len(check.sample)} of {check.offenders:,}"
    console.print(Text(f"\n{check.name}, {shown} offenders:", style="bold red"))
    for row in check.sample:
        told = ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
        # Whole lines, so that an id can be copied; `Text`, since a value is no markup.
        console.print(Text(f"  {told}"), soft_wrap=True)


def _verdict(checks: list[Check]) -> Text:
    if is_sound(checks):
        return Text(f"Sound: {len(checks)} checks found no offender.", style="bold green")
    broken = [check for check in checks if check.offenders]
    offenders = sum(check.offenders for check in broken)
    return Text(
        f"\nNot sound: {len(broken)} of {len(checks)} checks found {offenders:,} offenders.",
        style="bold red",
    )
