"""Signatures of tills, against another implementation of RFC 9421 and against forgers."""

import base64
import string
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver
from http_message_signatures.algorithms import HMAC_SHA256
from hypothesis import given, settings
from hypothesis import strategies as st

from services.redeem.signatures import SignatureFault, SignatureInput, parse_signature, verify
from shared.ids import new_id
from shared.request_signing import (
    DERIVED_COMPONENTS,
    Headers,
    Message,
    content_digest,
    mac_text,
    sign,
    signature_base,
)
from shared.secrets import Secrets
from shared.terminal_keys import TerminalKeys, new_key_id

# The other implementation asks the real clock.
NOW_S = time.time_ns() // 10**9
KEY_ID = new_key_id(new_id(330))
SECRET = TerminalKeys(Secrets(b"k" * 32)).secret(KEY_ID)
HOST = "127.0.0.1:8002"
BODY = b'{"request_no":"r-1","order_amount_fen":12000}'
PLAIN = [(b"host", HOST.encode()), (b"content-type", b"application/json")]
CAPTURE = Message("POST", b"/v1/redemptions", headers=PLAIN, body=BODY)
READ_BACK = Message("GET", b"/v1/redemptions", b"request_no=r-1", PLAIN)
COVERED = '"@method" "@path" "content-digest"'
CREATED = f";created={NOW_S}"
NAMED = f';keyid="{KEY_ID}"'
ALGORITHM = ';alg="hmac-sha256"'
PARAMETERS = CREATED + NAMED + ALGORITHM

paths = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/", max_size=40)
queries = st.text(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@/?", max_size=40)
quotable = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), max_size=40)
unquoted = quotable.map(lambda text: text.replace('"', "").replace("\\", ""))


