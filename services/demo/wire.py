"""A lean HTTP client: kept connections to one service, and one request at a time on each.

Ten thousands of signed requests share two cores with the servers that answer them, so the client
may cost little. It knows no redirects, no compression and no TLS.
"""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httptools

_CONNECTS_WITHIN_S = 5.0
_ANSWERS_WITHIN_S = 15.0
# The services close a connection that was idle for thirty seconds.
_KEPT_IDLE_S = 20.0


class NoAnswerError(Exception):
    """No whole answer came: whether the request was served is not known."""


class Reply(NamedTuple):
    """An answer. `body` is None for one that is not JSON."""

    status: int
    body: Any

    @property
    def is_good(self) -> bool:
        return self.status < HTTPStatus.BAD_REQUEST

    @property
    def code(self) -> str:
        """Return the problem's code."""
        return str(self.body.get("code")) if isinstance(self.body, dict) else str(self.status)


class Wire:
    """Requests to one service over at most `connections_max` connections."""

    def __init__(self, url: str, *, connections_max: int) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._authority = parts.netloc
        self._free = asyncio.Semaphore(connections_max)
        self._idle: list[_Connection] = []
        self._loop = asyncio.get_running_loop()

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Reply:
        """Send a request and return its answer. Raises NoAnswerError."""
        request = self._spell(method, path, headers, body)
        async with self._free:
            connection = await self._connection()
            try:
                async with asyncio.timeout(_ANSWERS_WITHIN_S):
                    reply = await connection.exchange(request)
            except (OSError, TimeoutError, httptools.HttpParserError) as fault:
                connection.close()
                raise NoAnswerError(repr(fault)) from fault
            except asyncio.CancelledError:
                connection.close()
                raise
            if connection.is_open:
                self._idle.append(connection)
            return reply

    async def send_and_hang_up(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> None:
        """Send a request and close the connection before its answer. Raises NoAnswerError."""
        async with self._free:
            connection = await self._connection()
            try:
                connection.send(self._spell(method, path, headers, body))
            except ConnectionResetError as fault:
                raise NoAnswerError(repr(fault)) from fault
            finally:
                connection.close()

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and self._loop.time() - connection.used_s < _KEPT_IDLE_S:
                return connection
            connection.close()
        try:
            async with asyncio.timeout(_CONNECTS_WITHIN_S):
                _, connection = await self._loop.create_connection(
                    _Connection, self._host, self._port
                )
        except (OSError, TimeoutError) as fault:
            raise NoAnswerError(repr(fault)) from fault
        return connection

    def _spell(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        elif method == "POST":
            lines.append("content-length: 0")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def close(self) -> None:
        """Close what is idle; who asks must have ended."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class _Connection(asyncio.Protocol):
    """One connection and the parser of its answers."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.WriteTransport | None = None
        self._body: list[bytes] = []
        self._answer: asyncio.Future[Reply] | None = None
        self.used_s = self._loop.time()

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes) -> None:
        """Send a request. Raises ConnectionResetError where the other side has closed."""
        if self._transport is None:
            raise ConnectionResetError("closed before a request")
        self._transport.write(request)

    async def exchange(self, request: bytes) -> Reply:
        self._body.clear()
        self._answer = self._loop.create_future()
        self.send(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # of TCP it always is one

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as fault:
            self._fail(fault)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(exc or ConnectionResetError("closed before an answer"))

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        self.used_s = self._loop.time()
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(
                Reply(self._parser.get_status_code(), _parsed(b"".join(self._body)))
            )

    def _fail(self, fault: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(fault)


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - whatever the service says
    try:
        return json.loads(body)
    except ValueError:
        return None
