"""Reading and falsifying the gate of a drop."""

from dataclasses import dataclass

from shared.gate import keys
from tests.harness.city import Drop
from tests.harness.stack import Stack


@dataclass(frozen=True, slots=True)
class Saved:
    """The gate's keys as they were; `version` and `permits` are what the hash said."""

    dumps: dict[str, bytes]
    version: int
    permits: int


class FalseGate:
    """The gate of one drop in a test's hands."""

    def __init__(self, stack: Stack, drop: Drop) -> None:
        self.redis = stack.redis
        self.gate, self.holders = keys.of_drop(drop.key)

    async def version(self) -> int | None:
        found = await self.redis.hget(self.gate, "version")
        return None if found is None else int(found)

    async def state(self) -> str:
        found = await self.redis.hget(self.gate, "state")
        return found.decode() if isinstance(found, bytes) else str(found)

    async def permits(self) -> int:
        return int(await self.redis.hget(self.gate, "permits") or 0)

    async def write(self, **fields: str | int | None) -> None:
        """Overwrite fields; None removes one."""
        for name, value in fields.items():
            if value is None:
                await self.redis.hdel(self.gate, name)
            else:
                await self.redis.hset(self.gate, name, value)

    async def save(self) -> Saved:
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.hmget(self.gate, "version", "permits")
            pipe.dump(self.gate)
            pipe.dump(self.holders)
            (version, permits), gate, holders = await pipe.execute()
        return Saved({self.gate: gate, self.holders: holders}, int(version), int(permits))

    async def rewind(self, saved: Saved) -> int:
        """Put the keys back as they were saved; return the version that they replaced."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.hget(self.gate, "version")
            for key, dump in saved.dumps.items():
                pipe.restore(key, 0, dump, replace=True)
            replaced, *_ = await pipe.execute()
        return int(replaced)

    async def forget(self) -> int:
        """Delete both keys; return how many there were."""
        return int(await self.redis.delete(self.gate, self.holders))
