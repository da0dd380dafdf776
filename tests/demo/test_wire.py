"""The lean HTTP client, against servers that behave and servers that do not."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from services.demo.wire import NoAnswerError, Wire

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEADERS = {"authorization": "Bearer x"}


@asynccontextmanager
async def server(handle: Handle) -> AsyncIterator[str]:
    """Run a handler for each connection; yields the URL."""
    running = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with running:
        port = running.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes] | None:
    """Return the head and body of a request, None at the end of the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    length = next((line for line in head.lower().split("\r\n") if "content-length" in line), ":0")
    return head, await reader.readexactly(int(length.partition(":")[2]))


def answer(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{more}content-length: {len(body)}\r\n\r\n".encode() + body


async def test_connections_are_kept_and_no_more_than_allowed_are_opened() -> None:
    opened = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        while request := await read_request(reader):
            head, body = request
            told = {"line": head.split("\r\n")[0], "body": body.decode()}
            writer.write(answer(json.dumps(told).encode()))
        writer.close()

    async with server(handle) as url:
        wire = Wire(url, connections_max=3)
        replies = await asyncio.gather(
            *(wire.ask("POST", f"/v1/things/{n}", HEADERS, b'"%d"' % n) for n in range(50))
        )
        wire.close()

    assert opened == 3
    assert [reply.body for reply in replies] == [
        {"line": f"POST /v1/things/{n} HTTP/1.1", "body": f'"{n}"'} for n in range(50)
    ]


async def test_a_refusal_is_an_answer_with_its_code() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(b'{"code": "bad_code"}', "400 Bad Request", "connection: close\r\n"))
        await writer.drain()
        writer.close()

    async with server(handle) as url:
        reply = await Wire(url, connections_max=1).ask("GET", "/", HEADERS)

    assert (reply.status, reply.code, reply.is_good) == (400, "bad_code", False)


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhal", b"?\r\n"]
)
async def test_half_an_answer_is_none(said: bytes) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(said)
        await writer.drain()
        writer.close()

    async with server(handle) as url:
        wire = Wire(url, connections_max=1)
        with pytest.raises(NoAnswerError):
            await wire.ask("GET", "/", HEADERS)
        # The one connection that there may be is free again.
        with pytest.raises(NoAnswerError):
            await wire.ask("GET", "/", HEADERS)


async def test_nobody_who_listens_is_no_answer() -> None:
    with pytest.raises(NoAnswerError):
        await Wire("http://127.0.0.1:1", connections_max=1).ask("GET", "/", HEADERS)


async def test_who_hangs_up_was_heard_and_hears_nothing() -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        assert request is not None
        heard.put_nowait(request[1])
        assert await reader.read() == b""
        writer.close()

    async with server(handle) as url:
        await Wire(url, connections_max=1).send_and_hang_up("POST", "/", HEADERS, b"lost")
        assert await asyncio.wait_for(heard.get(), 5) == b"lost"
