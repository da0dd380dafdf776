"""Who may ask at all: signatures over HTTP, at every operation and at both doors."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from services.redeem.signatures import SignatureFault
from shared.ids import new_id
from shared.request_signing import Message, sign
from tests.callers import Answer
from tests.redeem.market import Market, Stall
from tests.tills_http import REDEMPTIONS, TillCaller, fresh_no, order, real_time_s

OPERATIONS = [
    ("POST", "/v1/quotes", ""),
    ("POST", REDEMPTIONS, ""),
    ("POST", f"{REDEMPTIONS}/{{id}}/capture", ""),
    ("POST", f"{REDEMPTIONS}/{{id}}/release", ""),
    ("POST", "/v1/reversals", ""),
    ("GET", REDEMPTIONS, "request_no=r-1"),
]


@pytest.fixture
async def stall(kept_market: Market) -> Stall:
    return await kept_market.open()


@pytest.fixture(params=["served", "documented"])
async def till(request: pytest.FixtureRequest, kept_market: Market, stall: Stall) -> TillCaller:
    till = await stall.till()
    return till if request.param == "served" else kept_market.documented_to(till)


def assert_unsigned(answer: Answer, fault: SignatureFault) -> None:
    problem = answer.assert_problem(401, "bad_signature")
    assert problem["detail"] == fault
    assert answer.headers["www-authenticate"] == "Signature"


def without(headers: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


@pytest.mark.parametrize(("method", "template", "query"), OPERATIONS)
class TestEveryOperation:
    async def test_needs_a_signature(
        self, till: TillCaller, method: str, template: str, query: str
    ) -> None:
        """Before anything else is looked at: a body that is no JSON is not told so."""
        path = template.format(id=new_id(1))
        for data in (b"", b"{}", b"\xff not json"):
            if method == "GET" and data:
                continue
            headers: dict[str, str] = {"Content-Type": "text/plain"}
            answer = await till.send(method, path, query=query, data=data, headers=headers)
            assert_unsigned(answer, SignatureFault.NO_SIGNATURE_INPUT)

    async def test_needs_the_right_key(
        self, till: TillCaller, method: str, template: str, query: str
    ) -> None:
        path = template.format(id=new_id(1))
        data = b"" if method == "GET" else b"{}"
        stranger = replace(till, secret=b"x" * 32)
        answer = await stranger.send(method, path, query=query, data=data)
        assert_unsigned(answer, SignatureFault.WRONG_SIGNATURE)

    async def test_needs_a_terminal_that_exists(
        self, till: TillCaller, kept_market: Market, method: str, template: str, query: str
    ) -> None:
        path = template.format(id=new_id(1))
        data = b"" if method == "GET" else b"{}"
        unknown = str(new_id(till.till.city_id)) + ".1"
        for key_id in (unknown, till.till.key_id.upper(), "nobody", till.till.key_id[:-1] + "2"):
            stranger = kept_market.caller(replace(till.till, key_id=key_id))
            answer = await replace(stranger, http=till.http).send(
                method, path, query=query, data=data
            )
            assert_unsigned(answer, SignatureFault.WRONG_SIGNATURE)

    async def test_needs_the_time(
        self, till: TillCaller, method: str, template: str, query: str
    ) -> None:
        path = template.format(id=new_id(1))
        data = b"" if method == "GET" else b"{}"
        for off_s in (-302, 302):
            headers = sign(
                Message(method, path.encode(), query.encode(), body=data),
                key_id=till.till.key_id,
                secret=till.secret,
                now_s=real_time_s() + off_s,
            )
            answer = await till.send(method, path, query=query, data=data, headers=headers)
            assert_unsigned(answer, SignatureFault.STALE)

    async def test_is_signed_for_itself(
        self, till: TillCaller, method: str, template: str, query: str
    ) -> None:
        """A signature of one operation, redemption or query is none of another."""
        path = template.format(id=new_id(1))
        data = b"" if method == "GET" else b"{}"
        for signed_method, signed_path, signed_query in (
            ("PUT", path, query),
            (method, path + "x", query),
            (method, path, query + "2" if query else ""),
        ):
            if (signed_method, signed_path, signed_query) == (method, path, query):
                continue
            headers = till.signed(signed_method, signed_path, signed_query, data)
            answer = await till.send(method, path, query=query, data=data, headers=headers)
            assert_unsigned(answer, SignatureFault.WRONG_SIGNATURE)


class TestRedemptions:
    async def test_a_body_is_not_swapped(self, till: TillCaller, stall: Stall) -> None:
        mine = json.dumps(order(stall.code())).encode()
        headers = till.signed("POST", REDEMPTIONS, "", mine)
        dearer = mine.replace(b"10000", b"90000")
        answer = await till.send("POST", REDEMPTIONS, data=dearer, headers=headers)
        assert_unsigned(answer, SignatureFault.OTHER_BODY)
        # Nor with its digest: that is signed as well.
        digest = till.signed("POST", REDEMPTIONS, "", dearer)["content-digest"]
        answer = await till.send(
            "POST", REDEMPTIONS, data=dearer, headers={**headers, "content-digest": digest}
        )
        assert_unsigned(answer, SignatureFault.WRONG_SIGNATURE)
        answer = await till.send(
            "POST", REDEMPTIONS, data=mine, headers=without(headers, "content-digest")
        )
        assert_unsigned(answer, SignatureFault.NO_DIGEST)

    @pytest.mark.parametrize(
        ("component", "fault"),
        [
            ('"@method" ', SignatureFault.UNCOVERED_TARGET),
            ('"@path" ', SignatureFault.UNCOVERED_TARGET),
            (' "content-digest"', SignatureFault.UNCOVERED_BODY),
        ],
    )
    async def test_nothing_is_left_uncovered(
        self, till: TillCaller, stall: Stall, component: str, fault: SignatureFault
    ) -> None:
        data = json.dumps(order(stall.code())).encode()
        headers = till.signed("POST", REDEMPTIONS, "", data)
        assert component in headers["signature-input"]
        headers["signature-input"] = headers["signature-input"].replace(component, "")
        answer = await till.send("POST", REDEMPTIONS, data=data, headers=headers)
        assert_unsigned(answer, fault)

    async def test_a_query_is_covered(self, till: TillCaller) -> None:
        headers = till.signed("GET", REDEMPTIONS)
        answer = await till.send("GET", REDEMPTIONS, query="request_no=r-1", headers=headers)
        assert_unsigned(answer, SignatureFault.UNCOVERED_QUERY)

    async def test_a_replay_within_the_window_is_the_same_request(
        self, till: TillCaller, stall: Stall
    ) -> None:
        data = json.dumps(order(stall.code())).encode()
        headers = till.signed("POST", REDEMPTIONS, "", data)
        first = await till.send("POST", REDEMPTIONS, data=data, headers=headers)
        again = await till.send("POST", REDEMPTIONS, data=data, headers=headers)
        assert (first.status, again.status) == (201, 201)
        assert again.body == first.body

    async def test_one_signature_is_enough_and_two_are_too_many(
        self, till: TillCaller, stall: Stall
    ) -> None:
        data = json.dumps(order(stall.code())).encode()
        signed = till.signed("POST", REDEMPTIONS, "", data)
        for name in ("signature", "signature-input"):
            repeated = [*signed.items(), (name, signed[name])]
            answer = await _send_lines(till, data, repeated)
            assert answer == (401, "bad_signature")
        # Another digest beside ours is another value of a covered field.
        other = base64.b64encode(b"x" * 32).decode()
        repeated = [*signed.items(), ("content-digest", f"sha-256=:{other}:")]
        assert await _send_lines(till, data, repeated) == (401, "bad_signature")
        assert await _send_lines(till, data, list(signed.items())) == (201, None)


async def _send_lines(
    till: TillCaller, data: bytes, lines: list[tuple[str, str]]
) -> tuple[int, str | None]:
    """Send a redemption with header lines of which some are there twice."""
    headers = [*lines, ("Content-Type", "application/json")]
    url = f"{str(till.http._base_url).rstrip('/')}{REDEMPTIONS}"
    assert urlsplit(url).path == REDEMPTIONS
    async with till.http.post(url, data=data, headers=headers) as response:
        body = await response.json(content_type=None)
        return response.status, body.get("code")


async def test_a_terminal_that_exists_is_looked_up_once(kept_market: Market, stall: Stall) -> None:
    till = await stall.till()
    asked: list[str] = []
    calls = kept_market.resources.tills._calls

    class Counting:
        async def call(self, fetch: str, statement: str, *arguments: object) -> object:
            asked.append(statement)
            return await calls.call(fetch, statement, *arguments)  # type: ignore[arg-type]

    kept_market.resources.tills._calls = Counting()  # type: ignore[assignment]
    try:
        for _ in range(3):
            (await till.read_back(fresh_no())).assert_problem(404, "not_found")
        assert len(asked) == 1
        # Without its secret nobody makes us ask.
        stranger = replace(till, secret=b"x" * 32, till=replace(till.till, key_id=f"{new_id(1)}.1"))
        (await stranger.read_back("r-1")).assert_problem(401, "bad_signature")
        assert len(asked) == 1
    finally:
        kept_market.resources.tills._calls = calls
