"""How every service is served: uvicorn with the bounds it lacks."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from shared.errors import HeadersTooLarge
from shared.web.problems import render_problem
from shared.web.tracing import identify

HEAD_BYTES_MAX = 64 * 1024
HEAD_TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 5.0
KEEP_ALIVE_S = 30
DRAIN_TIMEOUT_S = 10


def server_config(
    app: Any,  # noqa: ANN401 - uvicorn takes an ASGI app, a factory or the import path of either
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    fd: int | None = None,
    factory: bool = False,
) -> uvicorn.Config:
    """Return the configuration to run `app` with, after `configure_logging`.

    `fd` is an inherited listening socket, which several processes of a service may share.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        fd=fd,
        factory=factory,
        http=BoundedHttp,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # nothing here decides by the client's address
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_TIMEOUT_S,
    )


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol with a bound on the bytes of a request's head and on the time it may take.

    The parser itself buffers a head without end, and waits for head and body without end.
    """

    _head_is_open = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _body_is_open = False
    _body_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        self._stop_body_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Most bodies come with their head: only one that is still missing needs a timer.
        if self._body_is_open and self._body_timer is None:
            self._body_timer = self.loop.call_later(BODY_TIMEOUT_S, self.transport.close)
        if not self._head_is_open or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse_head()
        elif self._head_timer is None:
            self._start_head_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_open = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_is_open = False
        self._body_is_open = True
        self._stop_head_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._body_is_open = False
        self._stop_body_timer()
        super().on_message_complete()

    def _refuse_head(self) -> None:
        # An answer that is still being written must not get this one in its middle.
        if self.cycle is None or self.cycle.response_complete:
            problem = render_problem(HeadersTooLarge(), identify(()).request_id)
            lines = [name + b": " + value for name, value in problem.headers]
            head = [b"HTTP/1.1 431 Request Header Fields Too Large", *lines, b"connection: close"]
            self.transport.write(b"\r\n".join([*head, b"", problem.body]))
        self.transport.close()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _stop_body_timer(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
