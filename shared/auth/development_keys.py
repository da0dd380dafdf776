"""The issuer of development: a key in the data dir, for deployments without FAIRDROP_JWKS."""

import base64
import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from uuid import uuid4

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shared.auth.keys import IdentityProviderError, KeysByKid
from shared.auth.principals import Principal

DEVELOPMENT_ISSUER = "fairdrop-dev"
DEVELOPMENT_ALGORITHM = "EdDSA"
AUDIENCE = "fairdrop"
KEY_FILE_NAME = "dev-jwt.pem"
_TTL_S = 24 * 3600


class DevelopmentIssuer:
    """Issues tokens that services without an identity provider accept, and no others do."""

    def __init__(self, data_dir: Path) -> None:
        """Load the key of the data dir, made on first use. Raises IdentityProviderError."""
        self._key = _load_or_create(data_dir / KEY_FILE_NAME)
        public = self._key.public_key()
        digest = hashlib.sha256(public.public_bytes_raw()).digest()
        self._kid = base64.urlsafe_b64encode(digest[:12]).decode()
        self.keys: KeysByKid = {self._kid: public}

    def issue(
        self,
        subject: str,
        roles: Iterable[str],
        *,
        cities: Iterable[str] = (),
        attributes: Mapping[str, str | list[str]] | None = None,
        ttl_s: int = _TTL_S,
    ) -> str:
        """Return a token. `attributes` are a resident's city, district, age_band and lanes.

        Raises:
            ClaimsRefusedError: the services would refuse such a token.
        """
        now_s = time.time_ns() // 1_000_000_000
        claims = {
            **(attributes or {}),
            "iss": DEVELOPMENT_ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "roles": sorted(roles),
            "cities": sorted(cities),
            "iat": now_s,
            "exp": now_s + ttl_s,
        }
        Principal.from_claims(claims)
        return jwt.encode(claims, self._key, DEVELOPMENT_ALGORITHM, {"kid": self._kid})


def _load_or_create(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise IdentityProviderError(f"{path} is readable by others; run: chmod 600 {path}")
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise IdentityProviderError(f"{path} is damaged; remove it to get a new key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityProviderError(f"{path} is not an Ed25519 key; remove it to get a new one")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = Ed25519PrivateKey.generate()
    draft = path.with_name(f"{path.name}.{uuid4().hex}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: of processes that start at once, the first one's key stays.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
