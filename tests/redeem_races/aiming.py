"""Meeting an instant from both sides, on a machine as slow as it happens to be."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

_STEP_S = 0.001
_LATE_MAX_S = 0.5
_LIVES_LEAST = timedelta(milliseconds=100)
_MARGIN = 2.0


class Aim:
    """Chooses when to act around an instant so that about half of the acts come before it.

    Whoever acts says how it was, and the next ones begin a little earlier or later: a busy machine
    makes a race later, not one-sided.
    """

    def __init__(self, chosen: random.Random, *, spread_s: float) -> None:
        self._chosen = chosen
        self._spread_s = spread_s
        self._offset_s = 0.0

    async def wait(self, instant: datetime, *, later_s: float = 0.0) -> None:
        """Return around an instant."""
        spread_s = self._chosen.uniform(-self._spread_s, self._spread_s)
        until_s = (instant - datetime.now(UTC)).total_seconds()
        await asyncio.sleep(until_s + self._offset_s + spread_s + later_s)

    def came(self, *, late: bool) -> None:
        """Learn from an act that was meant to come before the instant as often as after it."""
        moved_s = self._offset_s + (-_STEP_S if late else _STEP_S)
        self._offset_s = max(-_LATE_MAX_S, min(_LATE_MAX_S, moved_s))


class Lead:
    """How long a voucher must live for what is to be prepared before its end."""

    def __init__(self) -> None:
        self.lives = 3 * _LIVES_LEAST

    def took(self, prepared_in: timedelta) -> None:
        """Learn how long a preparation took, from its beginning to where the race may begin."""
        self.lives = max(_LIVES_LEAST, 0.9 * self.lives, _MARGIN * prepared_in)
