"""A service's real app, served over HTTP by this process."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from shared.settings import DATA_VARIABLE, POSTGRES_VARIABLE, REDIS_VARIABLE, Settings
from shared.tasks import TaskOwner
from shared.web.server import server_config

_POLL_S = 0.01
_PATIENCE_S = 10.0


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment from which a service reads these settings."""
    return {
        POSTGRES_VARIABLE: settings.postgres_url,
        REDIS_VARIABLE: settings.redis_url,
        DATA_VARIABLE: str(settings.data_dir),
    }


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:  # noqa: ANN401 - an ASGI app
    """Serve an app on a free port until the block ends; returns its URL."""
    server = uvicorn.Server(server_config(app))
    tasks = TaskOwner()
    # The protocol is named, or asyncio would leave Nagle's algorithm on: 40 ms a request.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        # Not serve(): that would take the test runner's signals.
        tasks.spawn(server._serve([listener]), name="service under test")
        for _ in range(int(_PATIENCE_S / _POLL_S)):
            if server.started:
                break
            await asyncio.sleep(_POLL_S)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await tasks.close(grace_s=_PATIENCE_S)
