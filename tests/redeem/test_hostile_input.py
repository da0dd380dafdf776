"""Whatever is sent to whatever operation, the answer is a problem of the sender's, never a 500.

The sender is a terminal that signs what it sends: everything behind the signature is reached. The
operations are read from the OpenAPI description, so that a new one is tried as well.
"""

import json
import random
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from services.redeem.app import create_api
from services.redeem.resources import BODY_BYTES_MAX
from shared.ids import new_id
from tests.redeem.market import Market
from tests.tills_http import REDEMPTIONS, TillCaller, fresh_no, order

SEED = 20200501
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, -0.0, 2**31, 2**63, -(2**63) - 1, 10**300, 1e308, 10**13 + 1),
    *("", " ", "\x00", "a\x00b", "\ud800", "\u202e", "x" * 900, "'; DROP TABLE claims; --"),
    *("NaN", "2026-13-45T99:99:99Z", "٣٣", "{}", "${jndi:ldap://x}", "10000", "true"),
    *([], [[]], [None] * 100, {}, {"$gt": 1}, {"": {"": []}}),
)
FIELDS = (
    *("request_no", "code", "quote_id", "order_no", "order_amount_fen", "category", "capture"),
    *("original_request_no", "unknown"),
)
BODIES = (
    *(b"{", b"}", b"[]", b'"text"', b"17", b"NaN", b"tru", b"\xff\xfe\x00", b"\x00" * 64),
    *(b'{"request_no": NaN}', b'{"order_amount_fen": 1e999}', b'{"code": ' + b"9" * 9000 + b"}"),
    *(b'{"\xed\xa0\x80": 1}', b'{"\\ud800": 1}', b'{"category": "\\ud800"}'),
    *(b'{"code": "a", "code": {}}', b"[" * 9000, b'{"a":' * 1800, b"\xef\xbb\xbf{}"),
    *(b'{"request_no":"a"} x', b'{"request_no":"a"}{}', b"\xff" * 1000, b" " * 9000),
    *(b"x" * BODY_BYTES_MAX, b"x" * (BODY_BYTES_MAX + 1), b"{" + b" " * (2 * BODY_BYTES_MAX)),
)
TEXTS = (
    *("%00", "a%00b", "%FF%FE", "%ED%A0%80", "%F0%9F%8E%AB", "%2e%2e%2f", "%25", "%"),
    *("nonsense", "'", "x" * 65, "x" * 3000, "-1", "0", "9" * 400, "null", "[]", "%0d%0aA:b"),
    *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    *(str(new_id(4095)), str(new_id(1)).upper(), str(new_id(1)).replace("-", "")),
)
HEADERS: tuple[Mapping[str, str], ...] = (
    *({"Content-Type": kind} for kind in ("", "x", "text/plain", "multipart/form-data", "a;" * 99)),
    *(
        {"Signature": text}
        for text in ("", "till=::", "till=:A=:", "x" * 9000, "é", "a=:b:, c=:d:")
    ),
    *(
        {"Signature-Input": text}
        for text in ("", "till=()", "till=(", "x" * 9000, "é", "a=(), b=()")
    ),
    *({"Signature-Input": f'till=("@method" "{name}");created=1'} for name in ("", "@x", "é")),
    *({"Content-Digest": text} for text in ("", "sha-256=::", "md5=:AA==:", "x" * 9000, "é")),
    *({"X-Request-ID": text} for text in ("", "x" * 500, "\x01", "a b")),
    {"Host": ""},
    {"traceparent": "00-zz"},
    {"Accept": "text/html"},
    {"Content-Encoding": "gzip"},
    {"X-Big": "x" * 20_000},
)
EXPECTED = {200, 201, 400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 431}

Operation = tuple[str, str, bool]


def operations() -> list[Operation]:
    """Return (method, path template, whether it takes a body) of every operation."""
    return [
        (method.upper(), path, "requestBody" in operation)
        for path, methods in create_api().openapi()["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1/")
    ]


def test_there_is_something_to_try() -> None:
    assert ("POST", REDEMPTIONS, True) in operations()
    assert len(operations()) == 6


@dataclass(frozen=True, slots=True)
class Sender:
    """A till with a good code: what is sent reaches as far as anything can."""

    till: TillCaller
    code: str

    def sound_body(self, path: str) -> dict[str, Any]:
        """Return a body that an operation takes."""
        if path == REDEMPTIONS:
            return order(self.code)
        if path == "/v1/quotes":
            return {"code": self.code, "order_amount_fen": 10_000, "category": "catering"}
        if path == "/v1/reversals":
            return {"request_no": fresh_no(), "original_request_no": fresh_no()}
        return {"request_no": fresh_no()}


@pytest_asyncio.fixture(params=["served", "documented"])
async def sender(request: pytest.FixtureRequest, kept_market: Market) -> Sender:
    stall = await kept_market.open()
    till = await stall.till()
    if request.param == "documented":
        till = kept_market.documented_to(till)
    return Sender(till, stall.code())


