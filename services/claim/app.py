"""The claim service."""

import os
from collections.abc import Mapping

from fastapi import FastAPI

from services.claim.endpoint import ClaimEndpoint
from services.claim.resources import open_resources, translate
from services.claim.routes import router
from shared.web.app import Service, create_app


async def _postgres(app: FastAPI) -> object:
    return await app.state.resources.reads.fetchval("SELECT 1")


async def _gate(app: FastAPI) -> object:
    return await app.state.resources.gate.ping()


def create_api(environ: Mapping[str, str] = os.environ) -> FastAPI:
    """Build the framework's app: every operation, claims included, as OpenAPI describes it."""
    return create_app(
        Service(
            name="claim",
            title="Fairdrop claim",
            description="Drops, passes and claims for residents' apps.",
            routers=[router],
            resources=lambda app: open_resources(app, environ),
            probes={"postgres": _postgres, "gate": _gate},
            translate=translate,
        )
    )


def create(environ: Mapping[str, str] = os.environ) -> ClaimEndpoint:
    """Build what a claim process serves: the claim endpoint, and the framework behind it."""
    return ClaimEndpoint(create_api(environ))
