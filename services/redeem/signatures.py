"""Signatures of tills: a strict profile of RFC 9421, checked on the way to every redemption.

A general library costs a till's request more than everything else in the process. The profile is
one HMAC-SHA-256 signature, spelled as RFC 8941 serialises it; whatever else the RFC allows is
refused with a sentence that tells the vendor of a till what to mend.
"""

import hmac
import re
from enum import StrEnum
from typing import NamedTuple

from shared.request_signing import (
    ALGORITHM,
    DERIVED_COMPONENTS,
    DIGEST_HEADER,
    SIGNATURE_HEADER,
    SIGNATURE_INPUT_HEADER,
    Headers,
    Message,
    Unsignable,
    content_digest,
    field_value,
    mac_text,
    signature_base,
)

CREATED_WITHIN_S = 300
_INPUT_BYTES_MAX = 2048
_SIGNATURE_BYTES_MAX = 256
_DIGEST_BYTES_MAX = 512
_BASE_BYTES_MAX = 16 * 1024
_COMPONENTS_MAX = 24

_KEY = rb"[a-z*][a-z0-9_.*-]*+"
_STRING = rb'"(?:[ !#-\[\]-~]|\\["\\])*+"'
_PARAMETER = rb";%b(?:=(?:%b|[!#-'*+./0-:<-~-]++))?+" % (_KEY, _STRING)
_COMPONENT = rb'"[!#$%%&\'*+.^_`|~0-9a-z@-]++"(?:%b)*+' % _PARAMETER
_INPUT = re.compile(
    rb"(%b)=(\((%b(?: %b)*+)?+\)((?:%b)*+))" % (_KEY, _COMPONENT, _COMPONENT, _PARAMETER)
)
_NAMED_VALUE = re.compile(rb";(%b)(?:=(%b|[^;]++))?+" % (_KEY, _STRING))
_INTEGER = re.compile(rb"0|[1-9][0-9]{0,14}")
_SIGNATURE = re.compile(rb"(%b)=:([A-Za-z0-9+/]{43}=):" % _KEY)
_DIGEST = re.compile(rb"%b=:[A-Za-z0-9+/]*+={0,2}:" % _KEY)
_NUMBERS = frozenset({b"created", b"expires"})
_TEXTS = frozenset({b"keyid", b"alg", b"nonce", b"tag"})
_QUOTED_ALGORITHM = b'"%b"' % ALGORITHM.encode()
_UNSIGNABLE_FIELDS = frozenset({SIGNATURE_HEADER, SIGNATURE_INPUT_HEADER})


class SignatureFault(StrEnum):
    """Why a signature is refused, told to those who build tills."""

    NO_SIGNATURE_INPUT = "The Signature-Input header is missing."
    NO_SIGNATURE = "The Signature header is missing."
    SEVERAL = "Send one signature: one Signature-Input and one Signature header with one label."
    TOO_LONG = "Signature-Input, Signature, Content-Digest or what is signed is too long."
    MALFORMED_INPUT = (
        "Signature-Input must be one inner list as RFC 8941 serialises it, names in lower case,"
        ' as sig1=("@method" "@path");created=1767225600;keyid="...";alg="hmac-sha256".'
    )
    MALFORMED_SIGNATURE = (
        "Signature must be one label with the base64 of 32 bytes between colons, as sig1=:...=:."
    )
    OTHER_LABEL = "Signature and Signature-Input must use the same label."
    COMPONENT_PARAMETERS = "Covered components must be plain names, without ;sf ;bs ;key ;req ;tr."
    UNSUPPORTED_COMPONENT = (
        "Cover header fields other than the signature's own, and of the derived components only"
        " @method @path @query @authority @scheme @request-target @target-uri."
    )
    REPEATED_COMPONENT = "A covered component is listed twice."
    UNKNOWN_PARAMETER = "Use the parameters created, expires, keyid, alg, nonce and tag only."
    REPEATED_PARAMETER = "A parameter of Signature-Input is given twice."
    MALFORMED_PARAMETER = (
        "created and expires must be whole seconds since 1970; keyid, alg, nonce and tag must be"
        " quoted."
    )
    NO_KEY_ID = "The parameter keyid is missing; it is the key_id of the terminal."
    OTHER_ALGORITHM = 'The parameter alg must be "hmac-sha256".'
    NO_CREATED = "The parameter created is missing."
    STALE = (
        f"created is more than {CREATED_WITHIN_S} s away from the server's time: sign each request"
        " when it is sent, and set the terminal's clock."
    )
    EXPIRED = "The time in the parameter expires has passed."
    UNCOVERED_TARGET = 'The signature must cover "@method" and "@path".'
    UNCOVERED_QUERY = 'The request has a query, so the signature must cover "@query".'
    UNCOVERED_BODY = 'The request has a body, so the signature must cover "content-digest".'
    ABSENT_COMPONENT = "A covered header is not in the request, or Host is there twice."
    NOT_PLAIN_ASCII = "A covered value holds characters other than printable ASCII."
    NO_DIGEST = (
        "Content-Digest must hold one sha-256 digest of the body, as sha-256=:...=: (RFC 9530)."
    )
    OTHER_BODY = "Content-Digest is not the SHA-256 digest of the body that arrived."
    WRONG_SIGNATURE = (
        "The signature does not match: compare the signature base with RFC 9421, section 2.5, and"
        " check that the key is the base64url-decoded secret of the terminal."
    )


