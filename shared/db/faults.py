"""Which faults of the database a client may simply try again after."""

import random

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from shared.errors import AppError, Busy, Overloaded, Unavailable

# Another transaction was in the way: lock_timeout, statement_timeout or a cancel, a deadlock, a
# serialization failure.
_BUSY = frozenset({"55P03", "57014", "40P01", "40001"})
# The server is away, going away, coming up, full, or a standby (08, 53, 57P, 58, 25006), or it
# ended a session that had stalled (25P03).
_AWAY_CLASSES = ("08", "53", "57P", "58", "25006", "25P03")


def translate(fault: Exception) -> AppError | None:
    """Return the retryable problem that a driver's fault means, None for a fault of our own."""
    if isinstance(fault, PoolTimeoutError):
        return Overloaded(retry_after_ms=_jittered_ms(500))
    sqlstate = _sqlstate(fault)
    if sqlstate in _BUSY:
        return Busy(retry_after_ms=_jittered_ms(200))
    # Away from Postgres, a service's routes do no I/O that raises OSError (TimeoutError is one).
    lost = isinstance(fault, OSError | asyncpg.InterfaceError) or (
        isinstance(fault, DBAPIError) and fault.connection_invalidated
    )
    if lost or (sqlstate is not None and sqlstate.startswith(_AWAY_CLASSES)):
        return Unavailable(retry_after_ms=_jittered_ms(1000))
    return None


def _sqlstate(fault: BaseException) -> str | None:
    cause = fault.orig if isinstance(fault, DBAPIError) else fault
    while cause is not None:
        sqlstate = getattr(cause, "sqlstate", None)
        if sqlstate is not None:
            return str(sqlstate)
        cause = cause.__cause__
    return None


def _jittered_ms(least_ms: int) -> int:
    return random.randint(least_ms, 3 * least_ms)
