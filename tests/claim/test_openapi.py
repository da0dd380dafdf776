"""The description of the claim service is whole, and the endpoint ahead of it keeps to it."""

from typing import Any

from services.claim.app import create_api
from services.claim.endpoint import ROUTE
from services.claim.outcomes import Refusal

CODES: dict[tuple[str, str], set[str]] = {
    ("/v1/drops", "get"): set(),
    ("/v1/drops/{drop_id}", "get"): {"not_found"},
    ("/v1/drops/{drop_id}/passes", "post"): {
        *("not_found", "closed", "unauthenticated", "forbidden", "unsupported_media_type"),
    },
    (ROUTE, "post"): {
        *("sold_out", "limit_reached", "not_open", "closed", "paused", "busy"),
        *("pass_required", "bad_pass", "unauthenticated", "forbidden", "not_found"),
        "unsupported_media_type",
    },
    ("/v1/claims/{claim_id}", "get"): {"not_found", "unauthenticated", "forbidden"},
    ("/v1/vouchers", "get"): {"unauthenticated", "forbidden"},
    ("/v1/vouchers/{voucher_id}", "get"): {"not_found", "unauthenticated", "forbidden"},
    ("/v1/vouchers/{voucher_id}/code", "get"): {
        *("not_found", "already_redeemed", "expired", "voided"),
        *("unauthenticated", "forbidden"),
    },
}
OF_EVERY_OPERATION = {
    *("invalid_request", "payload_too_large", "overloaded", "unavailable", "internal"),
}


def described() -> dict[tuple[str, str], dict[str, Any]]:
    paths = create_api().openapi()["paths"]
    return {
        (path, method): operation
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/v1/")
    }


def codes_of(operation: dict[str, Any]) -> dict[str, str]:
    """Return each code that an operation may answer with, and its status."""
    return {
        code: status
        for status, response in operation["responses"].items()
        for media in response.get("content", {}).values()
        for code in media["schema"].get("properties", {}).get("code", {}).get("enum", ())
    }


def test_every_operation_states_its_codes() -> None:
    operations = described()
    assert operations.keys() == CODES.keys()
    for name, operation in operations.items():
        assert codes_of(operation).keys() == OF_EVERY_OPERATION | CODES[name], name


def test_every_way_in_which_an_attempt_can_end_is_listed() -> None:
    stated = codes_of(described()[ROUTE, "post"])
    assert {refusal.value for refusal in Refusal} <= stated.keys()
    statuses = {
        "sold_out": 409,
        "limit_reached": 409,
        "not_open": 425,
        "closed": 410,
        "paused": 423,
        "pass_required": 403,
        "bad_pass": 403,
        "forbidden": 403,
        "unauthenticated": 401,
        "busy": 503,
        "overloaded": 503,
        "not_found": 404,
        "invalid_request": 422,
    }
    assert {code: int(stated[code]) for code in statuses} == statuses


def test_a_won_claim_is_described() -> None:
    operation = described()[ROUTE, "post"]
    for status in ("200", "201"):
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/ClaimView"}
    assert operation["requestBody"]["required"] is False
    names = {(parameter["in"], parameter["name"]) for parameter in operation["parameters"]}
    assert names == {("path", "drop_id"), ("header", "Idempotency-Key")}
