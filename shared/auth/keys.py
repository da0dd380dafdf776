"""The public keys tokens are verified with, and where they come from."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
KeysByKid = Mapping[str, PublicKey]

# Signatures only: with a shared secret, whoever can verify could also issue.
ALGORITHMS = frozenset(
    {"EdDSA", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
)
RSA_BITS_MIN = 2048
FETCH_TIMEOUT_S = 3.0
REFRESH_TIMEOUT_S = 5.0
REFRESH_INTERVAL_MIN_S = 60.0
# A key the issuer has withdrawn is trusted at most this long while the issuer can be reached.
AGE_MAX_S = 600.0

_log = structlog.stdlib.get_logger("fairdrop.auth")


class IdentityProviderError(Exception):
    """The identity provider's keys cannot be used; the message says what to mend."""


class KeySource:
    """The current keys by `kid`, reloaded when they are old or a token names an unknown one.

    `generation` changes with every reload that changed the keys. Reloads that fail leave the keys
    as they are: an identity provider that is away must not log everybody out.
    """

    def __init__(self, load: Callable[[], KeysByKid]) -> None:
        """Load the keys once, blocking. Raises IdentityProviderError."""
        self._load = load
        self._keys = load()
        self._attempted_at_s = self._loaded_at_s = time.monotonic()
        self._reloading: asyncio.Future[None] | None = None
        self.generation = 0

    def find(self, kid: str) -> PublicKey | None:
        return self._keys.get(kid)

    def refresh_if_old(self) -> None:
        """Start a reload when it is time for one; nobody waits for it."""
        if time.monotonic() - self._loaded_at_s > AGE_MAX_S:
            self._begin_reload()

    async def refresh(self) -> None:
        """Reload, unless that was tried within the last minute; wait for a reload under way."""
        self._begin_reload()
        if self._reloading is not None:
            await asyncio.wait([self._reloading], timeout=REFRESH_TIMEOUT_S)

    def _begin_reload(self) -> None:
        if time.monotonic() - self._attempted_at_s < REFRESH_INTERVAL_MIN_S:
            return
        self._attempted_at_s = time.monotonic()
        self._reloading = asyncio.get_running_loop().run_in_executor(None, self._reload)

    def _reload(self) -> None:
        try:
            keys = self._load()
        except IdentityProviderError:
            _log.warning("identity provider keys were not reloaded", exc_info=True)
            return
        self._loaded_at_s = time.monotonic()
        if keys != self._keys:
            self._keys = keys
            self.generation += 1


def load_jwks(location: str, algorithm: str) -> KeysByKid:
    """Read a JWK set from a file or an http(s) URL, blocking for at most a few seconds.

    Raises:
        IdentityProviderError: it cannot be read, or holds no usable key.
    """
    try:
        if location.startswith(("http://", "https://")):
            client = jwt.PyJWKClient(location, cache_jwk_set=False, timeout=FETCH_TIMEOUT_S)
            document = client.fetch_data()
        else:
            document = json.loads(Path(location).read_bytes())
    except (jwt.PyJWTError, OSError, ValueError, RecursionError) as error:
        raise IdentityProviderError(f"FAIRDROP_JWKS {location} cannot be read: {error}") from error
    return parse_jwks(document, algorithm)


def parse_jwks(document: Any, algorithm: str) -> KeysByKid:  # noqa: ANN401 - JSON of any shape
    """Return the keys of a JWK set that may verify `algorithm`. Raises IdentityProviderError."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise IdentityProviderError("FAIRDROP_JWKS is not a JWK set")
    keys: dict[str, PublicKey] = {}
    for entry in entries:
        if not _is_for_signatures(entry, algorithm):
            continue
        kid, key = entry["kid"], _public_key(entry, algorithm)
        if key is None:
            continue
        if kid in keys:
            raise IdentityProviderError(f"FAIRDROP_JWKS has two keys with the kid {kid!r}")
        keys[kid] = key
    if not keys:
        raise IdentityProviderError(f"FAIRDROP_JWKS has no key with a kid for {algorithm}")
    return keys


def _is_for_signatures(entry: object, algorithm: str) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("kid"), str)
        and entry.get("use", "sig") == "sig"
        and entry.get("alg", algorithm) == algorithm
    )


def _public_key(entry: dict[str, Any], algorithm: str) -> PublicKey | None:
    if "d" in entry:
        raise IdentityProviderError("FAIRDROP_JWKS holds a private key; give the public keys only")
    try:
        key = jwt.PyJWK(entry, algorithm).key
    except (jwt.PyJWTError, TypeError, ValueError):
        return None  # a set may hold keys of other kinds, for other uses
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        return None
    is_usable = isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey)
    return key if is_usable else None
