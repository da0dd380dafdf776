"""`POST /v1/redemptions`, served ahead of the framework.

What a till waits for costs less than the framework's middleware, routing and validation. The
operation is documented in routes.py like every other; this endpoint answers it with the same use
case.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import structlog
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from services.redeem.authenticating import signed_message
from services.redeem.lane import DEADLINE_S
from services.redeem.outcomes import Refused
from services.redeem.refusals import problem_of
from services.redeem.resources import BODY_BYTES_MAX, Resources, translate
from services.redeem.schemas import RedemptionRequest
from services.redeem.views import REPLAYED, redemption_view
from shared.errors import (
    AppError,
    Internal,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from shared.web.answers import offending_fields
from shared.web.problems import render_problem
from shared.web.tracing import identify

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import Receive, Scope, Send

_log = structlog.get_logger()

ROUTE = "/v1/redemptions"
_JSON_TYPE = b"application/json"
_CREATED = 201

_Headers = list[tuple[bytes, bytes]]


class Answer(NamedTuple):
    """A redemption as it is told; `more` are headers beside those of its content."""

    status: int
    body: bytes
    more: Mapping[str, str]


class RedeemEndpoint:
    """Pure ASGI around the framework's app: answers redemptions, hands on everything else."""

    def __init__(self, app: "FastAPI") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != ROUTE:
            await self._app(scope, receive, send)
            return
        started_s = time.perf_counter()
        identity = identify(scope["headers"])
        resources: Resources = self._app.state.resources
        try:
            answer = await redeem(resources, scope, receive)
            status, headers, body = answer.status, _headers(answer), answer.body
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


async def redeem(resources: Resources, scope: "Scope", receive: "Receive") -> Answer:
    """Serve one redemption. Raises AppError for everything that is none."""
    until_s = asyncio.get_running_loop().time() + DEADLINE_S
    now_s = time.time_ns() / 1e9
    body = await _read_body(receive)
    till = await resources.tills.identify(signed_message(scope, body), now_s=now_s, until_s=until_s)
    outcome = await resources.redeeming.redeem(
        till, _parse(scope["headers"], body), now_s=now_s, until_s=until_s
    )
    if isinstance(outcome, Refused):
        raise problem_of(outcome)
    view = redemption_view(outcome, resources.voucher_ids)
    told = view.model_dump_json(exclude_none=True).encode()
    return Answer(_CREATED, told, REPLAYED if outcome.replayed else {})


def _headers(answer: Answer) -> _Headers:
    return [
        (b"content-type", _JSON_TYPE),
        (b"content-length", str(len(answer.body)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in answer.more.items()),
    ]


async def _read_body(receive: "Receive") -> bytes:
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise PayloadTooLarge(f"More than {BODY_BYTES_MAX} bytes.")
        more = message.get("more_body", False)
    return body


def _parse(headers: _Headers, body: bytes) -> RedemptionRequest:
    media_type = dict(headers).get(b"content-type", _JSON_TYPE)
    if media_type.partition(b";")[0].strip().lower() != _JSON_TYPE:
        raise UnsupportedMediaType
    try:
        return RedemptionRequest.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        located = [{**fault, "loc": ("body", *fault["loc"])} for fault in faults]
        raise InvalidRequest(extra={"fields": offending_fields(located)}) from None


def _as_problem(fault: Exception, request_id: str) -> AppError:
    if isinstance(fault, AppError):
        return fault
    known = translate(fault)
    if known is None:
        _log.error("redemption failed", request_id=request_id, exc_info=fault)
        return Internal()
    _log.warning("redemption failed", request_id=request_id, cause=repr(fault))
    return known
