"""Verification of bearer JWTs (RFC 8725): one issuer, one algorithm, our own keys."""

import asyncio
import base64
import json
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt

from shared.auth.development_keys import (
    AUDIENCE,
    DEVELOPMENT_ALGORITHM,
    DEVELOPMENT_ISSUER,
    DevelopmentIssuer,
)
from shared.auth.keys import ALGORITHMS, IdentityProviderError, KeySource, load_jwks
from shared.auth.principals import ClaimsRefusedError, Principal
from shared.errors import Unauthenticated

JWKS_VARIABLE = "FAIRDROP_JWKS"
ISSUER_VARIABLE = "FAIRDROP_JWT_ISSUER"
ALGORITHM_VARIABLE = "FAIRDROP_JWT_ALGORITHM"

TOKEN_LENGTH_MAX = 8 * 1024
LEEWAY_S = 5
CACHE_ENTRIES_MAX = 100_000
# With the bound on entries, this bounds the cache's memory; longer tokens are verified each time.
_CACHED_TOKEN_LENGTH_MAX = 2048
# The form is exact, so that one signed token cannot be spelled in endlessly many ways.
_COMPACT_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_REQUIRED_CLAIMS = ["exp", "iss", "aud", "sub"]


class _UnknownKeyError(Unauthenticated):
    """The token names a key that we have not, or not yet."""


class Verifier:
    """Verifies tokens and remembers the good ones: an EdDSA check costs about 100 µs.

    Not thread-safe; it belongs to one event loop. Time is real time, never the shifted clock.
    """

    def __init__(
        self, keys: KeySource, *, issuer: str, algorithm: str, leeway_s: float = LEEWAY_S
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._algorithm = algorithm
        self._leeway_s = leeway_s
        self._cache: OrderedDict[str, Principal] = OrderedDict()
        self._cache_generation = keys.generation

    async def authenticate(self, token: str) -> Principal:
        """Verify a token, fetching the issuer's keys again where that may help.

        Raises:
            Unauthenticated: it is not accepted.
        """
        self._keys.refresh_if_old()
        try:
            return self.verify(token)
        except _UnknownKeyError:
            await self._keys.refresh()
            return self.verify(token)

    def verify(self, token: str) -> Principal:
        """Verify a token with the keys at hand. Raises Unauthenticated."""
        if self._cache_generation != self._keys.generation:
            self._cache.clear()
            self._cache_generation = self._keys.generation
        principal = self._cache.get(token)
        if principal is not None:
            if principal.expires_at + self._leeway_s <= time.time_ns() / 1e9:
                del self._cache[token]
                raise Unauthenticated("The token has expired.")
            self._cache.move_to_end(token)
            return principal
        principal = self._check(token)
        if len(token) <= _CACHED_TOKEN_LENGTH_MAX:
            self._cache[token] = principal
            if len(self._cache) > CACHE_ENTRIES_MAX:
                self._cache.popitem(last=False)
        return principal

    def _check(self, token: str) -> Principal:
        if len(token) > TOKEN_LENGTH_MAX or _COMPACT_FORM.fullmatch(token) is None:
            raise Unauthenticated("The token is not a JWT.")
        key = self._keys.find(_kid(token, self._algorithm))
        if key is None:
            raise _UnknownKeyError("The token is not accepted.")
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[self._algorithm],
                audience=AUDIENCE,
                issuer=self._issuer,
                leeway=self._leeway_s,
                options={"require": _REQUIRED_CLAIMS},
            )
            return Principal.from_claims(claims)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The token has expired.") from None
        except (jwt.PyJWTError, ClaimsRefusedError, ValueError) as error:
            raise Unauthenticated("The token is not accepted.") from error


async def open_verifier(data_dir: Path, environ: Mapping[str, str]) -> Verifier:
    """Build the verifier a deployment asks for, loading its keys without blocking the loop.

    With FAIRDROP_JWKS, only tokens of FAIRDROP_JWT_ISSUER are accepted; without it, only those of
    the data dir's development key.

    Raises:
        IdentityProviderError: a variable is missing or wrong, or the keys cannot be loaded.
    """
    location = environ.get(JWKS_VARIABLE)
    if not location:
        keys = await asyncio.to_thread(KeySource, lambda: DevelopmentIssuer(data_dir).keys)
        return Verifier(keys, issuer=DEVELOPMENT_ISSUER, algorithm=DEVELOPMENT_ALGORITHM)
    issuer = environ.get(ISSUER_VARIABLE)
    if not issuer:
        raise IdentityProviderError(
            f"{JWKS_VARIABLE} is set, so {ISSUER_VARIABLE} must name the issuer of its tokens"
        )
    algorithm = environ.get(ALGORITHM_VARIABLE, DEVELOPMENT_ALGORITHM)
    if algorithm not in ALGORITHMS:
        raise IdentityProviderError(
            f"{ALGORITHM_VARIABLE} is {algorithm!r}; use one of {', '.join(sorted(ALGORITHMS))}"
        )
    keys = await asyncio.to_thread(KeySource, lambda: load_jwks(location, algorithm))
    return Verifier(keys, issuer=issuer, algorithm=algorithm)


def _kid(token: str, algorithm: str) -> str:
    """Read the header for the one thing it may decide: which of our keys to try."""
    header = _header(token)
    # PyJWT would honour "b64" and knows of "crit"; no token of ours has a use for either.
    if header.get("alg") != algorithm or "crit" in header or "b64" in header:
        raise Unauthenticated("The token is not accepted.")
    kind, kid = header.get("typ", "JWT"), header.get("kid")
    if not isinstance(kind, str) or kind.lower() not in _TYPES or not isinstance(kid, str):
        raise Unauthenticated("The token is not accepted.")
    return kid


def _header(token: str) -> dict[str, Any]:
    segment = token.partition(".")[0]
    try:
        text = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
        header = json.loads(text, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise Unauthenticated("The token is not a JWT.") from error
    if not isinstance(header, dict):
        raise Unauthenticated("The token is not a JWT.")
    return header


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members
