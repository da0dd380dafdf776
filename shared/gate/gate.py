"""The gate: Redis or Valkey counts permits, so that a sold-out crowd never reaches Postgres."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from uuid import UUID

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from shared.gate import keys
from shared.gate.statement import Statement

SOCKET_TIMEOUT_S = 1.0
CONNECTIONS_MAX = 16
# Long after a drop closed nobody asks about it; a gate that is gone is loaded from the ledger.
KEPT_AFTER_LAST_STATEMENT_MS = 30 * 24 * 3600 * 1000

PERMIT, SEEN = "P", "S"

GateError = RedisError

_NO_LIBRARY = "function not found"
_WRONG_TYPE = "WRONGTYPE"


@dataclass(frozen=True, slots=True)
class Admission:
    """The gate's answers to a batch: one letter per attempt, as gate.lua names them."""

    answers: str
    now_us: int
    version: int
    rank: int


def connect(url: str) -> Redis:
    """Return a client with a bounded, blocking pool and no retries of its own.

    A retried admission would take a second permit; the gate heals that, but the caller decides.

    Raises:
        ValueError: the URL's scheme is not redis://, rediss:// or unix://.
    """
    pool = BlockingConnectionPool(
        **parse_url(url),
        max_connections=CONNECTIONS_MAX,
        timeout=SOCKET_TIMEOUT_S,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    # from_pool: the client owns the pool and closes it with itself.
    return Redis.from_pool(pool)


class Gate:
    """One typed method per function of gate.lua."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._library = (files("shared.gate") / "gate.lua").read_text()

    async def load_functions(self) -> None:
        """Install the function library; functions, unlike scripts, survive a failover."""
        await self._redis.function_load(self._library, replace=True)

    async def ping(self) -> None:
        await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()

    async def is_loaded(self, drop_id: UUID) -> bool:
        """Return whether the gate holds anything of this drop. Raises GateError."""
        gate_key, _ = keys.of_drop(drop_id)
        return bool(await self._redis.exists(gate_key))

    async def admit(self, drop_id: UUID, holder_keys: Sequence[bytes], offset_us: int) -> Admission:
        """Ask for a permit for each attempt, in order. Raises GateError; nothing is then known."""
        answers, now_us, version, rank = await self._call(
            "fairdrop_admit", drop_id, [offset_us, *holder_keys]
        )
        return Admission(answers.decode(), int(now_us), int(version), int(rank))

    async def take(
        self, drop_id: UUID, statement: Statement, *, denied_version: int | None = None
    ) -> tuple[int, int]:
        """Hand over what the ledger said; return the gate's (version, permits) afterwards.

        `denied_version` is a version that the gate reported before the ledger, asked later, stated
        an older one: a gate that still holds it is replaced.
        """
        version, permits = await self._call(
            "fairdrop_take",
            drop_id,
            [
                statement.version,
                statement.remaining,
                statement.state,
                statement.opens_us,
                statement.closes_us,
                "" if denied_version is None else denied_version,
                KEPT_AFTER_LAST_STATEMENT_MS,
            ],
        )
        return int(version), int(permits)

    async def _call(
        self, function: str, drop_id: UUID, arguments: Sequence[bytes | str | int]
    ) -> list[bytes]:
        gate_key, holders_key = keys.of_drop(drop_id)
        try:
            reply: list[bytes] = await self._redis.fcall(
                function, 2, gate_key, holders_key, *arguments
            )
        except ResponseError as error:
            if _WRONG_TYPE in str(error):
                # Keys that the library cannot read are not a gate: the ledger will load a new one.
                await self._redis.delete(gate_key, holders_key)
            if _NO_LIBRARY not in str(error).lower():
                raise
        else:
            return reply
        # The server lost the library (it restarted empty): install it and ask once more.
        await self.load_functions()
        again: list[bytes] = await self._redis.fcall(function, 2, gate_key, holders_key, *arguments)
        return again
