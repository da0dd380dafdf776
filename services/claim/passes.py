"""The pass: a JWT traded before T-0 for something that costs microseconds to check."""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from uuid import UUID

from services.claim.holders import Holder
from shared.secrets import Secrets

PREFIX = "fdp1."
_LAYOUT = struct.Struct(">16s16s32sqq")
_MAC_BYTES = 16
_TEXT_LENGTH = len(PREFIX) + 4 * (_LAYOUT.size + _MAC_BYTES) // 3


@dataclass(frozen=True, slots=True)
class Pass:
    """Who may claim from which drop, and when; times are microseconds since the epoch."""

    drop_id: UUID
    holder: Holder
    admits_us: int
    expires_us: int


class Passes:
    """Signs and checks passes under the deployment's key (HMAC-SHA-256, 128 bits)."""

    def __init__(self, secrets: Secrets) -> None:
        self._key = secrets.derive("pass:1")

    def sign(self, granted: Pass) -> str:
        """Return the pass as text for `Authorization: Bearer`; the person must be resolved."""
        if granted.holder.person_id is None:
            raise ValueError("a pass is signed for a resolved person")
        payload = _LAYOUT.pack(
            granted.drop_id.bytes,
            granted.holder.person_id.bytes,
            granted.holder.subject_hash,
            granted.admits_us,
            granted.expires_us,
        )
        mac = hmac.digest(self._key, payload, "sha256")[:_MAC_BYTES]
        return PREFIX + base64.urlsafe_b64encode(payload + mac).rstrip(b"=").decode()

    def check(self, text: str) -> Pass | None:
        """Return what a pass grants, or None when we did not sign it. Expiry is the caller's."""
        if len(text) != _TEXT_LENGTH:
            return None
        try:
            raw = base64.b64decode(text[len(PREFIX) :], b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        payload, mac = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
        signed = hmac.digest(self._key, payload, "sha256")[:_MAC_BYTES]
        if len(payload) != _LAYOUT.size or not hmac.compare_digest(mac, signed):
            return None
        drop, person, subject_hash, admits_us, expires_us = _LAYOUT.unpack(payload)
        holder = Holder(subject_hash, UUID(bytes=person))
        return Pass(UUID(bytes=drop), holder, admits_us, expires_us)