async def assert_refused(
    sender: Sender,
    method: str,
    target: str,
    data: bytes,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send it signed, unless the headers say otherwise; a target that cannot be signed is not."""
    till = sender.till
    path, _, query = target.partition("?")
    try:
        signed = till.signed(method, path, query, data)
    except ValueError:
        signed = {}
    sent = {"Content-Type": "application/json", **signed, **(headers or {})}
    url = URL(f"{str(till.http._base_url).rstrip('/')}{target}", encoded=True)
    try:
        async with till.http.request(method, url, data=data or None, headers=sent) as answer:
            raw = await answer.read()
    except ValueError as unsendable:  # the client refuses to send control characters
        assert "header" in str(unsendable).lower(), unsendable  # noqa: PT017 - nothing was sent
        return
    told = (method, target[:200], data[:200], headers, answer.status, raw[:300])
    assert answer.status in EXPECTED, told
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json", told
        problem = json.loads(raw)
        assert problem["status"] == answer.status, told
        assert problem["request_id"], told
        assert problem["code"] not in {"internal", "unavailable"}, told


@pytest.mark.parametrize(("method", "template", "takes_body"), operations())
async def test_bodies(sender: Sender, method: str, template: str, *, takes_body: bool) -> None:
    path = template.format(redemption_id=new_id(sender.till.till.city_id))
    if not takes_body:
        await assert_refused(sender, method, f"{path}?request_no=r-1", b"\xff" * 100)
        return
    for data in BODIES:
        await assert_refused(sender, method, path, data)
    for value in VALUES:
        for field in FIELDS:
            body = {**sender.sound_body(path), field: value}
            await assert_refused(sender, method, path, json.dumps(body).encode())
    for missing in FIELDS:
        body = sender.sound_body(path)
        body.pop(missing, None)
        await assert_refused(sender, method, path, json.dumps(body).encode())


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
async def test_a_body_has_a_bound(sender: Sender, *, announced: bool) -> None:
    """Whether its length is said before, or only seen; read to its end it is not."""
    data = b" " * (BODY_BYTES_MAX + 1)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 4096):
            yield data[at : at + 4096]

    headers = {
        "Content-Type": "application/json",
        **sender.till.signed("POST", REDEMPTIONS, "", data),
    }
    body = data if announced else chunks()
    async with sender.till.http.post(REDEMPTIONS, data=body, headers=headers) as answer:
        assert answer.status == 413
        assert (await answer.json(content_type=None))["code"] == "payload_too_large"


@pytest.mark.parametrize(("method", "template", "takes_body"), operations())
async def test_paths_and_queries(
    sender: Sender, method: str, template: str, *, takes_body: bool
) -> None:
    for text in TEXTS:
        path = template.format(redemption_id=text)
        data = json.dumps(sender.sound_body(path)).encode() if takes_body else b""
        await assert_refused(sender, method, path, data)
        for query in (f"request_no={text}", f"request_no=a&request_no={text}", f"{text}={text}"):
            await assert_refused(sender, method, f"{path}?{query}", data)


@pytest.mark.parametrize(("method", "template", "takes_body"), operations())
async def test_headers(sender: Sender, method: str, template: str, *, takes_body: bool) -> None:
    path = template.format(redemption_id=new_id(1))
    data = json.dumps(sender.sound_body(path)).encode() if takes_body else b""
    for headers in HEADERS:
        await assert_refused(sender, method, path, data, headers)


def _garbage(sound: bytes, seed: int, rounds: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    for _ in range(rounds):
        data = bytearray(chance.choice((sound, chance.randbytes(chance.randint(1, 300)))))
        for _ in range(chance.randint(0, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data[: chance.randint(1, len(data))])


@pytest.mark.parametrize(("method", "template", "takes_body"), operations())
async def test_random_bytes(
    sender: Sender, method: str, template: str, *, takes_body: bool
) -> None:
    path = template.format(redemption_id=new_id(1))
    sound = json.dumps(sender.sound_body(path)).encode()
    for data in _garbage(sound, SEED, 100):
        if takes_body:
            await assert_refused(sender, method, path, data)
        else:
            await assert_refused(sender, method, f"{path}?{quote(data)}", b"")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(
        ["/v1/quotes", REDEMPTIONS, "/v1/reversals", f"{REDEMPTIONS}/{new_id(1)}/capture"]
    ),
    changes=st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=9), json_values, max_size=4),
)
async def test_any_json_in_any_field(sender: Sender, path: str, changes: dict[str, Any]) -> None:
    body = json.dumps({**sender.sound_body(path), **changes})
    await assert_refused(sender, "POST", path, body.encode())


@pytest.mark.parametrize(
    "head",
    [
        b"POST %s HTTP/1.1\r\nHost: x\r\n%sTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: -1\r\n\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: 9999999999999999999\r\n\r\n{}",
        b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST %s HTTP/9.9\r\nHost: x\r\n%s\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03%s%s",
    ],
)
async def test_broken_http_ends_with_an_answer_or_the_connection(
    kept_market: Market, head: bytes
) -> None:
    """And the process serves the next till as if nothing had been."""
    stall = await kept_market.open()
    till = await stall.till()
    lines = b"".join(
        f"{name}: {value}\r\n".encode() for name, value in till.signed("POST", REDEMPTIONS).items()
    )
    url = urlsplit(str(till.http._base_url))
    with socket.create_connection(("127.0.0.1", url.port or 0), timeout=5) as connection:
        connection.sendall(head % (REDEMPTIONS.encode(), lines))
        connection.shutdown(socket.SHUT_WR)
    assert (await till.redeem(order(stall.code()))).status == 201
