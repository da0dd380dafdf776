import re

import pytest

from shared.errors import AppError, Failure, InvalidRequest, Refusal
from shared.web.problems import render_problem
from tests.web.serving import SmallServer


def every_error(base: type[AppError]) -> list[type[AppError]]:
    return [error for sub in base.__subclasses__() for error in (sub, *every_error(sub))]


def test_an_error_says_what_was_raised_and_cannot_forge_the_core_members(
    small: SmallServer,
) -> None:
    answer = small.call("GET", "/v1/not-open")
    problem = answer.assert_problem(425, "not_open")
    assert problem["detail"] == "It opens at eight."
    assert problem["retryable"] is True
    assert problem["opens_at"] == "x"
    assert problem["retry_after_ms"] == 1501
    assert answer.headers["retry-after"] == "2"


def test_without_a_detail_the_title_stands_in(small: SmallServer) -> None:
    problem = small.call("GET", "/nowhere").assert_problem(404, "not_found")
    assert problem["detail"] == problem["title"]


def test_a_wrong_method_names_the_right_ones(small: SmallServer) -> None:
    answer = small.call("DELETE", "/v1/unread")
    answer.assert_problem(405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_a_path_with_a_trailing_slash_is_another_path(small: SmallServer) -> None:
    small.call("GET", "/v1/things/").assert_problem(404, "not_found")


def test_a_crash_tells_the_client_nothing_and_the_log_everything_but_secrets(
    small: SmallServer,
) -> None:
    answer = small.call("GET", "/v1/crash", headers={"x-request-id": "crash-1"})
    answer.assert_problem(500, "internal")
    for secret in (b"hunter2", b"RuntimeError", b"Traceback", b"s3cret"):
        assert secret not in answer.body
    [failure] = [e for e in small.logged_for("crash-1") if e["event"] == "request failed"]
    assert "RuntimeError" in failure["exception"]
    assert "in crash" in failure["exception"]
    assert "s3cret" not in str(failure)
    assert "eyJzdWIiOiJ4In0" not in str(failure)


def test_a_crash_in_mid_answer_breaks_the_connection(small: SmallServer) -> None:
    request = b"GET /v1/half HTTP/1.1\r\nhost: x\r\n\r\n"
    assert small.send_raw(request) is None


def test_a_fault_is_translated_where_the_service_knows_it(small: SmallServer) -> None:
    answer = small.call("GET", "/v1/away")
    problem = answer.assert_problem(503, "unavailable")
    assert (problem["retryable"], answer.headers["retry-after"]) == (True, "2")


@pytest.mark.parametrize("error", [e for e in every_error(AppError) if e not in (Refusal, Failure)])
def test_every_error_is_whole(error: type[AppError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    is_refusal = issubclass(error, Refusal)
    assert (400 if is_refusal else 500) <= error.status < (500 if is_refusal else 600)
    assert error.title.endswith(".")


def test_a_lone_surrogate_leaves_the_problem_valid_utf8() -> None:
    rendered = render_problem(InvalidRequest.at("body", "\ud800", msg="no"), "r")
    assert '"loc":["body","?"]' in rendered.body.decode()
