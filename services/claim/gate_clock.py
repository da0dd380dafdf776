"""The gate's clock as this process last heard it: two bounds, since an answer takes its time."""

import time

# Then the gate is asked again: clocks are moved, and hosts are put to sleep.
CLOCK_LIVES_US = 1_000_000


def monotonic_us() -> int:
    return time.monotonic_ns() // 1000


class GateClock:
    """Estimates the gate's time from its last answer, while that is less than a second old."""

    def __init__(self) -> None:
        self._gate_us = 0
        self._asked_us = 0
        self._heard_us: int | None = None

    def hear(self, gate_us: int, *, asked_us: int) -> None:
        """Remember what the gate's clock showed between `asked_us` (monotonic) and now."""
        self._gate_us = gate_us
        self._asked_us = asked_us
        self._heard_us = monotonic_us()

    def earliest_us(self) -> int | None:
        """Return a time that the gate's clock has surely reached; None if it was not heard."""
        now_us = monotonic_us()
        if self._heard_us is None or now_us - self._heard_us > CLOCK_LIVES_US:
            return None
        return self._gate_us + now_us - self._heard_us

    def latest_us(self) -> int | None:
        """Return a time that the gate's clock has surely not passed; None if it was not heard."""
        now_us = monotonic_us()
        if self._heard_us is None or now_us - self._heard_us > CLOCK_LIVES_US:
            return None
        return self._gate_us + now_us - self._asked_us
