"""The one secret of a deployment, and the keys derived from it."""

import base64
import binascii
import hmac
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

MASTER_KEY_VARIABLE = "FAIRDROP_MASTER_KEY"
MASTER_KEY_BYTES = 32
_FILE_NAME = "secrets.json"


class SecretsError(Exception):
    """The master key is missing its form; the message says how to mend it."""


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """A master key; every other key is derived from it under a label of its own.

    Losing the master key loses the public voucher ids and the link from subjects to persons, so a
    deployment sets `FAIRDROP_MASTER_KEY` from its own secret store; a data dir keeps one in a file.
    """

    master: bytes

    @classmethod
    def load(cls, data_dir: Path) -> "Secrets":
        """Take the key from the environment, else from the data dir, made on first use.

        Raises:
            SecretsError: the variable or the file does not hold 32 bytes as base64url.
        """
        given = os.environ.get(MASTER_KEY_VARIABLE)
        if given is not None:
            return cls(_decode(given, where=MASTER_KEY_VARIABLE))
        path = data_dir / _FILE_NAME
        if not path.exists():
            _create(path)
        try:
            text = str(json.loads(path.read_text())["master_key"])
        except (ValueError, KeyError, TypeError) as error:
            raise SecretsError(f"{path} is damaged; restore it from a backup") from error
        return cls(_decode(text, where=str(path)))

    def derive(self, label: str) -> bytes:
        """Return the 32-byte key for one purpose; the same label always gives the same key."""
        return hmac.digest(self.master, label.encode(), "sha256")

    def role_password(self, role: str) -> str:
        """Return the password of a database login role."""
        return self.derive(f"postgres-role:{role}").hex()

    def identity_key(self, city_id: int, key_version: int) -> bytes:
        """Return the key under which a city's identities are hashed."""
        return self.derive(f"identity:{city_id}:{key_version}")


def _decode(text: str, *, where: str) -> bytes:
    try:
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise SecretsError(f"{where} is not base64url") from error
    if len(key) != MASTER_KEY_BYTES:
        raise SecretsError(f"{where} must hold {MASTER_KEY_BYTES} bytes as base64url")
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = base64.urlsafe_b64encode(secrets.token_bytes(MASTER_KEY_BYTES)).decode()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({"master_key": key}, file)
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link, not a rename: of two processes that start at once, the first one's key stays.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
