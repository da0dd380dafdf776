"""The description of the redeem service is whole, and the endpoint ahead of it keeps to it."""

from typing import Any

import pytest

from services.redeem.app import create_api
from services.redeem.endpoint import ROUTE
from services.redeem.outcomes import Refusal
from services.redeem.schemas import HoldRequest, QuoteRequest, RedemptionRequest, ReversalRequest

ABOUT_THE_VOUCHER = {
    *("already_redeemed", "held_elsewhere", "reversed", "expired", "voided"),
    *("below_min_spend", "wrong_category", "merchant_not_enrolled", "terminal_suspended"),
}
CODES: dict[tuple[str, str], set[str]] = {
    ("/v1/quotes", "post"): {
        *("bad_code", "merchant_not_enrolled", "terminal_suspended", "unsupported_media_type"),
    },
    (ROUTE, "post"): {
        *ABOUT_THE_VOUCHER,
        *("bad_code", "idempotency_key_reused", "unsupported_media_type"),
    },
    (ROUTE, "get"): {*ABOUT_THE_VOUCHER, "hold_ended", "not_found"},
    (f"{ROUTE}/{{redemption_id}}/capture", "post"): {
        *("not_found", "hold_ended", "reversed", "idempotency_key_reused"),
        *("merchant_not_enrolled", "terminal_suspended", "unsupported_media_type"),
    },
    (f"{ROUTE}/{{redemption_id}}/release", "post"): {
        *("not_found", "hold_ended", "reversed", "idempotency_key_reused"),
        "unsupported_media_type",
    },
    ("/v1/reversals", "post"): {
        *("not_reversible", "idempotency_key_reused", "unsupported_media_type"),
    },
}
OF_EVERY_OPERATION = {
    *("invalid_request", "payload_too_large", "overloaded", "unavailable", "internal"),
    *("bad_signature", "busy"),
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


def test_every_way_in_which_a_request_can_be_refused_is_listed() -> None:
    stated = {code: status for op in described().values() for code, status in codes_of(op).items()}
    assert {refusal.value for refusal in Refusal} <= stated.keys()
    statuses = {
        "already_redeemed": 409,
        "held_elsewhere": 409,
        "reversed": 409,
        "hold_ended": 409,
        "not_reversible": 409,
        "expired": 410,
        "voided": 410,
        "below_min_spend": 422,
        "wrong_category": 422,
        "idempotency_key_reused": 422,
        "invalid_request": 422,
        "merchant_not_enrolled": 403,
        "terminal_suspended": 403,
        "bad_signature": 401,
        "bad_code": 400,
        "not_found": 404,
        "busy": 503,
        "overloaded": 503,
    }
    assert {code: int(stated[code]) for code in statuses} == statuses


def test_what_a_till_gets_is_described() -> None:
    operations = described()
    for name, status, view in (
        ((ROUTE, "post"), "201", "RedemptionView"),
        ((f"{ROUTE}/{{redemption_id}}/capture", "post"), "200", "RedemptionView"),
        (("/v1/quotes", "post"), "200", "QuoteView"),
        (("/v1/reversals", "post"), "200", "ReversalView"),
    ):
        schema = operations[name]["responses"][status]["content"]["application/json"]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{view}"}


def test_signatures_are_described() -> None:
    for (_, method), operation in described().items():
        headers = {
            parameter["name"]: parameter["required"]
            for parameter in operation["parameters"]
            if parameter["in"] == "header"
        }
        assert headers == {"Signature-Input": True, "Signature": True, "Content-Digest": False}
        assert operation.get("requestBody", {}).get("required", False) is (method == "post")
        assert "security" not in operation


@pytest.mark.parametrize("model", [QuoteRequest, RedemptionRequest, HoldRequest, ReversalRequest])
def test_the_examples_are_good_requests(model: type[QuoteRequest]) -> None:
    [example] = model.model_json_schema()["examples"]
    model.model_validate(example)
    assert model.model_json_schema()["additionalProperties"] is False
