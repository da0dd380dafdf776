"""Makes the tokens an attacker would send."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KID = "key-1"


def seconds(offset: float = 0) -> int:
    return time.time_ns() // 1_000_000_000 + int(offset)


def good_header() -> dict[str, Any]:
    return {"alg": "EdDSA", "typ": "JWT", "kid": KID}


def good_claims() -> dict[str, Any]:
    return {
        "iss": "issuer",
        "aud": "fairdrop",
        "sub": "resident-1",
        "roles": ["resident"],
        "iat": seconds(),
        "exp": seconds(60),
    }


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def token_of(header: bytes, claims: bytes, sign: Callable[[bytes], bytes]) -> str:
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(sign(signed.encode()))}"


def signed_token(
    key: Ed25519PrivateKey,
    claims: Mapping[str, Any] | None = None,
    header: Mapping[str, Any] | None = None,
) -> str:
    """Return a token with a true signature; `...` as a value removes a member."""
    return token_of(
        json.dumps(changed(good_header(), header)).encode(),
        json.dumps(changed(good_claims(), claims)).encode(),
        key.sign,
    )


def changed(members: dict[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    merged = {**members, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not ...}


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.new(secret, message, hashlib.sha256).digest()
