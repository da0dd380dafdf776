"""Rotating codes: what a resident's phone shows a till, one voucher for half a minute.

A voucher id is printed on receipts and in lists and must not spend; a code spends once, and only
around the time for which it was made. The two are sealed under keys of their own, so neither can be
made from the other.
"""

import base64
import re
import struct
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.secrets import Secrets
from shared.voucher_ids import PACK_VOUCHERS_MAX

STEP_S = 30
# A phone's clock and the way to the till: the code of the step before or after is still good.
_STEPS_EITHER_WAY = 1
_KEY_VERSION = "1"
_LAYOUT = struct.Struct(">16sBI")
# 37 bytes are 50 characters; "==" is the padding that the text leaves out.
_FORM = re.compile(f"{_KEY_VERSION}([A-Za-z0-9_-]{{50}})")
_PADDING = "=="


@dataclass(frozen=True, slots=True)
class Code:
    """A code to show, good until the end of its step (seconds since the epoch)."""

    code: str
    expires_at_s: float


@dataclass(frozen=True, slots=True)
class Read:
    """What a code names: a voucher by its claim and position, and the step it was made for."""

    claim_id: UUID
    position: int
    step: int


class CodeFault(Enum):
    """Why a code names nothing now."""

    NOT_OURS = auto()
    STALE = auto()


class VoucherCodes:
    """Makes and reads codes under the deployment's key.

    Times are real seconds since the epoch, never the shifted clock. AES-SIV needs no nonce: within
    a step a voucher has one code, however often it is asked for.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._cipher = AESSIV(secrets.derive("voucher-code:1"))

    def issue(self, claim_id: UUID, position: int, *, now_s: float) -> Code:
        """Return a voucher's code of this step. Raises ValueError for a position outside a pack."""
        if not 0 <= position < PACK_VOUCHERS_MAX:
            raise ValueError(f"a pack has positions 0..{PACK_VOUCHERS_MAX - 1}, not {position}")
        step = int(now_s // STEP_S)
        sealed = self._cipher.encrypt(_LAYOUT.pack(claim_id.bytes, position, step), None)
        return Code(_KEY_VERSION + _spell(sealed), float((step + 1) * STEP_S))

    def read(self, code: str, *, now_s: float) -> Read | CodeFault:
        """Return what a code names; STALE when we made it for another time."""
        match = _FORM.fullmatch(code)
        if match is None:
            return CodeFault.NOT_OURS
        sealed = base64.urlsafe_b64decode(match[1] + _PADDING)
        if _spell(sealed) != match[1]:  # one spelling, or a step would have many codes
            return CodeFault.NOT_OURS
        try:
            plain = self._cipher.decrypt(sealed, None)
        except InvalidTag:
            return CodeFault.NOT_OURS
        claim, position, step = _LAYOUT.unpack(plain)
        if abs(step - int(now_s // STEP_S)) > _STEPS_EITHER_WAY:
            return CodeFault.STALE
        return Read(UUID(bytes=claim), position, step)


def _spell(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
