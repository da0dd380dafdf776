"""The services that one machine runs, and the sockets they listen on."""

import contextlib
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass

_BACKLOG = 4096
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only recognised, never chosen


class ServeError(Exception):
    """`fairdrop serve` cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service: where it listens, and whether `--workers` multiplies its processes."""

    name: str
    port_offset: int
    scales: bool = False

    def processes(self, workers: int) -> int:
        return workers if self.scales else 1


SERVICES = (
    Service("campaign", 0),
    Service("claim", 1, scales=True),
    Service("redeem", 2),
    Service("ledger", 3),
)


@dataclass(frozen=True, slots=True)
class Listener:
    """The one listening socket that all processes of a service share.

    It stays open here, so a process that dies or stops strands no waiting connection.
    """

    service: Service
    socket: socket.socket

    @property
    def address(self) -> tuple[str, int]:
        host, port, *_ = self.socket.getsockname()
        return _ANY_ADDRESS.get(host, host), port

    @property
    def url(self) -> str:
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def listening(host: str, port_base: int) -> Iterator[tuple[Listener, ...]]:
    """Bind every service's port; a base of 0 takes whatever ports are free.

    Raises:
        ServeError: an address cannot be had.
    """
    with contextlib.ExitStack() as held:
        yield tuple(
            Listener(service, held.enter_context(_bind(service, host, port_base)))
            for service in SERVICES
        )


def _bind(service: Service, host: str, port_base: int) -> socket.socket:
    port = port_base + service.port_offset if port_base else 0
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        wanted = f"Port {port} on {host}, where the {service.name} service listens,"
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            raise ServeError(
                f"{wanted} is taken. Stop what uses it, or choose other ports with --port-base."
            ) from error
        raise ServeError(
            f"{wanted} cannot be used: {error}. Choose others with --host or --port-base."
        ) from error
