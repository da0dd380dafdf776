"""What a request means, whatever code it shows: the part of it that its number stands for."""

import hashlib
import json


def body_hash(operation: str, *meaning: str | int | bool) -> bytes:
    """Return the hash under which a request is remembered."""
    text = json.dumps([operation, *meaning], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()
