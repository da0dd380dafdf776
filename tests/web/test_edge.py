import re
import socket
import time

import pytest

from shared.web.app import BODY_BYTES_MAX
from shared.web.server import BODY_TIMEOUT_S, HEAD_TIMEOUT_S
from tests.web.serving import SmallServer

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/v1/crash"])
def test_a_sane_request_id_and_traceparent_come_back(small: SmallServer, path: str) -> None:
    ids = {"x-request-id": "Till-7:a.b_c", "traceparent": TRACEPARENT}
    answer = small.call("GET", path, headers=ids)
    assert {name: answer.headers[name] for name in ids} == ids


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "é", "<script>"])
def test_another_request_id_is_replaced(small: SmallServer, bad: str) -> None:
    answer = small.call("GET", "/livez", headers={"x-request-id": bad})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize(
    "bad", ["00-1-2-3", "ff" + TRACEPARENT[2:], f"00-{'0' * 32}-00f067aa0ba902b7-01"]
)
def test_a_malformed_traceparent_is_dropped(small: SmallServer, bad: str) -> None:
    assert "traceparent" not in small.call("GET", "/livez", headers={"traceparent": bad}).headers


def test_each_request_is_logged_once_with_its_ids_and_without_its_query_or_token(
    small: SmallServer,
) -> None:
    headers = {
        "x-request-id": "logged-1",
        "traceparent": TRACEPARENT,
        "authorization": "Bearer eyJhbGciOiJFZERTQSJ9.payload.signature",
    }
    small.call("GET", "/v1/echo/one?query=canary-in-query", headers=headers)
    [entry] = small.logged_for("logged-1")
    assert entry["event"] == "request"
    assert (entry["service"], entry["level"], entry["trace_id"]) == (
        "small",
        "info",
        TRACEPARENT[3:35],
    )
    assert (entry["method"], entry["route"], entry["status"]) == ("GET", "/v1/echo/{text}", 200)
    assert entry["duration_ms"] > 0
    whole_log = small.log_file.read_text()
    assert "canary-in-query" not in whole_log
    assert "payload.signature" not in whole_log


def test_the_servers_own_lines_are_json_too(small: SmallServer) -> None:
    small.send_raw(b"NONSENSE\r\n\r\n")
    assert "Invalid HTTP request received." in {entry["event"] for entry in small.logged()}


def test_a_body_at_the_limit_is_read_and_one_byte_more_is_refused(small: SmallServer) -> None:
    assert small.call("POST", "/v1/read", b"x" * BODY_BYTES_MAX).json == BODY_BYTES_MAX
    too_much = small.call("POST", "/v1/read", b"x" * (BODY_BYTES_MAX + 1))
    too_much.assert_problem(413, "payload_too_large")


@pytest.mark.parametrize("path", ["/v1/unread", "/v1/read", "/nowhere", "/livez"])
def test_the_announced_length_is_checked_before_the_body(small: SmallServer, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n".encode()
    answer = small.send_raw(head)
    assert answer is not None
    answer.assert_problem(413, "payload_too_large")
    assert answer.headers["connection"] == "close"


def test_chunks_are_counted(small: SmallServer) -> None:
    head = b"POST /v1/read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    whole = small.send_raw(head, chunk, chunk, b"0\r\n\r\n")
    assert whole is not None
    assert whole.json == BODY_BYTES_MAX
    too_much = small.send_raw(head, chunk, chunk, b"1\r\nx\r\n0\r\n\r\n")
    assert too_much is not None
    too_much.assert_problem(413, "payload_too_large")


def test_large_headers_are_refused_before_and_after_they_are_whole(small: SmallServer) -> None:
    complete = small.call("GET", "/livez", headers={"x-junk": "x" * 33_000})
    complete.assert_problem(431, "headers_too_large")
    started = time.monotonic()
    endless = small.send_raw(b"GET /livez HTTP/1.1\r\nhost: x\r\nx-junk: ", b"x" * 400_000)
    if endless is not None:  # the connection may already be gone when the answer is read
        endless.assert_problem(431, "headers_too_large")
    assert time.monotonic() - started < HEAD_TIMEOUT_S / 2  # refused for its size, not its slowness
    lines = b"".join(b"x-junk-%d: y\r\n" % number for number in range(20_000))
    many = small.send_raw(b"GET /livez HTTP/1.1\r\nhost: x\r\n", lines, b"\r\n")
    assert many is None or many.status == 431


def test_a_head_or_a_body_that_does_not_come_is_not_waited_for_for_ever(
    small: SmallServer,
) -> None:
    head = b"GET /livez HTTP/1.1\r\nhost: x\r\n"
    body = b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n{"
    started = time.monotonic()
    with (
        socket.create_connection(("127.0.0.1", small.port), timeout=20) as slow_head,
        socket.create_connection(("127.0.0.1", small.port), timeout=20) as slow_body,
    ):
        slow_head.sendall(head)
        slow_body.sendall(body)
        for connection, timeout_s in ((slow_head, HEAD_TIMEOUT_S), (slow_body, BODY_TIMEOUT_S)):
            assert connection.recv(1) == b""
            assert timeout_s - 1 < time.monotonic() - started < 2 * timeout_s
