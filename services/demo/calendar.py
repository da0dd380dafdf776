"""The days that are played: one clock for the deployment and for the simulators."""

from datetime import UTC, date, datetime, time, timedelta

from services.clocking import move_clock, read_clock
from services.demo.treasury import Treasury
from shared.clock import CITY_TIME

_EARLIEST, _LATEST = time(8), time(21)
MORNING = time(9)


class Calendar:
    """Moves every clock forward, and knows what they show."""

    def __init__(self, owner_url: str, treasury: Treasury) -> None:
        self._owner_url = owner_url
        self._treasury = treasury
        self._offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    @property
    def today(self) -> date:
        """The day in the city."""
        return self.now().astimezone(CITY_TIME).date()

    async def set(self) -> None:
        """Learn what the deployment's clock shows."""
        self._offset = (await read_clock(self._owner_url)).offset

    async def move_to(self, moment: datetime) -> None:
        """Move every clock to a moment; one that lies behind changes nothing."""
        by = moment - self.now()
        if by > timedelta():
            self._offset = (await move_clock(self._owner_url, by)).offset
        await self._treasury.set_clocks(self.now())

    async def move_to_morning(self, day: date) -> None:
        await self.move_to(datetime.combine(day, MORNING, CITY_TIME))


def opening_on(day: date, real_opening: datetime) -> datetime:
    """Return a drop's own time of day on another day, well inside of it."""
    at = real_opening.astimezone(CITY_TIME).time()
    return datetime.combine(day, min(max(at, _EARLIEST), _LATEST), CITY_TIME)
