"""Nothing a client sends may produce a 500."""

import json
from typing import Any

import pytest

from tests.web.serving import SmallServer

GOOD: dict[str, Any] = {
    "name": "五一券",
    "amount_fen": 1000,
    "opens_at": "2026-05-01T10:00:00+08:00",
    "mode": "grab",
    "pack": [{"name": "满40减10", "face_fen": 1000}],
}
CANARY = "canary-of-the-client"


def test_a_good_body_is_taken_and_its_time_is_moved_to_utc(small: SmallServer) -> None:
    answer = small.post_json("/v1/things", json.dumps(GOOD).encode())
    assert answer.status == 201
    assert answer.json["opens_at"] == "2026-05-01T02:00:00Z"


BAD_VALUES: dict[str, list[object]] = {
    "amount_fen": [
        *(0, -1, 10**13 + 1, 10**30, 1.0, 1.5, -0.0, float("nan"), float("inf")),
        *("1", True, None, [], {"a": 1}),
    ],
    "name": [
        *("", "   ", "a\0b", "a\nb", "a\x7fb", "\ud800", "\u202egrab", "x" * 121),
        *(1, None, ["a"], {}),
    ],
    "note": ["x" * 41, "\0", "\udfff", "a\u2028b", 7],
    "opens_at": [
        *("", "\0", "now", "2026-05-01", "2026-05-01T10:00:00", "1777600000", 1777600000, None),
        *("1999-12-31T23:59:59Z", "2201-01-01T00:00:00Z", "2200-12-31T23:59:59-01:00"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2026-02-30T00:00:00Z"),
        *("2026-05-01T25:00:00Z", "2026-05-01T10:00:00+24:00", "\uff12026-05-01T10:00:00Z"),
    ],
    "mode": [CANARY, "", None, 1, ["grab"]],
    "paused": [1, 0, "true", None],
    "pack": [{}, "x", [1], [{}], [None], [GOOD["pack"][0]] * 6],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in BAD_VALUES.items() for value in values]
)
def test_a_bad_field_is_named_and_its_value_is_not_repeated(
    small: SmallServer, field: str, value: object
) -> None:
    answer = small.post_json("/v1/things", json.dumps({**GOOD, field: value}).encode())
    problem = answer.assert_problem(422, "invalid_request")
    assert all(entry["loc"][:2] == ["body", field] for entry in problem["fields"])
    assert all(entry.keys() == {"loc", "msg"} for entry in problem["fields"])
    assert problem["fields"]
    assert CANARY.encode() not in answer.body


def test_unknown_fields_are_refused_by_name_within_bounds(small: SmallServer) -> None:
    unknown = {f"{n}{'k' * 200}": CANARY for n in range(60)}
    answer = small.post_json("/v1/things", json.dumps({**GOOD, **unknown}).encode())
    problem = answer.assert_problem(422, "invalid_request")
    assert len(problem["fields"]) == 20
    assert len(answer.body) < 5000
    assert CANARY.encode() not in answer.body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"{",
        b'{"name": ',
        b"\xff\xfe\x00",
        b'{"name": "\xc3\x28"}',
        b'{"name": "\x00"}',
        b"\xef\xbb\xbf{}",
        b"NaN",
        b"[" * 60_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"amount_fen": ' + b"9" * 5000 + b"}",
        b'{"amount_fen": -1e400}',
        b'{"amount_fen": 1e999999999}',
        b'{"name": "a", "name": "b"}',
        b'{"\\ud800": 1}',
        b'{"a\\u0000b": 1}',
    ],
)
def test_a_body_that_is_not_the_object_asked_for(small: SmallServer, body: bytes) -> None:
    answer = small.post_json("/v1/things", body)
    problem = answer.assert_problem(422, "invalid_request")
    assert problem["fields"][0]["loc"][0] == "body"


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        ";;",
        "",
    ],
)
def test_a_body_of_another_type_is_refused(small: SmallServer, content_type: str) -> None:
    body = json.dumps(GOOD).encode()
    answer = small.call("POST", "/v1/things", body, {"content-type": content_type})
    answer.assert_problem(415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (b"/v1/things/a%00b", 422),
        (b"/v1/echo/a%00b", 422),
        (b"/v1/echo/a?query=%00", 422),
        (b"/v1/echo/a?%00=b", 422),
        (b"/v1/things/" + b"a" * 65, 422),
        (b"/v1/things/%E5%88%B8", 422),
        (b"/v1/things/%FF%FE", 422),
        (b"/v1/things/-a", 422),
        (b"/v1/things?limit=0", 422),
        (b"/v1/things?limit=501", 422),
        (b"/v1/things?limit=-1", 422),
        (b"/v1/things?limit=" + b"9" * 5000, 422),
        (b"/v1/things?limit=1e3", 422),
        (b"/v1/things?limit=%EF%BC%91", 422),
        (b"/v1/things?limit=%FF", 422),
        (b"/v1/things?cursor=" + b"a" * 513, 422),
        (b"/v1/echo/%FF", 200),
        (b"/v1/echo/a?query=%FF%FE", 200),
        (b"/v1/echo/a?query=%ED%A0%80", 200),
        (b"/v1/echo/a?query=\xff", None),
        (b"/v1/echo/\xff", None),
        (b"/v1/echo/a?" + b"&".join(b"a%d=1" % n for n in range(3000)), 200),
        (b"/v1/things/..%2f..%2fetc%2fpasswd", 404),
        (b"*", None),
        (b"http://elsewhere/livez", None),
    ],
)
def test_hostile_paths_and_queries(small: SmallServer, target: bytes, code: int | None) -> None:
    answer = small.send_raw(b"GET " + target + b" HTTP/1.1\r\nhost: x\r\n\r\n")
    assert answer is not None
    assert answer.status < 500
    if code is not None:
        assert answer.status == code
    if code == 422:
        answer.assert_problem(422, "invalid_request")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nx-bad: a\x00b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nx bad: a\r\n\r\n",
        b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /v1/read HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nab",
        b"POST /v1/read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"BREW /livez HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ],
)
def test_malformed_http_is_never_our_fault(small: SmallServer, request_bytes: bytes) -> None:
    answer = small.send_raw(request_bytes)
    assert answer is None or answer.status < 500


def test_a_tampered_cursor_is_refused_and_a_good_one_ends_the_list(small: SmallServer) -> None:
    first = small.call("GET", "/v1/things?limit=500").json
    assert len(first["items"]) == 500
    cursor = first["next_cursor"]
    last = small.call("GET", f"/v1/things?cursor={cursor}")
    assert last.json["next_cursor"] is None
    for bad in (cursor[:-3], cursor[4:], "x", "%20", "e30", "W10", "WzFd", "%E5%88%B8"):
        problem = small.call("GET", f"/v1/things?cursor={bad}").assert_problem(
            422, "invalid_request"
        )
        assert problem["fields"][0]["loc"] == ["query", "cursor"]


def test_after_all_this_the_log_has_no_crash_but_those_asked_for(small: SmallServer) -> None:
    crashes = [e for e in small.logged() if e["level"] in ("error", "critical")]
    asked_for = [e for e in crashes if "in crash" in str(e) or "in parts" in str(e)]
    assert crashes == asked_for
