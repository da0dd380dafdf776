"""The one app factory: every service is a FastAPI app made here."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from shared.errors import (
    AppError,
    Forbidden,
    Internal,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from shared.web.answers import EXCEPTION_HANDLERS
from shared.web.edge import Edge, Translate
from shared.web.metrics import Metrics
from shared.web.operations import Probe, operations_router
from shared.web.problems import PROBLEM_SCHEMA, PROBLEM_SCHEMA_NAME, add_problem

BODY_BYTES_MAX = 64 * 1024

# FastAPI would otherwise hand request inputs to any OpenTelemetry provider it finds.
_NO_TELEMETRY: Any = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
_OPERATIONS_TAG = "operations"


def _translates_nothing(_fault: Exception) -> AppError | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What makes one service differ from another.

    `resources` opens what the service needs, puts it on `app.state` and closes it in reverse;
    `probes` name the dependencies that `/readyz` asks; `translate` turns a fault that escaped a
    route into what the client is told, or None for 500; `errors` may come from any operation;
    `body_bytes_max_at` are the paths that take larger bodies, such as files.
    """

    name: str
    title: str
    description: str
    routers: Sequence[APIRouter]
    resources: Callable[[FastAPI], AbstractAsyncContextManager[None]]
    probes: Mapping[str, Probe]
    errors: Sequence[type[AppError]] = ()
    translate: Translate = _translates_nothing
    body_bytes_max: int = BODY_BYTES_MAX
    body_bytes_max_at: Mapping[str, int] = field(default_factory=dict)


def create_app(service: Service) -> FastAPI:
    """Build the app. Nothing is opened before its lifespan starts.

    Routers carry their full prefix themselves: metrics are labelled with the route's own path.
    `app.state.metrics` is the service's Metrics.
    """
    metrics = Metrics(service.name)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.resources(app):
            yield

    app = _ServiceApp(
        title=service.title,
        description=service.description,
        version=version("fairdrop"),
        lifespan=lifespan,
        telemetry=_NO_TELEMETRY,
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        generate_unique_id_function=_operation_id,
        exception_handlers=EXCEPTION_HANDLERS,
        middleware=[
            Middleware(
                Edge,
                metrics=metrics,
                body_bytes_max=service.body_bytes_max,
                body_bytes_max_at=service.body_bytes_max_at,
                translate=service.translate,
            )
        ],
    )
    app.errors_of_every_operation = service.errors
    app.state.metrics = metrics
    app.include_router(operations_router(service.probes, metrics))
    for router in service.routers:
        app.include_router(router)
    return app


class _ServiceApp(FastAPI):
    errors_of_every_operation: Sequence[type[AppError]] = ()

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        if PROBLEM_SCHEMA_NAME not in schemas:
            schemas[PROBLEM_SCHEMA_NAME] = PROBLEM_SCHEMA
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            for path in schema["paths"].values():
                for operation in path.values():
                    _state_errors(operation, self.errors_of_every_operation)
        return schema


def _state_errors(operation: dict[str, Any], errors: Sequence[type[AppError]]) -> None:
    """List what any operation of this shape may answer, beside what its route declares."""
    responses = operation["responses"]
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
    expected: list[type[AppError]] = [Internal]
    if _OPERATIONS_TAG not in operation.get("tags", ()):
        expected += [InvalidRequest, PayloadTooLarge, Overloaded, Unavailable, *errors]
    if "requestBody" in operation:
        expected.append(UnsupportedMediaType)
    if "security" in operation:
        expected += [Unauthenticated, Forbidden]
    for error in expected:
        add_problem(responses, error)
    operation["responses"] = dict(sorted(responses.items()))


def _operation_id(route: APIRoute) -> str:
    return route.name
