"""The endpoints that operate a service: alive, ready, metrics."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import BaseModel

from shared.errors import Unavailable
from shared.web.metrics import METRICS_MEDIA_TYPE, Metrics
from shared.web.problems import problems

PROBE_TIMEOUT_S = 2.0

# Returns when the dependency answers, raises when it does not.
Probe = Callable[[FastAPI], Awaitable[object]]

_log = structlog.stdlib.get_logger("fairdrop.readiness")


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    checks: dict[str, Literal["ok"]]


def operations_router(probes: Mapping[str, Probe], metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/livez")
    async def livez() -> Alive:
        """Whether this process serves requests at all; asks nothing else."""
        return Alive()

    @router.get("/readyz", responses=problems(Unavailable))
    async def readyz(request: Request) -> Ready:
        """Whether everything this service depends on answers, within two seconds."""
        names = list(probes)
        outcomes = await asyncio.gather(*(_probe(n, probes[n], request.app) for n in names))
        checks = dict(zip(names, outcomes, strict=True))
        away = [name for name, outcome in checks.items() if outcome != "ok"]
        if away:
            raise Unavailable(
                f"{', '.join(away)} does not answer.",
                extra={"checks": {**checks}},
                retry_after_ms=random.randint(1000, 3000),
            )
        return Ready(checks=dict.fromkeys(names, "ok"))

    @router.get("/metrics", response_class=Response)
    async def metrics_exposition() -> Response:
        """Prometheus metrics, in its text format."""
        return Response(metrics.exposition(), media_type=METRICS_MEDIA_TYPE)

    return router


async def _probe(name: str, probe: Probe, app: FastAPI) -> str:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await probe(app)
    except TimeoutError:
        _log.warning("dependency timed out", dependency=name, timeout_s=PROBE_TIMEOUT_S)
        return "timed out"
    except Exception:  # noqa: BLE001 - whatever a dependency's driver raises means not ready
        _log.warning("dependency is away", dependency=name, exc_info=True)
        return "away"
    return "ok"
