"""Who dies is started again, ever more slowly, and not for ever."""

import asyncio

import pytest

from services.supervising import keeping
from services.supervising.deployed import SERVICES, ServeError
from services.supervising.keeping import HEALTHY_AFTER_S, RESTARTS_MAX, Backoff, keep
from shared.embedded.errors import EmbeddedServerError


def test_waits_double_to_a_bound_and_start_over_after_health() -> None:
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert backoff.after(HEALTHY_AFTER_S) == 0.2
    assert backoff.after(HEALTHY_AFTER_S - 0.1) == 0.4


def test_it_gives_up_only_after_the_last_restart() -> None:
    backoff = Backoff()
    assert None not in [backoff.after(0) for _ in range(RESTARTS_MAX)]
    assert backoff.after(0) is None


class Mortal:
    """A child that ends at once, and that cannot always be started."""

    name = "mortal"
    pid = 1

    def __init__(self, failing_starts: int) -> None:
        self.starts = 0
        self._failing_starts = failing_starts

    async def exited(self) -> int:
        return 3

    async def restart(self) -> None:
        self.starts += 1
        if self.starts <= self._failing_starts:
            raise EmbeddedServerError("not now")


async def test_a_child_that_never_lives_ends_the_keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "BACKOFF_S_MAX", 0.0)
    told: list[int] = []
    child = Mortal(failing_starts=10)
    with pytest.raises(ServeError, match=f"mortal died {RESTARTS_MAX} times in a row"):
        await asyncio.wait_for(keep(child, lambda: told.append(child.starts)), 10)
    assert child.starts == RESTARTS_MAX
    assert told == list(range(11, RESTARTS_MAX + 1))


def test_ports_and_processes() -> None:
    assert {service.name: service.port_offset for service in SERVICES} == {
        "campaign": 0,
        "claim": 1,
        "redeem": 2,
        "ledger": 3,
    }
    assert [service.processes(4) for service in SERVICES] == [1, 4, 1, 1]
