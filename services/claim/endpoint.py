"""`POST /v1/drops/{drop_id}/claims`, served ahead of the framework.

A drop is a hundred seconds long and the framework's middleware, routing and validation cost more
than gate and ledger together. The operation is documented in routes.py like every other; this
endpoint answers it with the same use case.
"""

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

import structlog
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from services.claim.admitting import request_key
from services.claim.outcomes import Won
from services.claim.packs import render_win
from services.claim.refusals import problem_of
from services.claim.resources import Resources, translate
from services.claim.schemas import ClaimRequest
from shared.auth.bearer import bearer_token
from shared.errors import (
    AppError,
    Internal,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from shared.ids import parse_id
from shared.web.answers import offending_fields
from shared.web.problems import render_problem
from shared.web.tracing import identify

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

_log = structlog.get_logger()

ROUTE = "/v1/drops/{drop_id}/claims"
_BEFORE_ID, _AFTER_ID = "/v1/drops/", "/claims"
_BODY_BYTES_MAX = 1024
_JSON_TYPE = b"application/json"
_JSON = (b"content-type", _JSON_TYPE)

_Headers = list[tuple[bytes, bytes]]


class _Answer(NamedTuple):
    status: int
    headers: _Headers
    body: bytes


class ClaimEndpoint:
    """Pure ASGI around the framework's app: answers claims, hands on everything else."""

    def __init__(self, app: "FastAPI") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or not scope["path"].startswith(_BEFORE_ID)
            or not scope["path"].endswith(_AFTER_ID)
        ):
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        identity = identify(scope["headers"])
        resources: Resources = self._app.state.resources
        try:
            status, headers, body = await claim(resources, scope, receive)
        except ClientDisconnect:
            return
        except Exception as fault:  # noqa: BLE001 - the outermost layer: every fault is answered
            error = _as_problem(fault, identity.request_id)
            status, headers, body = render_problem(error, identity.request_id)
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [*headers, *identity.headers()],
            }
        )
        await send({"type": "http.response.body", "body": body})
        elapsed_s = time.perf_counter() - started_s
        self._app.state.metrics.observe("POST", ROUTE, status, elapsed_s)


async def claim(resources: Resources, scope: "Scope", receive: "Receive") -> _Answer:
    """Serve one claim. Raises AppError for everything that is not a win."""
    drop_id = parse_id(scope["path"][len(_BEFORE_ID) : -len(_AFTER_ID)])
    if drop_id is None:
        raise NotFound("There is no such drop.")
    definition = resources.definitions.recall(drop_id)
    if definition is None:
        definition = await resources.definitions.find(drop_id, now_s=time.monotonic())
        if definition is None:
            raise NotFound("There is no such drop.")
    headers = scope["headers"]
    now_us = resources.claiming.now_us(definition)
    holder = await resources.admitting.holder(bearer_token(headers), definition, now_us=now_us)
    named = dict(headers)
    outcome = await resources.claiming.claim(
        definition,
        holder,
        request_key=request_key(definition, named.get(b"idempotency-key")),
        channel=await _channel(named, receive),
    )
    if not isinstance(outcome, Won):
        raise problem_of(outcome, now_us=resources.claiming.now_us(definition))
    body = render_win(definition, outcome, resources.voucher_ids)
    status = (HTTPStatus.CREATED if outcome.fresh else HTTPStatus.OK).value
    return _Answer(status, [_JSON, (b"content-length", str(len(body)).encode())], body)


async def _channel(headers: dict[bytes, bytes], receive: "Receive") -> str | None:
    """Read the body, which may be absent, and return the channel it names."""
    if headers.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in headers:
        return None
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > _BODY_BYTES_MAX:
            raise PayloadTooLarge(f"More than {_BODY_BYTES_MAX} bytes.")
        more = message.get("more_body", False)
    if not body.strip():
        return None
    media_type = headers.get(b"content-type", _JSON_TYPE).partition(b";")[0].strip().lower()
    if media_type != _JSON_TYPE:
        raise UnsupportedMediaType
    try:
        return ClaimRequest.model_validate_json(body).channel
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        located = [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        raise InvalidRequest(extra={"fields": offending_fields(located)}) from None


def _as_problem(fault: Exception, request_id: str) -> AppError:
    if isinstance(fault, AppError):
        return fault
    known = translate(fault)
    if known is None:
        _log.error("claim failed", request_id=request_id, exc_info=fault)
        return Internal()
    _log.warning("claim failed", request_id=request_id, cause=repr(fault))
    return known