class SignatureInput(NamedTuple):
    """A signature that has the right form: whose it claims to be, and what it covers.

    `parameters` is the value of `@signature-params`; `signature` is base64; times are seconds since
    the epoch.
    """

    key_id: str
    components: tuple[bytes, ...]
    created_s: int
    expires_s: int | None
    parameters: bytes
    signature: bytes


def parse_signature(headers: Headers) -> SignatureInput | SignatureFault:
    """Read the one signature of a request, of which nothing is believed until `verify`.

    `headers` are those of the ASGI scope.
    """
    lines = _find_lines(headers)
    if isinstance(lines, SignatureFault):
        return lines
    form = _INPUT.fullmatch(lines[0])
    if form is None:
        return _malformed(lines[0])
    label, parameters, listed, named = form.groups()
    components = _read_components(listed or b"")
    if isinstance(components, SignatureFault):
        return components
    values = _read_parameters(named)
    if isinstance(values, SignatureFault):
        return values
    signature = _read_signature(lines[1], label)
    if isinstance(signature, SignatureFault):
        return signature
    expires = values.get(b"expires")
    return SignatureInput(
        key_id=values[b"keyid"][1:-1].decode(),
        components=components,
        created_s=int(values[b"created"]),
        expires_s=None if expires is None else int(expires),
        parameters=parameters,
        signature=signature,
    )


def verify(
    signed: SignatureInput, message: Message, *, key: bytes, now_s: float
) -> SignatureFault | None:
    """Check a signature under the key of its `key_id`; None when it holds.

    `message` is the request as it came, its whole body included; `now_s` is real time.
    """
    return (
        _untimely(signed, now_s)
        or _uncovered(signed.components, message)
        or _wrong_digest(signed.components, message)
        or _wrong_signature(signed, message, key)
    )


def _find_lines(headers: Headers) -> tuple[bytes, bytes] | SignatureFault:
    """Return the values of Signature-Input and Signature."""
    given = [value.strip(b" \t") for name, value in headers if name == SIGNATURE_INPUT_HEADER]
    if not given:
        return SignatureFault.NO_SIGNATURE_INPUT
    signatures = [value.strip(b" \t") for name, value in headers if name == SIGNATURE_HEADER]
    if not signatures:
        return SignatureFault.NO_SIGNATURE
    if len(given) > 1 or len(signatures) > 1:
        return SignatureFault.SEVERAL
    if len(given[0]) > _INPUT_BYTES_MAX or len(signatures[0]) > _SIGNATURE_BYTES_MAX:
        return SignatureFault.TOO_LONG
    return given[0], signatures[0]


def _malformed(given: bytes) -> SignatureFault:
    first = _INPUT.match(given)
    if first and given[first.end() :].lstrip(b" \t").startswith(b","):
        return SignatureFault.SEVERAL
    return SignatureFault.MALFORMED_INPUT


