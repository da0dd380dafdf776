"""Warnings that come with every batch while something is away, said once a second."""

import time

import structlog

_SAID_EVERY_S = 1.0

_log = structlog.get_logger()


class SeldomWarning:
    """One kind of warning of one drop; what was kept back is counted in the next one."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._silent_until_s = float("-inf")
        self._kept_back = 0

    def say(self, **facts: str) -> None:
        """Log the warning, unless one was logged within the last second."""
        now_s = time.monotonic()
        if now_s < self._silent_until_s:
            self._kept_back += 1
            return
        self._silent_until_s = now_s + _SAID_EVERY_S
        _log.warning(self._event, kept_back=self._kept_back, **facts)
        self._kept_back = 0
