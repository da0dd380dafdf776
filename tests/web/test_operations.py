import re
import time
from pathlib import Path
from typing import Any

from tests.web.serving import SmallServer, eventually, serving


def test_alive_asks_nothing_and_ready_names_what_is_away(small: SmallServer) -> None:
    ready = small.call("GET", "/readyz")
    assert (ready.status, ready.json) == (
        200,
        {"status": "ready", "checks": {"database": "ok", "gate": "ok"}},
    )
    small.call("POST", "/v1/database/away")
    try:
        away = small.call("GET", "/readyz")
        problem = away.assert_problem(503, "unavailable")
        assert problem["checks"] == {"database": "away", "gate": "ok"}
        assert problem["detail"] == "database does not answer."
        assert 1000 <= problem["retry_after_ms"] <= 3000
        assert b"s3cret" not in away.body
        assert small.call("GET", "/livez").json == {"status": "alive"}
    finally:
        small.call("POST", "/v1/database/here")
    assert small.call("GET", "/readyz").status == 200


def test_a_hung_dependency_is_waited_for_two_seconds(small: SmallServer) -> None:
    small.call("POST", "/v1/database/hung")
    try:
        started = time.monotonic()
        problem = small.call("GET", "/readyz").assert_problem(503, "unavailable")
        assert 1.9 < time.monotonic() - started < 4
        assert problem["checks"] == {"database": "timed out", "gate": "ok"}
    finally:
        small.call("POST", "/v1/database/here")


def count(exposition: str, metric: str, **labels: str) -> float:
    """Sum the samples of `metric` that carry all of `labels`."""
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    lines = [line for line in exposition.splitlines() if line.startswith(metric + "{")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(w in line for w in wanted))


def exercise_metrics(server: SmallServer) -> None:
    def requests(**labels: str) -> float:
        return count(server.call("GET", "/metrics").body.decode(), requests_metric, **labels)

    requests_metric = "fairdrop_http_requests_total"
    route = {"service": "small", "method": "GET", "route": "/v1/echo/{text}", "status": "200"}
    lost = {"service": "small", "route": "unmatched", "status": "404"}
    before, lost_before = requests(**route), requests(**lost)
    for number in range(7):
        server.call("GET", f"/v1/echo/{number}")
        server.call("PURGE" if number % 2 else "GET", f"/nowhere/{number}")
    assert requests(**route) - before == 7
    assert requests(**lost) - lost_before == 7
    assert requests(method="OTHER") >= 3
    text = server.call("GET", "/metrics").body.decode()
    assert count(text, "fairdrop_http_request_seconds_count", **route) == before + 7
    assert not re.search(r'route="/nowhere', text)


def test_metrics_count_by_route_template(small: SmallServer) -> None:
    exercise_metrics(small)
    assert small.call("GET", "/metrics").headers["content-type"].startswith("text/plain")


def test_metrics_of_several_processes_are_merged(tmp_path: Path) -> None:
    shared = tmp_path / "metrics"
    shared.mkdir()
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(shared)}
    with serving(tmp_path / "one", **environ) as one, serving(tmp_path / "two", **environ) as two:
        for server in (one, two, two):
            server.call("GET", "/v1/echo/x")

        def requests() -> float:
            text = one.call("GET", "/metrics").body.decode()
            return count(text, "fairdrop_http_requests_total", route="/v1/echo/{text}")

        eventually(lambda: requests() >= 3)
        assert requests() == 3


def test_openapi_states_the_contract(small: SmallServer) -> None:
    schema = small.call("GET", "/openapi.json").json
    assert schema["openapi"].startswith("3.1")
    bearer = schema["components"]["securitySchemes"]["bearerJWT"]
    assert (bearer["type"], bearer["scheme"], bearer["bearerFormat"]) == ("http", "bearer", "JWT")
    assert "HTTPValidationError" not in schema["components"]["schemas"]

    get_thing = schema["paths"]["/v1/things/{thing_id}"]["get"]
    assert get_thing["operationId"] == "get_thing"
    assert codes(get_thing) == {
        *(("425", "not_open"), ("403", "forbidden"), ("422", "invalid_request")),
        *(("413", "payload_too_large"), ("503", "overloaded"), ("503", "unavailable")),
        ("500", "internal"),
    }
    create_thing = schema["paths"]["/v1/things"]["post"]
    assert ("415", "unsupported_media_type") in codes(create_thing)
    staff = schema["paths"]["/v1/staff"]["get"]
    assert staff["security"] == [{"bearerJWT": []}]
    assert {("401", "unauthenticated"), ("403", "forbidden")} <= codes(staff)
    for path in schema["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                kinds = list(response.get("content", {}))
                assert int(status) < 400 or kinds == ["application/problem+json"]


def codes(operation: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (status, code)
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for code in problem_properties(response)["code"]["enum"]
    }


def problem_properties(response: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = response["content"]["application/problem+json"]["schema"][
        "properties"
    ]
    return properties


def test_the_docs_are_served(small: SmallServer) -> None:
    docs = small.call("GET", "/docs")
    assert docs.status == 200
    assert b"/openapi.json" in docs.body
