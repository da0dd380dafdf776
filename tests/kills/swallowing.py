"""A proxy in front of Postgres that loses replies after the server has committed.

It follows both directions of the wire protocol message by message, so it knows which query calls
`claim.issue` (or what else it is told to watch), and that a reply ended with a commit and not with
an error.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

ISSUE = b"claim.issue("
_PARSE, _BIND, _ERROR, _READY = b"P", b"B", b"E", b"Z"
_LENGTH_BYTES = 4
_END_PATIENCE_S = 5.0


class Loss(StrEnum):
    """What happens to a query that was chosen."""

    CUT = "the reply is dropped and the connection cut"
    SILENCE = "the reply is dropped and the connection stays open and says nothing any more"
    CUT_BEFORE = "the connection is cut before the query arrives"


@dataclass(slots=True)
class _Session:
    """One client's connection and its counterpart to the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    watched: tuple[bytes, ...]
    calling: set[bytes] = field(default_factory=set)
    losing: Loss | None = None
    silent: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def makes_the_call(self, kind: bytes, body: bytes) -> bool:
        """Note a message of the client; return whether it calls what is watched."""
        if kind == _PARSE:
            name, query, _ = body.split(b"\0", 2)
            if any(call in query for call in self.watched):
                self.calling.add(name)
        return kind == _BIND and body.split(b"\0", 2)[1] in self.calling

    def cut(self) -> None:
        self.client.transport.abort()
        self.server.transport.abort()


class SwallowingProxy:
    """Passes everything on between two sockets, except what it is told to lose."""

    def __init__(
        self, server: Path, listening: Path, *, calls: tuple[bytes, ...] = (ISSUE,)
    ) -> None:
        self._server = server
        self._listening = listening
        self._watched = calls
        self._planned: list[Loss] = []
        self._every = 1
        self._calls = 0
        self._sessions: list[_Session] = []
        self.lost: Counter[Loss] = Counter()

    def plan(self, *losses: Loss, every: int) -> None:
        """Lose these in this order, one in so many of the calls that are watched."""
        self._planned += losses
        self._every = every

    @property
    def commits_swallowed(self) -> int:
        """How often the server committed and said so, and nobody heard it."""
        return self.lost[Loss.CUT] + self.lost[Loss.SILENCE]

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._serve, self._listening)
        try:
            yield
        finally:
            server.close()
            for session in self._sessions:
                session.cut()
                await asyncio.wait_for(session.ended.wait(), _END_PATIENCE_S)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._server)
        session = _Session(writer, server_writer, self._watched)
        self._sessions.append(session)
        await asyncio.gather(
            _until_end(session, self._pass_on_questions(session, reader)),
            _until_end(session, self._pass_on_answers(session, server_reader)),
        )
        session.ended.set()

    async def _pass_on_questions(self, session: _Session, reader: asyncio.StreamReader) -> None:
        session.server.write(await _untyped_message(reader))
        while True:
            kind, body = await _message(reader)
            if session.makes_the_call(kind, body) and session.losing is None:
                session.losing = self._choose()
                if session.losing is Loss.CUT_BEFORE:
                    self.lost[Loss.CUT_BEFORE] += 1
                    session.cut()
                    return
            if not session.silent:
                session.server.write(kind + _sized(body))

    async def _pass_on_answers(self, session: _Session, reader: asyncio.StreamReader) -> None:
        held = b""
        refused = False
        while True:
            kind, body = await _message(reader)
            held += kind + _sized(body)
            refused = refused or kind == _ERROR
            if session.losing is None and not session.silent:
                session.client.write(held)
            elif kind != _READY:
                continue  # the reply is held back until its end
            elif session.losing is not None and not refused:
                # The server is ready for the next query, so this one's transaction is committed.
                self._swallow(session, session.losing)
            elif session.losing is not None:
                # Nothing would be lost with a refusal: another call has its turn.
                self._planned.insert(0, session.losing)
                session.losing = None
                session.client.write(held)
            held, refused = b"", False

    def _choose(self) -> Loss | None:
        self._calls += 1
        due = self._planned and self._calls % self._every == 0
        return self._planned.pop(0) if due else None

    def _swallow(self, session: _Session, loss: Loss) -> None:
        self.lost[loss] += 1
        session.losing, session.silent = None, True
        if loss is Loss.CUT:
            session.cut()


async def _until_end(session: _Session, passing_on: Coroutine[None, None, None]) -> None:
    """Pass on until one side ends, which is then the other's end too."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        await passing_on
    session.cut()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    return kind, (await _untyped_message(reader))[_LENGTH_BYTES:]


async def _untyped_message(reader: asyncio.StreamReader) -> bytes:
    """Read a length and what it counts, itself included: the form of a session's first message."""
    length = await reader.readexactly(_LENGTH_BYTES)
    return length + await reader.readexactly(int.from_bytes(length, "big") - _LENGTH_BYTES)


def _sized(body: bytes) -> bytes:
    return (len(body) + _LENGTH_BYTES).to_bytes(_LENGTH_BYTES, "big") + body
