"""Whatever is sent to whatever operation, the answer is a problem of the sender's, never a 500.

The operations are read from the OpenAPI description, so that a new one is tried as well.
"""

import json
import random
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from services.claim.app import create_api
from services.claim.endpoint import ROUTE
from shared.ids import new_id
from tests.builders import DropTerms
from tests.callers import Caller
from tests.claim.office import Office, claim

SEED = 20200501
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, -0.0, 2**31, 2**63, -(2**63) - 1, 10**300, 1e308),
    *("", " ", "\x00", "a\x00b", "\ud800", "\u202e", "x" * 900, "'; DROP TABLE claims; --"),
    *("NaN", "2026-13-45T99:99:99Z", "٣٣", "{}", "${jndi:ldap://x}"),
    *([], [[]], [None] * 100, {}, {"$gt": 1}, {"": {"": []}}),
)
BODIES = (
    *(b"{", b"}", b"[]", b'"text"', b"17", b"NaN", b"tru", b"\xff\xfe\x00", b"\x00" * 64),
    *(b'{"channel": NaN}', b'{"channel": 1e999}', b'{"channel": ' + b"9" * 900 + b"}"),
    *(b'{"\xed\xa0\x80": 1}', b'{"\\ud800": 1}', b'{"channel": "\\ud800"}'),
    *(b'{"channel": "a", "channel": {}}', b"[" * 1000, b'{"a":' * 180, b"\xef\xbb\xbf{}"),
    *(b'{"channel":"a"} x', b'{"channel":"a"}{}', b"\xff" * 1000),
)
TEXTS = (
    *("%00", "a%00b", "%FF%FE", "%ED%A0%80", "%F0%9F%8E%AB", "%2e%2e%2f", "%25", "%"),
    *("nonsense", "'", "x" * 65, "x" * 3000, "-1", "0", "9" * 400, "null", "[]", "%0d%0aA:b"),
    *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    *(str(new_id(4095)), str(new_id(1)).upper(), str(new_id(1)).replace("-", "")),
)
HEADERS: tuple[Mapping[str, str], ...] = (
    *({"Idempotency-Key": key} for key in ("", " ", '""', "é", "x" * 5000, "a\tb", "\x7f")),
    *({"Content-Type": kind} for kind in ("", "x", "text/plain", "multipart/form-data", "a;" * 99)),
    *({"Authorization": value} for value in ("", "Bearer", "Bearer a b", "Bearer é", "x" * 9000)),
    *({"Authorization": f"Bearer fdp1.{text}"} for text in ("", "A" * 128, "=" * 128, "-_" * 64)),
    *({"Authorization": f"Bearer {text}"} for text in ("a.b.c", "e30.e30.e30", "." * 50)),
    *({"X-Request-ID": text} for text in ("", "x" * 500, "\x01", "a b")),
    {"traceparent": "00-zz"},
    {"Accept": "text/html"},
    {"Accept-Encoding": "nonsense"},
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
    assert ("POST", ROUTE, True) in operations()
    assert len(operations()) == 8


@pytest.fixture(params=["served", "documented"])
async def resident(request: pytest.FixtureRequest, office: Office) -> Caller:
    caller = office.resident()
    return caller if request.param == "served" else office.documented_to(caller)


async def assert_refused(
    caller: Caller, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
) -> None:
    sent = {"Authorization": f"Bearer {caller.token}", "Content-Type": "application/json"}
    try:
        async with caller.http.request(
            method, path, data=data, headers={**sent, **headers}
        ) as answer:
            raw = await answer.read()
    except ValueError as unsendable:  # the client refuses to send control characters
        assert "header" in str(unsendable).lower(), unsendable  # noqa: PT017 - nothing was sent
        return
    told = (method, path[:200], data, headers, answer.status, raw[:300])
    assert answer.status in EXPECTED, told
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json", told
        problem = json.loads(raw)
        assert problem["status"] == answer.status, told
        assert problem["request_id"], told
        assert problem["code"] not in {"internal", "unavailable"}, told


async def _paths(office: Office, template: str) -> str:
    drop_id = await office.open_drop(DropTerms(quota=500))
    return template.format(drop_id=drop_id, claim_id=new_id(1), voucher_id="1" + "0" * 32)


@pytest.mark.parametrize(("method", "template", "takes_body"), operations())
async def test_bodies(
    office: Office, resident: Caller, method: str, template: str, *, takes_body: bool
) -> None:
    path = await _paths(office, template)
    if not takes_body:
        await assert_refused(resident, method, path, b"\xff" * 100, {})
        return
    for data in BODIES:
        await assert_refused(resident, method, path, data, {})
    for value in VALUES:
        for body in (value, {"channel": value}, {"device": value}, {"unknown": value}, [value]):
            await assert_refused(resident, method, path, json.dumps(body).encode(), {})
            await assert_refused(
                resident, method, path, json.dumps({"channel": [body]}).encode(), {}
            )


@pytest.mark.parametrize(("method", "template", "takes_body"), operations())
async def test_paths_and_queries(
    resident: Caller, method: str, template: str, *, takes_body: bool
) -> None:
    data = b"{}" if takes_body else None
    for text in TEXTS:
        path = template.format(drop_id=text, claim_id=text, voucher_id=text)
        await assert_refused(resident, method, path, data, {})
        for name in ("limit", "cursor", "city_code", "offline", text):
            await assert_refused(resident, method, f"{path}?{name}={text}", data, {})


@pytest.mark.parametrize(("method", "template", "takes_body"), operations())
async def test_headers(
    office: Office, resident: Caller, method: str, template: str, *, takes_body: bool
) -> None:
    path = await _paths(office, template)
    for headers in HEADERS:
        await assert_refused(resident, method, path, b"{}" if takes_body else None, headers)


def _garbage(seed: int, rounds: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    sound = b'{"channel": "alipay"}'
    for _ in range(rounds):
        data = bytearray(chance.choice((sound, chance.randbytes(chance.randint(1, 300)))))
        for _ in range(chance.randint(0, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(data[: chance.randint(1, len(data))])


async def test_random_bytes(office: Office, resident: Caller) -> None:
    drop_id = await office.open_drop(DropTerms(quota=500))
    chance = random.Random(SEED)
    for data in _garbage(SEED, 300):
        await assert_refused(resident, "POST", f"/v1/drops/{drop_id}/claims", data, {})
        text = quote(chance.randbytes(chance.randint(1, 40)))
        await assert_refused(resident, "GET", f"/v1/vouchers?cursor={text}", None, {})
        await assert_refused(resident, "GET", f"/v1/drops?{text}", None, {})
        await assert_refused(resident, "GET", f"/v1/vouchers/{text}", None, {})
        await assert_refused(resident, "GET", f"/v1/vouchers/{text}/code", None, {})
    assert (await claim(resident, drop_id)).status in {200, 201}


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
    office: Office, resident: Caller, head: bytes
) -> None:
    """And the process serves the next resident as if nothing had been."""
    drop_id = await office.open_drop(DropTerms(quota=9))
    url = urlsplit(str(resident.http._base_url))
    authorization = f"Authorization: Bearer {resident.token}\r\n".encode()
    path = f"/v1/drops/{drop_id}/claims".encode()
    with socket.create_connection(("127.0.0.1", url.port or 0), timeout=5) as connection:
        connection.sendall(head % (path, authorization))
        connection.shutdown(socket.SHUT_WR)
    assert (await claim(resident, drop_id)).status == 201
