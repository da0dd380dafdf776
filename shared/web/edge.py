"""The outermost layer of every service: ids, limits, logs and metrics around each request."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from shared.errors import AppError, HeadersTooLarge, Internal, InvalidRequest, PayloadTooLarge
from shared.web.metrics import UNMATCHED_ROUTE, Metrics
from shared.web.problems import render_problem
from shared.web.tracing import RequestIdentity, identify

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER_BYTES_MAX = 32 * 1024
# A body a little over the limit is read to its end so that the connection can be kept; past this,
# or where no length was announced, the connection is closed instead.
DRAINED_BODY_BYTES_MAX = 1024 * 1024
# Probes and scrapes come every few seconds for ever and say nothing worth keeping.
_UNLOGGED_ROUTES = frozenset({"/livez", "/readyz", "/metrics"})
_LOGGED_PATH_LENGTH_MAX = 200
_LENGTH_DIGITS_MAX = 18

_log = structlog.stdlib.get_logger("fairdrop.http")

Translate = Callable[[Exception], AppError | None]


class Edge:
    """Pure ASGI, so that a cancelled client never cancels what runs inside.

    Whatever escapes the application is answered here as a problem; nothing leaves as bare text.
    """

    def __init__(
        self,
        app: "ASGIApp",
        *,
        metrics: Metrics,
        body_bytes_max: int,
        body_bytes_max_at: Mapping[str, int],
        translate: Translate,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._body_bytes_max = body_bytes_max
        self._body_bytes_max_at = body_bytes_max_at
        self._translate = translate

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body_bytes_max = self._body_bytes_max_at.get(scope["path"], self._body_bytes_max)
        exchange = _Exchange(scope, receive, send, body_bytes_max)
        bound = structlog.contextvars.bind_contextvars(**exchange.identity.logged())
        try:
            await self._serve(exchange)
        finally:
            self._account(exchange)
            structlog.contextvars.reset_contextvars(**bound)

    async def _serve(self, exchange: "_Exchange") -> None:
        refusal = _refusal_at_the_door(exchange.scope, exchange.body_bytes_max)
        if refusal is not None:
            await exchange.answer(refusal, close=_is_too_long_to_drain(exchange.scope))
            return
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            return
        except Exception as fault:
            error = self._translate(fault)
            if error is None:
                _log.exception("request failed", **exchange.described())
            else:
                _log.warning("request failed", cause=repr(fault), **exchange.described())
            if exchange.status is not None:
                # Half an answer is out: only a broken connection tells the client so.
                raise
            await exchange.answer(error or Internal())

    def _account(self, exchange: "_Exchange") -> None:
        route = getattr(exchange.scope.get("route"), "path", UNMATCHED_ROUTE)
        elapsed_s = time.perf_counter() - exchange.started_s
        # A client that left before any answer is counted as nginx does, under 499.
        status = exchange.status or 499
        self._metrics.observe(exchange.scope["method"], route, status, elapsed_s)
        if route not in _UNLOGGED_ROUTES:
            _log.info(
                "request",
                **exchange.described(),
                route=route,
                status=status,
                duration_ms=round(elapsed_s * 1000, 3),
            )


class _Exchange:
    """One request and what is known of its answer."""

    def __init__(
        self, scope: "Scope", receive: "Receive", send: "Send", body_bytes_max: int
    ) -> None:
        self.started_s = time.perf_counter()
        self.scope = scope
        self.identity: RequestIdentity = identify(scope["headers"])
        self.status: int | None = None
        self._receive = receive
        self._send = send
        self.body_bytes_max = body_bytes_max
        self._body_bytes = 0
        scope.setdefault("state", {})["request_id"] = self.identity.request_id

    async def receive(self) -> "Message":
        message = await self._receive()
        if message["type"] == "http.request":
            self._body_bytes += len(message.get("body", b""))
            if self._body_bytes > self.body_bytes_max:
                # The framework turns any other exception from here into a 400 of its own.
                raise HTTPException(413, headers={"connection": "close"})
        return message

    async def send(self, message: "Message") -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *self.identity.headers()]
        await self._send(message)

    async def answer(self, error: AppError, *, close: bool = False) -> None:
        problem = render_problem(error, self.identity.request_id)
        headers = [*problem.headers, (b"connection", b"close")] if close else problem.headers
        await self.send(
            {"type": "http.response.start", "status": problem.status, "headers": headers}
        )
        await self.send({"type": "http.response.body", "body": problem.body})

    def described(self) -> dict[str, str]:
        path = self.scope["path"][:_LOGGED_PATH_LENGTH_MAX]
        return {"method": self.scope["method"], "path": path}


def _refusal_at_the_door(scope: "Scope", body_bytes_max: int) -> AppError | None:
    if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES_MAX:
        return HeadersTooLarge(f"More than {HEADER_BYTES_MAX} bytes of headers.")
    if _announced_body_bytes(scope) > body_bytes_max:
        return PayloadTooLarge(f"More than {body_bytes_max} bytes.")
    # No text of ours holds NUL, and Postgres would refuse it far from the field it came in.
    if "\0" in scope["path"]:
        return InvalidRequest.at("path", msg="NUL is not allowed")
    if b"\0" in unquote_to_bytes(scope["query_string"]):
        return InvalidRequest.at("query", msg="NUL is not allowed")
    return None


def _announced_body_bytes(scope: "Scope") -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            # The server has refused what is not a number; one too long to be meant is endless.
            return int(value) if len(value) <= _LENGTH_DIGITS_MAX else sys.maxsize
    return 0


def _is_too_long_to_drain(scope: "Scope") -> bool:
    return _announced_body_bytes(scope) > DRAINED_BODY_BYTES_MAX
