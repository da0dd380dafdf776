"""Voucher ids: a claim's id and a position in its pack, under a key.

A drop writes one row per winner, so a voucher that nobody touched has no row: its id alone must
lead to the claim. Encrypting the pair keeps it from being guessed from the claim or from another
voucher of the pack.
"""

import binascii
from uuid import UUID

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from shared.ids import city_of
from shared.secrets import Secrets

PACK_VOUCHERS_MAX = 64
_KEY_VERSION = "1"
_ID_LENGTH = 33
# A UUIDv7 spends six bits on its version and variant. They are constant, so the position of the
# voucher takes their place and the pair fits one AES block.
_VERSION_SHIFT = 76
_VARIANT_SHIFT = 62
_FIXED_BITS = (0xF << _VERSION_SHIFT) | (0b11 << _VARIANT_SHIFT)
_UUID7_BITS = (0x7 << _VERSION_SHIFT) | (0b10 << _VARIANT_SHIFT)


class VoucherIds:
    """Encodes and decodes voucher ids under the deployment's key."""

    def __init__(self, secrets: Secrets) -> None:
        # ECB over single blocks that never repeat: each (claim, position) occurs once.
        cipher = Cipher(algorithms.AES(secrets.derive("voucher-id:1")), modes.ECB())  # noqa: S305
        self._encryptor = cipher.encryptor()
        self._decryptor = cipher.decryptor()

    def of_claim(self, claim_id: UUID, vouchers: int) -> list[str]:
        """Return the ids of a claim's vouchers in pack order. `vouchers` is at most 64."""
        if not 0 < vouchers <= PACK_VOUCHERS_MAX:
            raise ValueError(f"a pack holds 1..{PACK_VOUCHERS_MAX} vouchers, not {vouchers}")
        bare = claim_id.int & ~_FIXED_BITS
        blocks = b"".join(
            (bare | ((n >> 2) << _VERSION_SHIFT) | ((n & 3) << _VARIANT_SHIFT)).to_bytes(16, "big")
            for n in range(vouchers)
        )
        sealed = self._encryptor.update(blocks).hex()
        return [_KEY_VERSION + sealed[at : at + 32] for at in range(0, 32 * vouchers, 32)]

    def decode(self, voucher_id: str) -> tuple[UUID, int] | None:
        """Return (claim id, position in the pack), or None for text that is no voucher id."""
        if len(voucher_id) != _ID_LENGTH or voucher_id[0] != _KEY_VERSION:
            return None
        try:
            block = binascii.unhexlify(voucher_id[1:])
        except (binascii.Error, ValueError):
            return None
        if block.hex() != voucher_id[1:]:  # one spelling, or one voucher would have many ids
            return None
        plain = int.from_bytes(self._decryptor.update(block), "big")
        position = ((plain >> _VERSION_SHIFT & 0xF) << 2) | (plain >> _VARIANT_SHIFT & 0b11)
        claim_id = UUID(int=(plain & ~_FIXED_BITS) | _UUID7_BITS)
        return (claim_id, position) if city_of(claim_id) else None
