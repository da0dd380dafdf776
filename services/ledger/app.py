"""The ledger service: it reads the books, checks them, settles and reconciles."""

import os
from collections.abc import Mapping

from fastapi import FastAPI

from services.ledger.reconciliation_routes import STATEMENTS_PATH
from services.ledger.reconciliation_routes import router as reconciliation
from services.ledger.resources import ask_postgres, open_resources
from services.ledger.routes import router
from services.ledger.settlement_routes import router as settlement
from shared.db.faults import translate
from shared.errors import Busy
from shared.formats.faults import FILE_BYTES_MAX
from shared.web.app import Service, create_app


def create(environ: Mapping[str, str] = os.environ) -> FastAPI:
    """Build the app; nothing is read or opened before its lifespan starts."""
    return create_app(
        Service(
            name="ledger",
            title="Fairdrop ledger",
            description="Accounts, settlement, reconciliation, invariants. For finance, auditors.",
            routers=[router, settlement, reconciliation],
            resources=lambda app: open_resources(app, environ),
            # The gate is no condition: the books can be read while it is away.
            probes={"postgres": ask_postgres},
            errors=[Busy],
            translate=translate,
            body_bytes_max_at={STATEMENTS_PATH: FILE_BYTES_MAX},
        )
    )
