"""The ledger service: it reads the books and checks them."""

import os
from collections.abc import Mapping

from fastapi import FastAPI

from services.ledger.resources import ask_postgres, open_resources
from services.ledger.routes import router
from shared.db.faults import translate
from shared.errors import Busy
from shared.web.app import Service, create_app


def create(environ: Mapping[str, str] = os.environ) -> FastAPI:
    """Build the app; nothing is read or opened before its lifespan starts."""
    return create_app(
        Service(
            name="ledger",
            title="Fairdrop ledger",
            description="Accounts, journals, balances and invariants. For finance and auditors.",
            routers=[router],
            resources=lambda app: open_resources(app, environ),
            # The gate is no condition: the books can be read while it is away.
            probes={"postgres": ask_postgres},
            errors=[Busy],
            translate=translate,
        )
    )
