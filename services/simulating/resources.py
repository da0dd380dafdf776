"""What a simulator holds open and its routes use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from services.simulating.book import Book, Direction, Kind
from services.simulating.faults import Faults
from services.simulating.lying import Lies
from services.simulating.orders import Orders
from services.simulating.schemas import Action
from shared.counterparties import BANK, ECNY_OPERATOR

_REQUESTS: frozenset[Action] = frozenset({"delay", "silence", "lose", "duplicate"})
_ORDERS: frozenset[Action] = _REQUESTS | {"reject", "process"}
_POINTS: dict[str, dict[str, frozenset[Action]]] = {
    ECNY_OPERATOR: {"payments": _ORDERS, "refunds": _ORDERS, "queries": _REQUESTS},
    BANK: {
        "payout_files": _REQUESTS | {"reject"},
        "payouts": frozenset({"lose", "reject", "process"}),
        "queries": _REQUESTS,
    },
}
_EXTRA_KINDS: dict[str, dict[Direction, Kind]] = {
    ECNY_OPERATOR: {"in": "REFUND", "out": "PAY"},
    BANK: {"in": "DEPOSIT", "out": "TRANSFER"},
}


@dataclass(frozen=True, slots=True)
class Simulator:
    book: Book
    orders: Orders
    faults: Faults
    lies: Lies


@asynccontextmanager
async def open_simulator(app: FastAPI, counterparty: str, book: Book) -> AsyncIterator[None]:
    """Simulate a counterparty over its book, which stays the caller's to close."""
    app.state.simulator = Simulator(
        book,
        Orders(book),
        Faults(_POINTS[counterparty]),
        Lies(book, _EXTRA_KINDS[counterparty]),
    )
    yield


async def ask_book(app: FastAPI) -> None:
    """Raise unless the book can be read."""
    simulator: Simulator = app.state.simulator
    simulator.book.balance_fen("")


async def _opened(request: Request) -> Simulator:
    """Return the simulator as it is now: what was to be processed until now is done."""
    simulator: Simulator = request.app.state.simulator
    simulator.orders.settle_due()
    return simulator


Opened = Annotated[Simulator, Depends(_opened)]
