"""Exception handlers: every way the framework can refuse a request becomes a problem."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from shared.errors import (
    AppError,
    Forbidden,
    Internal,
    InvalidRequest,
    Json,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
    UnsupportedMediaType,
)
from shared.web.problems import render_problem

FIELDS_MAX = 20
_NAME_LENGTH_MAX = 64
_MESSAGE_LENGTH_MAX = 200

_BY_STATUS: dict[int, type[AppError]] = {
    error.status: error
    for error in (
        *(Unauthenticated, Forbidden, NotFound, MethodNotAllowed),
        *(PayloadTooLarge, UnsupportedMediaType),
    )
}
# These messages of pydantic quote what was sent.
_UNQUOTED = {
    "union_tag_invalid": "Input tag is not one of the expected tags",
    "uuid_parsing": "Input should be a valid UUID",
}


async def answer_app_error(request: Request, error: AppError) -> Response:
    """Render an AppError that a route or a dependency raised."""
    return _response(request, error)


async def answer_malformed(request: Request, error: RequestValidationError) -> Response:
    """Render the offending fields, never the values that were sent."""
    if isinstance(error.body, bytes):  # the framework parses JSON and leaves other types as bytes
        return _response(request, UnsupportedMediaType())
    return _response(request, InvalidRequest(extra={"fields": offending_fields(error.errors())}))


async def answer_http_exception(request: Request, error: HTTPException) -> Response:
    """Render what the router and the body parser refuse by themselves."""
    response = _response(request, _named(error.status_code))
    response.headers.update(error.headers or {})
    return response


ExceptionHandler = Callable[[Request, Any], Coroutine[Any, Any, Response]]

EXCEPTION_HANDLERS: dict[int | type[Exception], ExceptionHandler] = {
    AppError: answer_app_error,
    RequestValidationError: answer_malformed,
    HTTPException: answer_http_exception,
}


def offending_fields(errors: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return `fields` of a problem from pydantic's errors, bounded in number and in length."""
    return [
        {
            "loc": [part if isinstance(part, int) else _short(part) for part in error["loc"]],
            "msg": _UNQUOTED.get(error["type"], error["msg"])[:_MESSAGE_LENGTH_MAX],
        }
        for error in errors[:FIELDS_MAX]
    ]


def _short(name: object) -> str:
    return str(name)[:_NAME_LENGTH_MAX]


def _named(status: int) -> AppError:
    known = _BY_STATUS.get(status)
    if known is not None:
        return known()
    if status >= Internal.status:
        return Internal()
    return InvalidRequest.at("body", msg="The body could not be parsed")


def _response(request: Request, error: AppError) -> Response:
    problem = render_problem(error, request.state.request_id)
    response = Response(problem.body, problem.status)
    response.raw_headers = problem.headers
    return response
