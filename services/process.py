"""One process of one service.

`fairdrop serve` starts it as `python -m services.process claim`; `fairdrop run claim` is it, alone.
"""

import argparse
import contextlib
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import threading
import time
from types import FrameType

import uvicorn
from prometheus_client import values

from shared.embedded.launch import die_with_parent
from shared.web.logs import configure_logging
from shared.web.metrics import MULTIPROCESS_VARIABLE
from shared.web.server import server_config

_ORPHAN_S = 2
_PARENT_POLL_S = 1.0
_BACKLOG = 4096
# Requests make few cycles. Python's own thresholds look at everything alive ten times a second
# under load, and every request in flight waits for it.
_GC_THRESHOLDS = (50_000, 20, 50)


class _Server(uvicorn.Server):
    """Says on a pipe when it serves, and does not linger once its parent is dead."""

    def __init__(self, config: uvicorn.Config, *, parent_pid: int, ready_fd: int | None) -> None:
        super().__init__(config)
        self._parent_pid = parent_pid
        self._ready_fd = ready_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready_fd is not None:
            with contextlib.suppress(BrokenPipeError):  # the parent will notice by itself
                os.write(self._ready_fd, b"1")
            os.close(self._ready_fd)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if os.getppid() != self._parent_pid:
            # The servers behind this process end too, so there is nothing to drain into.
            self.force_exit = True
            signal.alarm(_ORPHAN_S)


def main() -> None:
    """Serve on the inherited listening socket until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("service")
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--parent-pid", type=int, required=True)
    parser.add_argument("--ready-fd", type=int)
    arguments = parser.parse_args()

    try:
        die_with_parent(signal.SIGTERM, arguments.parent_pid)
    except ProcessLookupError:
        sys.exit(0)
    if sys.platform != "linux":
        watch = threading.Thread(target=_watch, args=[arguments.parent_pid], daemon=True)
        watch.start()
    config = _prepare(arguments.service)
    server = _Server(config, parent_pid=arguments.parent_pid, ready_fd=arguments.ready_fd)
    server.run(sockets=[socket.socket(fileno=arguments.listen_fd)])


def run_alone(service: str, *, host: str, port: int) -> None:
    """Serve a service on an address of its own until SIGTERM.

    Raises:
        SystemExit: it could not start; the log says why.
    """
    uvicorn.Server(_prepare(service, host=host, port=port)).run()


def _prepare(service: str, *, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """Make this process one of the service's, and return what uvicorn has to know of it."""
    configure_logging(service)
    _allow_open_files()
    _count_as_one_process()
    app = importlib.import_module(f"services.{service}.app").create()
    config = server_config(app, host=host, port=port)
    config.backlog = _BACKLOG
    # What is imported and built by now stays for good.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    return config


def _count_as_one_process() -> None:
    """Have metrics remember this process's id, which they would ask the kernel for at each count.

    They ask in order to notice a fork; a service process never forks.
    """
    if MULTIPROCESS_VARIABLE in os.environ:
        pid = os.getpid()
        values.ValueClass = values.MultiProcessValue(lambda: pid)  # type: ignore[no-untyped-call]  # half typed


def _allow_open_files() -> None:
    """Take as many files as the system grants: every client's connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS names a limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _watch(parent_pid: int) -> None:
    """Stand in for the parent-death signal where the kernel has none."""
    while os.getppid() == parent_pid:
        time.sleep(_PARENT_POLL_S)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
