"""The description of the service is whole: every code, and examples that are accepted."""

from typing import Any

from services.campaign import schemas, till_schemas
from services.campaign.app import create

CODES: dict[tuple[str, str], set[str]] = {
    ("/v1/programmes", "post"): {"in_progress", "idempotency_key_reused"},
    ("/v1/programmes/{programme_id}", "get"): {"not_found"},
    ("/v1/programmes/{programme_id}/funding", "post"): {
        *("not_found", "pledge_exceeded", "pledge_absorbed"),
        *("in_progress", "idempotency_key_reused"),
    },
    ("/v1/drops", "post"): {"not_found", "in_progress", "idempotency_key_reused"},
    ("/v1/drops/{drop_id}", "get"): {"not_found"},
    ("/v1/drops/{drop_id}/publish", "post"): {"not_found", "wrong_state", "insufficient_funds"},
    ("/v1/drops/{drop_id}/pause", "post"): {"not_found", "wrong_state"},
    ("/v1/drops/{drop_id}/resume", "post"): {"not_found", "wrong_state"},
    ("/v1/drops/{drop_id}/close", "post"): {"not_found", "wrong_state"},
    ("/v1/drops/{drop_id}", "patch"): {
        *("not_found", "wrong_state", "insufficient_funds", "quota_below_claims"),
    },
    ("/v1/programmes", "get"): set(),
    ("/v1/drops", "get"): set(),
    ("/v1/claims/{claim_id}/void", "post"): {"not_found", "in_use", "expired"},
    ("/v1/merchants", "post"): {"not_found", "in_progress", "idempotency_key_reused"},
    ("/v1/merchants", "get"): set(),
    ("/v1/merchants/{merchant_id}", "get"): {"not_found"},
    ("/v1/merchants/{merchant_id}/approve", "post"): {"not_found", "wrong_state", "same_person"},
    ("/v1/merchants/{merchant_id}/suspend", "post"): {"not_found"},
    ("/v1/merchants/{merchant_id}/programmes", "post"): {
        *("not_found", "wrong_state", "in_progress", "idempotency_key_reused"),
    },
    ("/v1/merchants/{merchant_id}/terminals", "post"): {
        *("not_found", "wrong_state", "in_progress", "idempotency_key_reused"),
    },
    ("/v1/merchants/{merchant_id}/terminals", "get"): {"not_found"},
    ("/v1/merchants/{merchant_id}/terminals/{terminal_id}/suspend", "post"): {"not_found"},
}
OF_EVERY_OPERATION = {
    *("unauthenticated", "forbidden", "invalid_request", "payload_too_large"),
    *("busy", "overloaded", "unavailable", "internal"),
}


def _codes(operation: dict[str, Any]) -> set[str]:
    return {
        code
        for response in operation["responses"].values()
        for media in response["content"].values()
        for code in media["schema"].get("properties", {}).get("code", {}).get("enum", ())
    }


def test_every_operation_states_its_codes() -> None:
    paths = create({}).openapi()["paths"]
    operations = {
        (path, method): operation
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/v1/")
    }
    assert operations.keys() == CODES.keys()
    for name, operation in operations.items():
        needs_body = {"unsupported_media_type"} if "requestBody" in operation else set()
        assert _codes(operation) == OF_EVERY_OPERATION | needs_body | CODES[name], name


def test_the_examples_are_accepted() -> None:
    described = create({}).openapi()["components"]["schemas"]
    for model in (
        *(schemas.NewProgramme, schemas.NewFunding, schemas.NewDrop, schemas.NewQuota),
        *(schemas.NewVoid, till_schemas.NewMerchant, till_schemas.NewEnrolment),
        till_schemas.NewTerminal,
    ):
        model.model_validate(described[model.__name__]["example"])
