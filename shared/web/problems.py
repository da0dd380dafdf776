"""RFC 9457 problems: the one place where an AppError becomes bytes, and its form in OpenAPI."""

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from shared.errors import AppError, Json

PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEM_SCHEMA_NAME = "Problem"

PROBLEM_SCHEMA: dict[str, Any] = {
    "title": PROBLEM_SCHEMA_NAME,
    "type": "object",
    "description": "Why a request was not served (RFC 9457). Decide by `code`, which is stable.",
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": ["urn:fairdrop:problem:sold_out"]},
        "title": {"type": "string", "description": "The same sentence for every such problem."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What it was this time."},
        "code": {"type": "string"},
        "retryable": {
            "type": "boolean",
            "description": "Whether the same request may succeed later.",
        },
        "request_id": {"type": "string"},
        "retry_after_ms": {
            "type": "integer",
            "description": "When a retry has a chance; jittered, and finer than Retry-After.",
        },
        "fields": {
            "type": "array",
            "description": "The offending inputs of a malformed request.",
            "items": {
                "type": "object",
                "properties": {
                    "loc": {
                        "type": "array",
                        "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                    },
                    "msg": {"type": "string"},
                },
                "required": ["loc", "msg"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "retryable", "request_id"],
}


class RenderedProblem(NamedTuple):
    """A whole answer, for a framework response or for a raw ASGI endpoint."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def render_problem(error: AppError, request_id: str) -> RenderedProblem:
    """Return the answer for `error`; the headers with the request's ids are the edge's to add."""
    members: dict[str, Json] = {
        **error.extra,
        "type": f"urn:fairdrop:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail or error.title,
        "code": error.code,
        "retryable": error.retryable,
        "request_id": request_id,
    }
    headers = [(name.lower().encode(), text.encode()) for name, text in error.headers.items()]
    if error.retry_after_ms is not None:
        members["retry_after_ms"] = error.retry_after_ms
        headers.append((b"retry-after", str(math.ceil(error.retry_after_ms / 1000)).encode()))
    # A lone surrogate may come in with a field name; "replace" keeps the answer valid UTF-8.
    body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    headers += [
        (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    return RenderedProblem(error.status, headers, body)


def problems(*errors: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """Return `responses=` for a route that may answer with these errors, grouped by status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in sorted({error.status for error in errors}):
        responses[status] = problem_response([e for e in errors if e.status == status])
    return responses


def problem_response(errors: Sequence[type[AppError]]) -> dict[str, Any]:
    """Return the OpenAPI response of one status, its codes as an enum."""
    titles = {error.code: error.title for error in errors}
    schema = {
        "allOf": [{"$ref": f"#/components/schemas/{PROBLEM_SCHEMA_NAME}"}],
        "properties": {"code": {"type": "string", "enum": sorted(titles)}},
    }
    return {
        "description": "\n".join(f"- `{code}`: {titles[code]}" for code in sorted(titles)),
        "content": {PROBLEM_MEDIA_TYPE: {"schema": schema}},
    }


def add_problem(responses: dict[str, Any], error: type[AppError]) -> None:
    """Add `error` to an operation's OpenAPI responses, beside the codes already listed there."""
    response = responses.setdefault(str(error.status), problem_response([error]))
    content = response.get("content", {}).get(PROBLEM_MEDIA_TYPE)
    if content is None:
        responses[str(error.status)] = problem_response([error])
        return
    codes: list[str] = content["schema"]["properties"]["code"]["enum"]
    if error.code not in codes:
        codes.append(error.code)
        response["description"] += f"\n- `{error.code}`: {error.title}"
