"""The app of a simulator."""

from fastapi import FastAPI

from services.simulating.bank_routes import router as bank
from services.simulating.book import Book
from services.simulating.commanding import router as commands
from services.simulating.operator_routes import router as operator
from services.simulating.resources import ask_book, open_simulator
from shared.counterparties import BANK, ECNY_OPERATOR
from shared.formats.faults import FILE_BYTES_MAX
from shared.web.app import Service, create_app

_TITLES = {BANK: "Simulated bank", ECNY_OPERATOR: "Simulated e-CNY operator"}
_ROUTERS = {BANK: bank, ECNY_OPERATOR: operator}


def create(counterparty: str, book: Book) -> FastAPI:
    """Build the app of one counterparty over its book."""
    return create_app(
        Service(
            name=f"simulated-{counterparty}",
            title=_TITLES[counterparty],
            description=(
                "A simulator for development and tests, in a style of our own: no real counterparty"
                " speaks like this. It is told under /simulate what to do wrong."
            ),
            routers=[_ROUTERS[counterparty], commands],
            resources=lambda app: open_simulator(app, counterparty, book),
            probes={"book": ask_book},
            body_bytes_max=FILE_BYTES_MAX,
        )
    )
