"""Faults on command: what the next requests at a point meet, and how often each was met."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request

from services.simulating.orders import Handling
from services.simulating.refusals import NoAnswer
from services.simulating.schemas import Action, FaultsView, FaultView, NewFaults
from shared.errors import InvalidRequest

COMMANDS_MAX = 1_000
# A caller's own patience is shorter; this bounds what a test that forgot one can hold open.
SILENCE_S = 60.0
_T = TypeVar("_T")


@dataclass(slots=True)
class Fault:
    """One command, and what is left of it."""

    on: str
    do: Action
    delay_ms: int
    every: int
    match: str | None
    left: int
    hits: int = 0
    passed: int = 0

    @property
    def handling(self) -> Handling:
        return Handling(
            rejects=self.do == "reject",
            processes_us=self.delay_ms * 1000 if self.do == "process" else 0,
        )


class Faults:
    """The commands of one simulator. They live in memory: a restart forgets them."""

    def __init__(self, points: Mapping[str, frozenset[Action]]) -> None:
        """`points` says what can happen where."""
        self._points = points
        self._commands: list[Fault] = []

    def command(self, wanted: NewFaults) -> None:
        """Add commands behind those there are. Raises InvalidRequest, and then adds none."""
        for at, fault in enumerate(wanted.faults):
            possible = self._points.get(fault.on)
            if possible is None:
                known = ", ".join(self._points)
                raise InvalidRequest.at("body", "faults", at, "on", msg=f"must be one of {known}")
            if fault.do not in possible:
                known = ", ".join(sorted(possible))
                raise InvalidRequest.at("body", "faults", at, "do", msg=f"here one of {known}")
        if len(self._commands) + len(wanted.faults) > COMMANDS_MAX:
            raise InvalidRequest.at("body", "faults", msg="too many: clear those of before first")
        self._commands += [
            Fault(fault.on, fault.do, fault.delay_ms, fault.every, fault.match, fault.times)
            for fault in wanted.faults
        ]

    def clear(self) -> None:
        self._commands.clear()

    def meet(self, on: str, *names: str) -> Fault | None:
        """Return the first fault that is left for a request at this point, and count it."""
        for fault in self._commands:
            if fault.on != on or not fault.left or fault.match not in (None, *names):
                continue
            fault.passed += 1
            if fault.passed % fault.every == 0:
                fault.left -= 1
                fault.hits += 1
                return fault
        return None

    def view(self) -> FaultsView:
        return FaultsView(
            items=[
                FaultView(
                    on=fault.on,
                    do=fault.do,
                    delay_ms=fault.delay_ms,
                    every=fault.every,
                    match=fault.match,
                    hits=fault.hits,
                    left=fault.left,
                )
                for fault in self._commands
            ]
        )


async def answer_under(fault: Fault | None, request: Request, do: Callable[[Handling], _T]) -> _T:
    """Do what was asked, as far as the fault lets it come, and answer when it says."""
    if fault is None:
        return do(Handling())
    if fault.do == "lose":
        await _say_nothing(request)
    try:
        answer = do(fault.handling)
        return do(Handling()) if fault.do == "duplicate" else answer
    finally:
        # A refusal is late, or never heard, like any other answer.
        if fault.do == "delay":
            await asyncio.sleep(fault.delay_ms / 1000)
        elif fault.do == "silence":
            await _say_nothing(request)


async def _say_nothing(request: Request) -> None:
    """Wait until the caller gives up."""
    try:
        async with asyncio.timeout(SILENCE_S):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        pass
    raise NoAnswer
