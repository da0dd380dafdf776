"""Keys of tills: derived from the deployment's key, so that none is ever stored."""

import base64
import hmac
from uuid import UUID

from shared.ids import parse_id
from shared.secrets import Secrets

# The first key of a terminal; a terminal that needs another one day counts up.
_SUFFIX = ".1"
_KEY_ID_LENGTH = 36 + len(_SUFFIX)


class TerminalKeys:
    """The secrets under which tills sign their requests."""

    def __init__(self, secrets: Secrets) -> None:
        self._key = secrets.derive("terminal-key:1")

    def secret(self, key_id: str) -> bytes:
        """Return the 32-byte secret of one key; the same id always has the same secret.

        Every id has one, whether a terminal was given it or not: whoever checks a signature must
        know first that the id is the one of a terminal. Raises ValueError for text outside ASCII.
        """
        return hmac.digest(self._key, key_id.encode("ascii"), "sha256")

    def text(self, key_id: str) -> str:
        """Return the secret as a merchant is shown it: base64url without padding."""
        return base64.urlsafe_b64encode(self.secret(key_id)).rstrip(b"=").decode()


def new_key_id(terminal_id: UUID) -> str:
    """Return the id of a terminal's key."""
    return f"{terminal_id}{_SUFFIX}"


def terminal_of(key_id: str) -> UUID | None:
    """Return the terminal that a key id names, or None for text that `new_key_id` never makes."""
    if len(key_id) != _KEY_ID_LENGTH:
        return None
    terminal_id = parse_id(key_id.removesuffix(_SUFFIX))
    # One spelling: parse_id takes capital letters, too.
    return terminal_id if terminal_id and new_key_id(terminal_id) == key_id else None