def _read_components(listed: bytes) -> tuple[bytes, ...] | SignatureFault:
    if b'";' in listed:
        return SignatureFault.COMPONENT_PARAMETERS
    components = tuple(listed[1:-1].split(b'" "')) if listed else ()
    if len(components) > _COMPONENTS_MAX:
        return SignatureFault.TOO_LONG
    if len(set(components)) != len(components):
        return SignatureFault.REPEATED_COMPONENT
    for name in components:
        if name not in DERIVED_COMPONENTS and (b"@" in name or name in _UNSIGNABLE_FIELDS):
            return SignatureFault.UNSUPPORTED_COMPONENT
    return components


def _read_parameters(named: bytes) -> dict[bytes, bytes] | SignatureFault:
    """Return the parameters as they are spelled; keyid and created are among them."""
    pairs = _NAMED_VALUE.findall(named)
    values = dict(pairs)
    if len(values) != len(pairs):
        return SignatureFault.REPEATED_PARAMETER
    for name, value in pairs:
        if name in _TEXTS:
            well_formed = value[:1] == b'"'
        elif name in _NUMBERS:
            well_formed = _INTEGER.fullmatch(value) is not None
        else:
            return SignatureFault.UNKNOWN_PARAMETER
        if not well_formed:
            return SignatureFault.MALFORMED_PARAMETER
    if b"keyid" not in values:
        return SignatureFault.NO_KEY_ID
    if values.get(b"alg") != _QUOTED_ALGORITHM:
        return SignatureFault.OTHER_ALGORITHM
    return values if b"created" in values else SignatureFault.NO_CREATED


def _read_signature(signature: bytes, label: bytes) -> bytes | SignatureFault:
    form = _SIGNATURE.fullmatch(signature)
    if form is None:
        several = b"," in signature
        return SignatureFault.SEVERAL if several else SignatureFault.MALFORMED_SIGNATURE
    return form[2] if form[1] == label else SignatureFault.OTHER_LABEL


def _untimely(signed: SignatureInput, now_s: float) -> SignatureFault | None:
    if abs(now_s - signed.created_s) > CREATED_WITHIN_S:
        return SignatureFault.STALE
    if signed.expires_s is not None and now_s > signed.expires_s:
        return SignatureFault.EXPIRED
    return None


def _uncovered(components: tuple[bytes, ...], message: Message) -> SignatureFault | None:
    if b"@method" not in components or b"@path" not in components:
        return SignatureFault.UNCOVERED_TARGET
    if message.query and b"@query" not in components:
        return SignatureFault.UNCOVERED_QUERY
    if message.body and DIGEST_HEADER not in components:
        return SignatureFault.UNCOVERED_BODY
    return None


def _wrong_digest(components: tuple[bytes, ...], message: Message) -> SignatureFault | None:
    if DIGEST_HEADER not in components:
        return None
    given = field_value(message.headers, DIGEST_HEADER)
    if given is None:
        return SignatureFault.NO_DIGEST
    if len(given) > _DIGEST_BYTES_MAX:
        return SignatureFault.TOO_LONG
    expected = content_digest(message.body)
    if given == expected:
        return None
    # Other algorithms may stand beside it (RFC 9530); the one we check must be there once.
    members = [member.strip(b" \t") for member in given.split(b",")]
    ours = [member for member in members if member.startswith(b"sha-256=")]
    if len(ours) != 1 or not all(_DIGEST.fullmatch(member) for member in members):
        return SignatureFault.NO_DIGEST
    return None if ours[0] == expected else SignatureFault.OTHER_BODY


def _wrong_signature(signed: SignatureInput, message: Message, key: bytes) -> SignatureFault | None:
    base = signature_base(message, signed.components, signed.parameters)
    if base is Unsignable.ABSENT_COMPONENT:
        return SignatureFault.ABSENT_COMPONENT
    if base is Unsignable.NOT_PLAIN_ASCII:
        return SignatureFault.NOT_PLAIN_ASCII
    if len(base) > _BASE_BYTES_MAX:
        return SignatureFault.TOO_LONG
    # As text, so that a signature has one spelling, too.
    genuine = hmac.compare_digest(mac_text(key, base), signed.signature)
    return None if genuine else SignatureFault.WRONG_SIGNATURE
