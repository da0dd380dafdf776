"""Sending a call again while nobody knows what became of it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from shared.db.calling import AWAY

_log = structlog.get_logger()

_PAUSE_S = 0.02
_PAUSE_MAX_S = 0.5

T = TypeVar("T")


async def insist(call: Callable[[], Awaitable[T]], *, until_s: float) -> T | None:
    """Return what a call returns, made again until `until_s` (loop time); None when time is over.

    Only for calls that name their request: whatever the lost ones did is done once.
    """
    loop = asyncio.get_running_loop()
    pause_s = _PAUSE_S
    while True:
        try:
            return await call()
        except AWAY as fault:
            # Once a call: while the server is away, everybody's is sent again and again.
            if pause_s == _PAUSE_S:
                _log.warning("call sent again", fault=repr(fault))
        wait_s = random.uniform(pause_s / 2, pause_s)
        if loop.time() + wait_s >= until_s:
            return None
        await asyncio.sleep(wait_s)
        pause_s = min(2 * pause_s, _PAUSE_MAX_S)
