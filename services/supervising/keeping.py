"""Keeping children alive: who died is started again, patiently, and not for ever."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from services.supervising.deployed import ServeError
from shared.embedded.errors import EmbeddedServerError

BACKOFF_S_FIRST = 0.2
BACKOFF_S_MAX = 5.0
HEALTHY_AFTER_S = 20.0
RESTARTS_MAX = 30


class Kept(Protocol):
    """A child that can be started again."""

    @property
    def name(self) -> str: ...

    @property
    def pid(self) -> int: ...

    async def exited(self) -> int | None:
        """Return its exit code once it has ended."""

    async def restart(self) -> None:
        """Start it again.

        Raises:
            EmbeddedServerError: an embedded server does not come up.
            OSError: the system starts no process.
        """


class Backoff:
    """How long to wait before the next start of a child that keeps dying."""

    def __init__(self) -> None:
        self._deaths = 0

    def after(self, lived_s: float) -> float | None:
        """Return seconds to wait after a life of `lived_s`; None when it has died too often."""
        if lived_s >= HEALTHY_AFTER_S:
            self._deaths = 0
        if self._deaths == RESTARTS_MAX:
            return None
        self._deaths += 1
        return float(min(BACKOFF_S_FIRST * 2 ** (self._deaths - 1), BACKOFF_S_MAX))


async def keep(child: Kept, restarted: Callable[[], None]) -> None:
    """Start the child again whenever it ends, until cancelled; tell `restarted` each time.

    Raises:
        ServeError: it died too often without a healthy spell in between.
    """
    log = structlog.get_logger()
    clock = asyncio.get_running_loop()
    backoff = Backoff()
    started = clock.time()
    while True:
        exit_code = await child.exited()
        backoff_s = backoff.after(clock.time() - started)
        if backoff_s is None:
            raise ServeError(
                f"{child.name} died {RESTARTS_MAX} times in a row without {HEALTHY_AFTER_S:.0f} "
                "seconds of health between. The log above says why it last ended."
            )
        await asyncio.sleep(backoff_s)
        started = clock.time()
        try:
            await child.restart()
        except (EmbeddedServerError, OSError) as error:
            log.error("restart failed", child=child.name, reason=str(error))  # noqa: TRY400
            started = clock.time()
            continue
        log.warning(
            "service restarted",
            child=child.name,
            pid=child.pid,
            exit_code=exit_code,
            backoff_s=backoff_s,
        )
        restarted()
