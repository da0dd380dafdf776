"""The side of a simulator that no counterparty has: its clock, faults and lies, on command."""

from fastapi import APIRouter

from services.simulating.book import day_of, moment
from services.simulating.refusals import TooFewRows
from services.simulating.resources import Opened, Simulator
from services.simulating.schemas import (
    ClockView,
    FaultsView,
    NewClock,
    NewFaults,
    NewLies,
    PlantedLies,
)
from shared.errors import NotFound
from shared.web.problems import problems

router = APIRouter(prefix="/simulate", tags=["commands"])


@router.get("/clock")
async def show_clock(opened: Opened) -> ClockView:
    """Show the simulator's time."""
    return _clock(opened)


@router.post("/clock")
async def move_clock(opened: Opened, body: NewClock) -> ClockView:
    """Move the simulator's time forward, as a development clock was moved."""
    opened.book.hear(body.now)
    opened.orders.settle_due()
    return _clock(opened)


@router.get("/faults")
async def show_faults(opened: Opened) -> FaultsView:
    """Show how often each fault was met, and what is left of it."""
    return opened.faults.view()


@router.post("/faults", status_code=201)
async def command_faults(opened: Opened, body: NewFaults) -> FaultsView:
    """Command faults behind those there are. A request meets the first that is left for it."""
    opened.faults.command(body)
    return opened.faults.view()


@router.delete("/faults", status_code=204)
async def clear_faults(opened: Opened) -> None:
    """Forget every fault, and how often it was met."""
    opened.faults.clear()


@router.post("/lies", status_code=201, responses=problems(NotFound, TooFewRows))
async def plant_lies(opened: Opened, body: NewLies) -> PlantedLies:
    """Have a day's file lie, and say exactly what a reconciliation should find."""
    return opened.lies.plant(body)


@router.delete("/lies", status_code=204)
async def clear_lies(opened: Opened) -> None:
    """Have every file tell the truth."""
    opened.lies.clear()


def _clock(simulator: Simulator) -> ClockView:
    now_us = simulator.book.now_us()
    return ClockView(now=moment(now_us), day=day_of(now_us))
