"""Public ids: UUIDv7 (RFC 9562) that carry the city in the 12 bits of `rand_a`.

`city_id` leads every key, so a request that names only a drop must tell the city by itself; the
same bits are the routing shard once cities live on servers of their own.
"""

import os
import time
from uuid import UUID

CITY_ID_MAX = 4095
_VERSION = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_MASK = (1 << 62) - 1


def new_id(city_id: int) -> UUID:
    """Return a fresh id of one city. Raises ValueError outside 1..4095."""
    if not 1 <= city_id <= CITY_ID_MAX:
        raise ValueError(f"city_id {city_id} is outside 1..{CITY_ID_MAX}")
    millis = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") & _RANDOM_MASK
    return UUID(int=(millis << 80) | _VERSION | (city_id << 64) | _VARIANT | random)


def city_of(public_id: UUID) -> int:
    """Return the city that an id carries; 0 for an id that is not one of ours."""
    if public_id.version != 7:  # noqa: PLR2004 - the version that new_id makes
        return 0
    return (public_id.int >> 64) & CITY_ID_MAX


def parse_id(text: str) -> UUID | None:
    """Return the id that `text` spells in its canonical form, or None."""
    if len(text) != 36:  # noqa: PLR2004 - the length of a hyphenated UUID
        return None
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() and city_of(parsed) else None
