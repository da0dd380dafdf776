"""A service of every shape the app factory must serve, run as a process of its own."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import Field

from shared.auth.principals import Principal
from shared.auth.residents import require_resident
from shared.auth.roles import Role
from shared.auth.staff import require_staff
from shared.auth.tokens import open_verifier
from shared.errors import AppError, Forbidden, Refusal, Unavailable
from shared.web.app import Service, create_app
from shared.web.fields import Fen, Identifier, Name, StrictModel, Text, UtcTime
from shared.web.logs import configure_logging
from shared.web.pages import Cursor, Page, PageQuery
from shared.web.problems import problems
from shared.web.server import server_config

router = APIRouter(prefix="/v1")
LEAKY = "password=hunter2 eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2ln postgresql://app:s3cret@db/x"
cursor = Cursor(tuple[UtcTime, Identifier])


class NotOpen(Refusal):
    code = "not_open"
    status = 425
    title = "The drop has not opened yet."
    retryable = True


class Kind(StrictModel):
    name: Name
    face_fen: Fen


class Thing(StrictModel):
    name: Name
    amount_fen: Fen
    opens_at: UtcTime
    mode: Literal["grab", "lottery"]
    note: Annotated[Text, Field(max_length=40)] | None = None
    paused: bool = False
    pack: Annotated[list[Kind], Field(max_length=5)] = Field(default_factory=list)


@router.post("/things", status_code=201)
async def create_thing(thing: Thing) -> Thing:
    return thing


@router.get("/things")
async def list_things(page: PageQuery) -> Page[int]:
    position = cursor.decode(page.cursor)
    following = cursor.encode((thing_time(), "thing-9")) if position is None else None
    return Page(items=list(range(page.limit)), next_cursor=following)


def thing_time() -> UtcTime:
    return Thing.model_validate(
        {"name": "a", "amount_fen": 1, "opens_at": "2026-05-01T10:00:00Z", "mode": "grab"}
    ).opens_at


@router.get("/things/{thing_id}", responses=problems(NotOpen, Forbidden))
async def get_thing(thing_id: Identifier) -> str:
    return thing_id


@router.get("/echo/{text}")
async def echo(text: str, query: str = "") -> list[str]:
    return [text, query]


@router.get("/not-open")
async def not_open() -> None:
    raise NotOpen("It opens at eight.", extra={"opens_at": "x", "code": "y"}, retry_after_ms=1501)


@router.get("/crash")
async def crash() -> None:
    raise RuntimeError(LEAKY)


@router.get("/half")
async def half() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError(LEAKY)

    return StreamingResponse(parts(), headers={"content-length": "100"})


@router.get("/away")
async def away() -> None:
    raise ConnectionRefusedError("the database")


@router.post("/unread")
async def unread() -> str:
    return "ok"


@router.post("/read")
async def read(request: Request) -> int:
    return len(await request.body())


@router.get("/staff")
async def staff_only(
    principal: Annotated[Principal, Depends(require_staff(Role.OPERATOR, Role.APPROVER))],
) -> str:
    return principal.subject


@router.get("/resident")
async def resident_only(principal: Annotated[Principal, Depends(require_resident)]) -> str:
    return principal.subject


@router.post("/database/{state}")
async def set_database(state: Literal["here", "away", "hung"], request: Request) -> None:
    request.app.state.database = state


async def probe_database(app: FastAPI) -> None:
    if app.state.database == "hung":
        await asyncio.sleep(60)
    if app.state.database == "away":
        raise ConnectionRefusedError(LEAKY)


async def probe_gate(_app: FastAPI) -> None:
    return


@asynccontextmanager
async def resources(app: FastAPI) -> AsyncIterator[None]:
    app.state.database = "here"
    app.state.verifier = await open_verifier(Path(os.environ["SMALL_APP_DATA"]), {})
    yield


def translate(fault: Exception) -> AppError | None:
    return Unavailable(retry_after_ms=1200) if isinstance(fault, ConnectionError) else None


def small_app() -> FastAPI:
    return create_app(
        Service(
            name="small",
            title="Small",
            description="Every shape of endpoint.",
            routers=[router],
            resources=resources,
            probes={"database": probe_database, "gate": probe_gate},
            translate=translate,
        )
    )


def main() -> None:
    configure_logging("small")
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(server_config(small_app())).run(sockets=[listener])


if __name__ == "__main__":
    main()
