"""HTTP message signatures (RFC 9421): the signature base, and the till's side that signs it.

The profile: HMAC-SHA-256 over the method, the path, the query where there is one, and the SHA-256
digest of the body (RFC 9530) where there is one.
"""

import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from typing import NamedTuple

ALGORITHM = "hmac-sha256"
DIGEST_HEADER = b"content-digest"
SIGNATURE_HEADER = b"signature"
SIGNATURE_INPUT_HEADER = b"signature-input"
_LABEL = "till"
_OWS = b" \t"
# The tab stands for the values of header fields; the line feed ends the lines of the base itself.
_NOT_PLAIN = re.compile(rb"[^\t\n -~]")
_QUOTABLE = re.compile(r"[ !#-\[\]-~]*", re.ASCII)
_DEFAULT_PORTS = {"http": b":80", "https": b":443"}

Headers = Sequence[tuple[bytes, bytes]]


class Message(NamedTuple):
    """A request as it is on the wire: path and query percent-encoded, header names lower-case.

    `query` is without its question mark. `scheme` matters to those who sign it, or the target URI.
    """

    method: str
    path: bytes
    query: bytes = b""
    headers: Headers = ()
    body: bytes = b""
    scheme: str = "http"


class Unsignable(Enum):
    """Why a message has no signature base."""

    ABSENT_COMPONENT = auto()
    NOT_PLAIN_ASCII = auto()


def sign(
    message: Message, *, key_id: str, secret: bytes, now_s: float, nonce: str | None = None
) -> dict[str, str]:
    """Return the headers that sign a message; `now_s` is real seconds since the epoch.

    Raises:
        ValueError: key id, nonce, method, path or query holds what a signature cannot cover.
    """
    if not _QUOTABLE.fullmatch(key_id + (nonce or "")):
        raise ValueError("key id and nonce are printable ASCII without quotes and backslashes")
    headers: dict[str, str] = {}
    components = [b"@method", b"@path"]
    if message.query:
        components.append(b"@query")
    if message.body:
        digest = content_digest(message.body)
        headers[DIGEST_HEADER.decode()] = digest.decode()
        components.append(DIGEST_HEADER)
        message = message._replace(headers=[(DIGEST_HEADER, digest)])
    listed = b" ".join(b'"%b"' % name for name in components).decode()
    parameters = f'({listed});created={int(now_s)};keyid="{key_id}";alg="{ALGORITHM}"'
    if nonce is not None:
        parameters += f';nonce="{nonce}"'
    base = signature_base(message, components, parameters.encode())
    if isinstance(base, Unsignable):
        raise ValueError(f"{message.method} request cannot be signed: {base.name}")  # noqa: TRY004 - its value is wrong, not its type
    headers[SIGNATURE_INPUT_HEADER.decode()] = f"{_LABEL}={parameters}"
    headers[SIGNATURE_HEADER.decode()] = f"{_LABEL}=:{mac_text(secret, base).decode()}:"
    return headers


def content_digest(body: bytes) -> bytes:
    """Return the value of Content-Digest for a body."""
    digest = binascii.b2a_base64(hashlib.sha256(body).digest(), newline=False)
    return b"sha-256=:%b:" % digest


def mac_text(secret: bytes, base: bytes) -> bytes:
    """Return the signature of a base: base64, as it stands between the colons."""
    return binascii.b2a_base64(hmac.digest(secret, base, "sha256"), newline=False)


def signature_base(
    message: Message, components: Iterable[bytes], parameters: bytes
) -> bytes | Unsignable:
    """Return what is signed (RFC 9421, section 2.5).

    `components` are header fields in lower case and members of DERIVED_COMPONENTS; `parameters` is
    the value of `@signature-params`, which lists the same components.
    """
    lines = []
    for name in components:
        derive = _DERIVED.get(name)
        value = derive(message) if derive else field_value(message.headers, name)
        if value is None:
            return Unsignable.ABSENT_COMPONENT
        lines.append(b'"%b": %b' % (name, value))
    lines.append(b'"@signature-params": %b' % parameters)
    base = b"\n".join(lines)
    # A line feed inside a value would let one request be signed as another.
    if _NOT_PLAIN.search(base) or base.count(b"\n") != len(lines) - 1:
        return Unsignable.NOT_PLAIN_ASCII
    return base


def field_value(headers: Headers, name: bytes) -> bytes | None:
    """Return all lines of a header field as one value, or None when there is no such line."""
    lines = [value.strip(_OWS) for field, value in headers if field == name]
    return b", ".join(lines) if lines else None


def _host(message: Message) -> bytes | None:
    lines = [value.strip(_OWS) for field, value in message.headers if field == b"host"]
    return lines[0] if len(lines) == 1 else None


def _authority(message: Message) -> bytes | None:
    host = _host(message)
    if host is None:
        return None
    return host.lower().removesuffix(_DEFAULT_PORTS.get(message.scheme.lower(), b""))


def _request_target(message: Message) -> bytes:
    return _path(message) + (b"?" + message.query if message.query else b"")


def _target_uri(message: Message) -> bytes | None:
    host = _host(message)
    return (
        None if host is None else b"%b://%b%b" % (_scheme(message), host, _request_target(message))
    )


def _scheme(message: Message) -> bytes:
    return _to_bytes(message.scheme.lower())


def _path(message: Message) -> bytes:
    return message.path or b"/"


def _to_bytes(text: str) -> bytes:
    # What is not ASCII becomes bytes that no base may hold, a lone surrogate included.
    return text.encode("utf-8", "surrogatepass")


_DERIVED: dict[bytes, Callable[[Message], bytes | None]] = {
    b"@method": lambda message: _to_bytes(message.method),
    b"@path": _path,
    b"@query": lambda message: b"?" + message.query,
    b"@authority": _authority,
    b"@scheme": _scheme,
    b"@request-target": _request_target,
    b"@target-uri": _target_uri,
}
DERIVED_COMPONENTS = frozenset(_DERIVED)
