"""The process of a simulator: it serves this machine alone, and tells its data dir where."""

import asyncio
import contextlib
import ipaddress
import json
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from services.simulating.app import create
from services.simulating.book import Book
from shared.counterparties import url_file
from shared.web.logs import configure_logging
from shared.web.server import server_config

_DIRECTORY_MODE = 0o700
# Nobody waits for those who wait for a silent answer.
_DRAIN_S = 1


class SimulatorError(Exception):
    """A simulator cannot be run; the message says why."""


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What the command line chose; port 0 takes a free one."""

    counterparty: str
    data: Path
    host: str = "127.0.0.1"
    port: int = 0


async def simulate(options: SimulateOptions) -> None:
    """Run a simulator until SIGTERM or SIGINT.

    Raises:
        SimulatorError: the address is not of this machine alone, or cannot be had.
        BookTakenError: another process simulates the same on this data dir.
    """
    file = url_file(options.data, options.counterparty)
    file.parent.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    with (
        _listening(options.host, options.port) as listener,
        contextlib.closing(Book(file.with_suffix(".book"))) as book,
    ):
        configure_logging(f"simulated-{options.counterparty}")
        config = server_config(create(options.counterparty, book))
        config.timeout_graceful_shutdown = _DRAIN_S
        server = _Server(config, _url(listener), file)
        with _ending(server):
            await server.serve([listener])


class _Server(uvicorn.Server):
    """Tells its address once it serves, and takes it back when it ends."""

    def __init__(self, config: uvicorn.Config, url: str, file: Path) -> None:
        super().__init__(config)
        self._url = url
        self._file = file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        draft = self._file.with_suffix(".draft")
        draft.write_text(self._url)
        draft.replace(self._file)
        sys.stdout.write(json.dumps({"ready": True, "url": self._url}) + "\n")
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._file.unlink(missing_ok=True)
        await super().shutdown(sockets)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Bind an address that nobody outside this machine can reach."""
    try:
        if not ipaddress.ip_address(host).is_loopback:
            raise SimulatorError(f"A simulator listens on a loopback address only, not on {host}.")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except ValueError:
        raise SimulatorError(f"{host!r} is not an IP address; use 127.0.0.1.") from None
    except OSError as error:
        raise SimulatorError(
            f"Port {port} on {host} cannot be had: {error}. Choose another with --port."
        ) from error
    with listener:
        yield listener


def _url(listener: socket.socket) -> str:
    host, port, *_ = listener.getsockname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _ending(server: uvicorn.Server) -> Iterator[None]:
    """Have SIGTERM and SIGINT end the server, and the command with success.

    The server handles them, too, but raises them again at its end.
    """
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
