"""The campaign service: the control plane of programmes, funding, drops, merchants and tills."""

import os
from collections.abc import Mapping

from fastapi import FastAPI

from services.campaign.resources import ask_postgres, open_resources
from services.campaign.routes import router
from shared.db.faults import translate
from shared.errors import Busy
from shared.web.app import Service, create_app


def create(environ: Mapping[str, str] = os.environ) -> FastAPI:
    """Build the app; nothing is read or opened before its lifespan starts."""
    return create_app(
        Service(
            name="campaign",
            title="Fairdrop campaign",
            description="Programmes, their funding and drops, merchants and tills. For operators.",
            routers=[router],
            resources=lambda app: open_resources(app, environ),
            # The gate is no condition: a drop must be paused and closed while the gate is away.
            probes={"postgres": ask_postgres},
            errors=[Busy],
            translate=translate,
        )
    )