@dataclass
class LibraryRequest:
    """The form in which the other implementation takes a request."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


def as_library_request(message: Message) -> LibraryRequest:
    query = f"?{message.query.decode()}" if message.query else ""
    headers = {name.decode(): value.decode() for name, value in message.headers}
    return LibraryRequest(message.method, f"http://{HOST}{message.path.decode()}{query}", headers)


def with_headers(message: Message, headers: dict[str, str]) -> Message:
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return message._replace(headers=[*message.headers, *lines])


def sealed(message: Message, covered: str = COVERED, parameters: str = PARAMETERS) -> Message:
    """Sign whatever is asked for, sound or not, so that only the rule at stake can refuse it."""
    names = [name.encode() for name in covered.replace('"', "").split()]
    fields = dict(message.headers)
    if message.body:
        fields.setdefault(b"content-digest", content_digest(message.body))
    message = message._replace(headers=list(fields.items()))
    value = f"({covered}){parameters}".encode()
    base = signature_base(message, names, value)
    mac = mac_text(SECRET, base) if isinstance(base, bytes) else b"A" * 43 + b"="
    lines = [(b"signature-input", b"sig1=" + value), (b"signature", b"sig1=:" + mac + b":")]
    return message._replace(headers=[*message.headers, *lines])


def check(message: Message, *, key: bytes = SECRET, now_s: float = NOW_S) -> SignatureFault | None:
    parsed = parse_signature(message.headers)
    if isinstance(parsed, SignatureFault):
        return parsed
    return verify(parsed, message, key=key, now_s=now_s)


def replaced(message: Message, name: bytes, old: bytes, new: bytes) -> Message:
    assert any(field == name and old in value for field, value in message.headers)
    lines = [
        (field, value.replace(old, new) if field == name else value)
        for field, value in message.headers
    ]
    return message._replace(headers=lines)


def without(message: Message, name: bytes) -> Message:
    return message._replace(headers=[line for line in message.headers if line[0] != name])


@settings(deadline=None)
@given(paths, queries, st.binary(max_size=200), st.none() | unquoted)
def test_what_we_sign_the_library_verifies(
    path: str, query: str, body: bytes, nonce: str | None
) -> None:
    message = Message("POST", f"/{path}".encode(), query.encode(), PLAIN, body)
    headers = sign(message, key_id=KEY_ID, secret=SECRET, now_s=NOW_S, nonce=nonce)
    message = with_headers(message, headers)
    verifier = HTTPMessageVerifier(
        signature_algorithm=HMAC_SHA256,
        key_resolver=MappingKeyResolver(public_keys={KEY_ID: SECRET}, private_keys={}),
    )
    needed = ["@method", "@path", *(["@query"] if query else [])]
    [result] = verifier.verify(as_library_request(message), require_components=needed, body=body)
    assert result.nonce == nonce
    assert result.body == (body or None)
    assert check(message) is None


@settings(deadline=None)
@given(
    paths,
    queries,
    st.binary(max_size=200),
    st.permutations([*sorted(DERIVED_COMPONENTS), b"host", b"content-type", b"x-store"]),
    st.none() | quotable,
)
def test_what_the_library_signs_we_verify(
    path: str, query: str, body: bytes, covered: list[bytes], nonce: str | None
) -> None:
    headers = [*PLAIN, (b"x-store", b"  counter 3\t ")]
    message = Message("POST", f"/{path}".encode(), query.encode(), headers, body)
    request = as_library_request(message)
    signer = HTTPMessageSigner(
        signature_algorithm=HMAC_SHA256,
        key_resolver=MappingKeyResolver(public_keys={}, private_keys={KEY_ID: SECRET}),
    )
    signer.sign(
        request,
        key_id=KEY_ID,
        created=datetime.fromtimestamp(NOW_S, UTC),
        expires=datetime.fromtimestamp(NOW_S + 60, UTC),
        nonce=nonce,
        tag="till",
        covered_component_ids=[name.decode() for name in covered],
        body=body or None,
    )
    signed = with_headers(message._replace(headers=[]), request.headers)
    parsed = parse_signature(signed.headers)
    assert isinstance(parsed, SignatureInput)
    assert (parsed.key_id, parsed.created_s, parsed.expires_s) == (KEY_ID, NOW_S, NOW_S + 60)
    assert verify(parsed, signed, key=SECRET, now_s=NOW_S) is None
    assert check(signed._replace(path=signed.path + b"x")) is SignatureFault.WRONG_SIGNATURE


def test_the_example_of_the_rfc() -> None:
    """Appendix B.2.5; the profile asks for more, so only base and signature are compared."""
    key = base64.b64decode(
        "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
    )
    headers = [
        (b"host", b"example.com"),
        (b"date", b"Tue, 20 Apr 2021 02:07:55 GMT"),
        (b"content-type", b"application/json"),
    ]
    message = Message("POST", b"/foo", b"param=Value&Pet=dog", headers, b'{"hello": "world"}')
    parameters = (
        b'("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    )
    base = signature_base(message, [b"date", b"@authority", b"content-type"], parameters)
    assert isinstance(base, bytes)
    assert mac_text(key, base) == b"pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="


def test_a_message_is_read_as_the_rfc_says() -> None:
    odd = Message(
        "GET",
        b"",
        headers=[(b"host", b"Pos.Example:443"), (b"x-a", b" 1 "), (b"x-b", b""), (b"x-a", b"2\t")],
        scheme="HTTPS",
    )
    names = [b"@path", b"@query", b"@authority", b"@scheme", b"@target-uri", b"x-a", b"x-b"]
    assert signature_base(odd, names, b"()") == (
        b'"@path": /\n"@query": ?\n"@authority": pos.example\n"@scheme": https\n'
        b'"@target-uri": https://Pos.Example:443/\n"x-a": 1, 2\n"x-b": \n"@signature-params": ()'
    )


OTHER_DIGEST = b"sha-512=:" + b"A" * 86 + b"==:"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (None, sealed(CAPTURE)),
        (None, sealed(CAPTURE, parameters=PARAMETERS + ';nonce="a\\"b;c";tag="t"')),
        (None, sealed(READ_BACK, '"@query" "@path" "@method"')),
        (None, sealed(READ_BACK._replace(query=b""), '"@method" "@path"')),
        (None, replaced(sealed(CAPTURE), b"signature", b"sig1", b" sig1")),
        (SignatureFault.NO_SIGNATURE_INPUT, CAPTURE),
        (SignatureFault.NO_SIGNATURE_INPUT, without(sealed(CAPTURE), b"signature-input")),
        (SignatureFault.NO_SIGNATURE, without(sealed(CAPTURE), b"signature")),
        (SignatureFault.UNCOVERED_TARGET, sealed(CAPTURE, "")),
        (SignatureFault.UNCOVERED_TARGET, sealed(CAPTURE, '"@method" "content-digest"')),
        (SignatureFault.UNCOVERED_TARGET, sealed(CAPTURE, '"@path" "content-digest"')),
        (SignatureFault.UNCOVERED_QUERY, sealed(READ_BACK, '"@method" "@path" "@target-uri"')),
        (SignatureFault.UNCOVERED_BODY, sealed(CAPTURE, '"@method" "@path" "content-type"')),
        (
            SignatureFault.STALE,
            sealed(CAPTURE, parameters=f";created={NOW_S + 301}{NAMED}{ALGORITHM}"),
        ),
        (SignatureFault.STALE, sealed(CAPTURE, parameters=f";created=0{NAMED}{ALGORITHM}")),
        (SignatureFault.EXPIRED, sealed(CAPTURE, parameters=f"{PARAMETERS};expires={NOW_S - 1}")),
        (SignatureFault.NO_CREATED, sealed(CAPTURE, parameters=NAMED + ALGORITHM)),
        (SignatureFault.NO_KEY_ID, sealed(CAPTURE, parameters=CREATED + ALGORITHM)),
        (SignatureFault.OTHER_ALGORITHM, sealed(CAPTURE, parameters=CREATED + NAMED)),
        (
            SignatureFault.OTHER_ALGORITHM,
            sealed(CAPTURE, parameters=CREATED + NAMED + ';alg="ed25519"'),
        ),
        (SignatureFault.UNKNOWN_PARAMETER, sealed(CAPTURE, parameters=PARAMETERS + ";x=1")),
        (SignatureFault.UNKNOWN_PARAMETER, sealed(CAPTURE, parameters=PARAMETERS + ";x")),
        (SignatureFault.REPEATED_PARAMETER, sealed(CAPTURE, parameters=PARAMETERS + NAMED)),
        (SignatureFault.MALFORMED_PARAMETER, sealed(CAPTURE, parameters=PARAMETERS + ";nonce=a")),
        (SignatureFault.MALFORMED_PARAMETER, sealed(CAPTURE, parameters=PARAMETERS + ";expires")),
        (SignatureFault.MALFORMED_PARAMETER, sealed(CAPTURE, parameters=';created="1";keyid="a"')),
        (SignatureFault.MALFORMED_PARAMETER, sealed(CAPTURE, parameters=";created=01")),
        (SignatureFault.MALFORMED_INPUT, sealed(CAPTURE, parameters=PARAMETERS + "; tag=a")),
        (SignatureFault.MALFORMED_INPUT, sealed(CAPTURE, parameters=PARAMETERS + ';tag="é"')),
        (SignatureFault.MALFORMED_INPUT, sealed(CAPTURE, COVERED.replace(" ", "  "))),
        (SignatureFault.MALFORMED_INPUT, sealed(CAPTURE, COVERED + ' "Content-Type"')),
        (SignatureFault.COMPONENT_PARAMETERS, sealed(CAPTURE, COVERED + ' "content-type";sf')),
        (SignatureFault.COMPONENT_PARAMETERS, sealed(CAPTURE, COVERED + ' "x";key="a"')),
        (SignatureFault.REPEATED_COMPONENT, sealed(CAPTURE, COVERED + ' "@path"')),
        (SignatureFault.UNSUPPORTED_COMPONENT, sealed(CAPTURE, COVERED + ' "@status"')),
        (SignatureFault.UNSUPPORTED_COMPONENT, sealed(CAPTURE, COVERED + ' "@signature-params"')),
        (SignatureFault.UNSUPPORTED_COMPONENT, sealed(CAPTURE, COVERED + ' "signature"')),
        (SignatureFault.ABSENT_COMPONENT, sealed(CAPTURE, COVERED + ' "x-store"')),
        (SignatureFault.ABSENT_COMPONENT, sealed(without(CAPTURE, b"host"), f'{COVERED} "host"')),
        (SignatureFault.NOT_PLAIN_ASCII, sealed(CAPTURE._replace(path=b"/\xc3\xa9"))),
        (SignatureFault.NOT_PLAIN_ASCII, sealed(CAPTURE._replace(path=b'/a\n"x": b'))),
        (SignatureFault.NOT_PLAIN_ASCII, sealed(CAPTURE._replace(method="PÖST"))),
        (SignatureFault.NOT_PLAIN_ASCII, sealed(CAPTURE._replace(method="P\ud800ST"))),
        (SignatureFault.TOO_LONG, sealed(CAPTURE, parameters=f'{PARAMETERS};tag="{"a" * 2048}"')),
        (SignatureFault.TOO_LONG, sealed(CAPTURE, " ".join(f'"x{n}"' for n in range(25)))),
        (SignatureFault.TOO_LONG, sealed(CAPTURE._replace(path=b"/" + b"a" * 17_000))),
        (SignatureFault.OTHER_LABEL, replaced(sealed(CAPTURE), b"signature", b"sig1", b"sig2")),
        (SignatureFault.WRONG_SIGNATURE, sealed(CAPTURE)._replace(method="PUT")),
        (SignatureFault.OTHER_BODY, sealed(CAPTURE)._replace(body=BODY + b" ")),
        (SignatureFault.OTHER_BODY, sealed(CAPTURE)._replace(body=b"")),
        (SignatureFault.NO_DIGEST, without(sealed(CAPTURE), b"content-digest")),
    ],
)
def test_each_rule_of_the_profile(fault: SignatureFault | None, message: Message) -> None:
    assert check(message) is fault


@pytest.mark.parametrize(
    ("fault", "signature"),
    [
        (SignatureFault.MALFORMED_SIGNATURE, b""),
        (SignatureFault.MALFORMED_SIGNATURE, b"sig1"),
        (SignatureFault.MALFORMED_SIGNATURE, b"sig1=::"),
        (SignatureFault.MALFORMED_SIGNATURE, b'sig1="' + b"A" * 43 + b'="'),
        (SignatureFault.MALFORMED_SIGNATURE, b"sig1=:" + b"A" * 43 + b"=:;a"),
        (SignatureFault.MALFORMED_SIGNATURE, b"sig1=:" + b"A" * 42 + b"==:"),
        (SignatureFault.SEVERAL, b"sig1=:" + b"A" * 43 + b"=:, sig2=:AAAA:"),
        (SignatureFault.WRONG_SIGNATURE, b"sig1=:" + b"A" * 43 + b"=:"),
        (SignatureFault.TOO_LONG, b"sig1=:" + b"A" * 300 + b":"),
    ],
)
def test_each_form_of_the_signature(fault: SignatureFault, signature: bytes) -> None:
    message = without(sealed(CAPTURE), b"signature")
    headers = [*message.headers, (b"signature", signature)]
    assert check(message._replace(headers=headers)) is fault


def test_one_signature_is_sent() -> None:
    message = sealed(CAPTURE)
    for line in message.headers[-2:]:
        assert check(message._replace(headers=[*message.headers, line])) is SignatureFault.SEVERAL
    [given] = [value for name, value in message.headers if name == b"signature-input"]
    two = replaced(message, b"signature-input", given, given + b", " + given)
    assert check(two) is SignatureFault.SEVERAL


@pytest.mark.parametrize(
    ("fault", "digest"),
    [
        (None, content_digest(BODY)),
        (None, OTHER_DIGEST + b", " + content_digest(BODY)),
        (SignatureFault.OTHER_BODY, content_digest(b"")),
        (SignatureFault.NO_DIGEST, b""),
        (SignatureFault.NO_DIGEST, OTHER_DIGEST),
        (SignatureFault.NO_DIGEST, content_digest(BODY) + b", " + content_digest(b"")),
        (SignatureFault.NO_DIGEST, content_digest(BODY) + b", \xff"),
        (SignatureFault.NO_DIGEST, content_digest(BODY).upper()),
        (SignatureFault.TOO_LONG, content_digest(BODY) + b"," * 512),
    ],
)
def test_each_form_of_the_digest(fault: SignatureFault | None, digest: bytes) -> None:
    assert check(sealed(CAPTURE._replace(headers=[(b"content-digest", digest)]))) is fault


@pytest.mark.parametrize(
    ("late_s", "fault"),
    [
        (-300.5, SignatureFault.STALE),
        (-300, None),
        (59, None),
        (60, None),
        (60.5, SignatureFault.EXPIRED),
        (300.5, SignatureFault.STALE),
    ],
)
def test_the_window_of_a_signature(late_s: float, fault: SignatureFault | None) -> None:
    message = sealed(CAPTURE, parameters=f"{PARAMETERS};expires={NOW_S + 60}")
    assert check(message, now_s=NOW_S + late_s) is fault


def test_a_request_has_one_host() -> None:
    message = sealed(CAPTURE, COVERED + ' "@authority"')
    assert check(message) is None
    two = message._replace(headers=[*message.headers, PLAIN[0]])
    assert check(two) is SignatureFault.ABSENT_COMPONENT


def test_another_terminals_key_does_not_sign() -> None:
    message = with_headers(CAPTURE, sign(CAPTURE, key_id=KEY_ID, secret=SECRET, now_s=NOW_S))
    assert check(message) is None
    assert check(message, key=b"y" * 32) is SignatureFault.WRONG_SIGNATURE
    assert check(message, key=b"") is SignatureFault.WRONG_SIGNATURE


@pytest.mark.parametrize("text", ['"', "\\", "é", "\n"])
def test_what_cannot_be_signed_is_a_fault_of_the_signer(text: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        sign(CAPTURE, key_id=text, secret=SECRET, now_s=NOW_S)
    with pytest.raises(ValueError, match="NOT_PLAIN_ASCII"):
        sign(READ_BACK._replace(query="é".encode()), key_id=KEY_ID, secret=SECRET, now_s=NOW_S)


def flipped(value: bytes, at: int, mask: int) -> bytes:
    return value[:at] + bytes([value[at] ^ mask]) + value[at + 1 :]


@given(paths, queries, st.binary(max_size=60), st.none() | unquoted, st.data())
def test_no_flipped_byte_passes(
    path: str, query: str, body: bytes, nonce: str | None, data: st.DataObject
) -> None:
    message = Message("POST", f"/{path}".encode(), query.encode(), [], body)
    headers = sign(message, key_id=KEY_ID, secret=SECRET, now_s=NOW_S, nonce=nonce)
    message = with_headers(message, headers)
    assert check(message) is None
    parts = [message.method.encode(), message.path, message.query, message.body]
    parts += [value for _, value in message.headers]
    where = data.draw(st.sampled_from([n for n, part in enumerate(parts) if part]))
    at = data.draw(st.integers(0, len(parts[where]) - 1))
    parts[where] = flipped(parts[where], at, data.draw(st.integers(1, 255)))
    names = [name for name, _ in message.headers]
    lines = list(zip(names, parts[4:], strict=True))
    forged = Message(parts[0].decode("latin-1"), parts[1], parts[2], lines, parts[3])
    assert check(forged) is not None


def test_no_flipped_bit_of_a_covered_header_passes() -> None:
    """Nor of the signature's own two; every bit there is, one after another."""
    message = sealed(CAPTURE, COVERED + ' "content-type" "host" "@authority" "@target-uri"')
    assert check(message) is None
    for number, (name, value) in enumerate(message.headers):
        for at in range(len(value)):
            for bit in range(8):
                lines = list(message.headers)
                lines[number] = (name, flipped(value, at, 1 << bit))
                assert check(message._replace(headers=lines)) is not None, lines[number]


structured = st.text('"()=;:,@\\ sig1AB\t\n\xff', max_size=60).map(lambda t: t.encode("latin-1"))
near = st.sampled_from([value for _, value in sealed(CAPTURE).headers])
values = st.binary(max_size=60) | structured | st.tuples(near, structured).map(b"".join) | near
names = st.sampled_from([b"signature-input", b"signature", b"content-digest", b"host", b"\xff"])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(names, values), max_size=6),
    st.tuples(st.text(max_size=8), st.binary(), st.binary(), st.binary(), st.text(max_size=8)),
)
def test_garbage_is_refused_in_words(
    headers: Headers, rest: tuple[str, bytes, bytes, bytes, str]
) -> None:
    method, path, query, body, scheme = rest
    message = Message(method, path, query, headers, body, scheme)
    assert isinstance(check(message), SignatureFault)
    every = (*sorted(DERIVED_COMPONENTS), b"content-digest", b"host", b"\xff")
    signed = SignatureInput(KEY_ID, every, NOW_S, None, b"\xff", b"\xff")
    assert isinstance(verify(signed, message, key=SECRET, now_s=NOW_S), SignatureFault)
