"""Who asks: a pseudonym, known by keyed hashes and never by the identity behind it."""

import hmac
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from shared.secrets import Secrets

IDENTITY_KEY_VERSION = 1
HOLDER_KEY_BYTES = 8


@dataclass(frozen=True, slots=True)
class Holder:
    """A resident in one city. `person_id` is known beforehand only where a pass carries it."""

    subject_hash: bytes
    person_id: UUID | None = None

    @property
    def key(self) -> bytes:
        """The short form by which gate and winner lists know the holder; a hint, never a proof."""
        return self.subject_hash[:HOLDER_KEY_BYTES]


class Identities:
    """Hashes subjects under each city's key."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._city_key = lru_cache(maxsize=4096)(self._derive)

    def _derive(self, city_id: int) -> bytes:
        return self._secrets.identity_key(city_id, IDENTITY_KEY_VERSION)

    def subject_hash(self, city_id: int, subject: str) -> bytes:
        """Return the 32-byte keyed hash (HMAC-SHA-256) of a token's subject in a city."""
        return hmac.digest(self._city_key(city_id), subject.encode(), "sha256")
