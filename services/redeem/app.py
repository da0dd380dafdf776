"""The redeem service."""

import os
from collections.abc import Mapping

from fastapi import FastAPI

from services.redeem.endpoint import RedeemEndpoint
from services.redeem.resources import BODY_BYTES_MAX, open_resources, translate
from services.redeem.routes import router, served_ahead
from shared.web.app import Service, create_app


async def _postgres(app: FastAPI) -> object:
    return await app.state.resources.direct.fetchval("SELECT 1")


def create_api(environ: Mapping[str, str] = os.environ) -> FastAPI:
    """Build the framework's app: every operation, redemptions included, as OpenAPI describes it."""
    return create_app(
        Service(
            name="redeem",
            title="Fairdrop redeem",
            description="Quotes, redemptions, holds and reversals, for tills that sign.",
            routers=[router, served_ahead],
            resources=lambda app: open_resources(app, environ),
            probes={"postgres": _postgres},
            translate=translate,
            body_bytes_max=BODY_BYTES_MAX,
        )
    )


def create(environ: Mapping[str, str] = os.environ) -> RedeemEndpoint:
    """Build what a redeem process serves: the redemption endpoint, and the framework behind it."""
    return RedeemEndpoint(create_api(environ))
