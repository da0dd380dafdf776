"""Quotes: what a till was told a voucher takes off, kept by the till and not by us.

A quote changes nothing, so nothing is written for it. Its id is the quote itself, sealed: a till
learns neither the claim behind the voucher nor how to make a quote for another amount.
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

QUOTE_TTL_S = 120
# A name has at most 120 characters, and a character at most four bytes.
CATEGORY_BYTES_MAX = 480
_KEY_VERSION = "1"
# Terminal, claim, position, step of the code, order amount, end in milliseconds; then the category.
_LAYOUT = struct.Struct(">16s16sBIqq")
_TAG_BYTES = 16
_SEALED_BYTES_MAX = _LAYOUT.size + CATEGORY_BYTES_MAX + _TAG_BYTES
_FORM = re.compile(f"{_KEY_VERSION}([A-Za-z0-9_-]+)")
_ID_LENGTH_MAX = len(_KEY_VERSION) + -(-_SEALED_BYTES_MAX * 4 // 3)


@dataclass(frozen=True, slots=True)
class Quote:
    """What was quoted to which terminal, for which voucher and which step of its code."""

    terminal_id: UUID
    claim_id: UUID
    position: int
    code_step: int
    order_amount_fen: int
    category: str


class QuoteFault(Enum):
    """Why a quote id stands for nothing now."""

    NOT_OURS = auto()
    EXPIRED = auto()


class Quotes:
    """Seals and opens quotes under the deployment's key. Times are real seconds since the epoch."""

    def __init__(self, secrets: Secrets) -> None:
        self._cipher = AESSIV(secrets.derive("quote:1"))

    def issue(self, quote: Quote, *, now_s: float) -> tuple[str, float]:
        """Return the quote's id and when it expires.

        Raises:
            ValueError: the category is longer than CATEGORY_BYTES_MAX, or no text at all.
        """
        category = quote.category.encode()
        if len(category) > CATEGORY_BYTES_MAX:
            raise ValueError(f"a category has at most {CATEGORY_BYTES_MAX} bytes")
        expires_ms = int((now_s + QUOTE_TTL_S) * 1000)
        fixed = _LAYOUT.pack(
            quote.terminal_id.bytes,
            quote.claim_id.bytes,
            quote.position,
            quote.code_step,
            quote.order_amount_fen,
            expires_ms,
        )
        return _KEY_VERSION + _spell(
            self._cipher.encrypt(fixed + category, None)
        ), expires_ms / 1000

    def read(self, quote_id: str, *, now_s: float) -> Quote | QuoteFault:
        """Return the quote behind an id; whether it is this terminal's and amount's, ask it."""
        plain = self._open(quote_id)
        if plain is None:
            return QuoteFault.NOT_OURS
        terminal, claim, position, code_step, amount_fen, expires_ms = _LAYOUT.unpack_from(plain)
        if now_s * 1000 >= expires_ms:
            return QuoteFault.EXPIRED
        return Quote(
            terminal_id=UUID(bytes=terminal),
            claim_id=UUID(bytes=claim),
            position=position,
            code_step=code_step,
            order_amount_fen=amount_fen,
            category=plain[_LAYOUT.size :].decode(),
        )

    def _open(self, quote_id: str) -> bytes | None:
        if len(quote_id) > _ID_LENGTH_MAX:
            return None
        match = _FORM.fullmatch(quote_id)
        # No number of bytes has a spelling of 4n + 1 characters.
        if match is None or len(match[1]) % 4 == 1:
            return None
        sealed = base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
        if _spell(sealed) != match[1]:  # one spelling of each quote
            return None
        try:
            return self._cipher.decrypt(sealed, None)
        except InvalidTag:
            return None


def _spell(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
