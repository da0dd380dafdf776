"""The two counterparties, the bank and the operator of the digital-RMB wallet, and asking them."""

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import structlog

BANK = "bank"
ECNY_OPERATOR = "ecny-operator"
# What their numbers are made of: no database keeps a zero byte.
PRINTABLE = "^[ -~]*$"
VARIABLES = {BANK: "FAIRDROP_BANK_URL", ECNY_OPERATOR: "FAIRDROP_ECNY_URL"}

_log = structlog.get_logger()

_ANSWER_BYTES_MAX = 256 * 1024
_REASON_MAX = 400
_SHOWN_MAX = 500
# One that is silent so often in a row is left alone for a while, one that is not there at once.
_SILENT_IN_A_ROW = 8
_REST_S = 0.25
_REST_MAX_S = 8.0


def url_file(data_dir: Path, counterparty: str) -> Path:
    """Return where a simulator of this data dir tells its address."""
    return data_dir / "simulators" / f"{counterparty}.url"


def find_counterparty(counterparty: str, data_dir: Path, environ: Mapping[str, str]) -> str | None:
    """Return a counterparty's base URL, or None while there is none.

    A variable names the real one; without it, a simulator that runs on the same data dir is found
    by itself. Ask again for each use: a simulator comes and goes.
    """
    named = environ.get(VARIABLES[counterparty])
    if named:
        return named.rstrip("/")
    try:
        return url_file(data_dir, counterparty).read_text().strip().rstrip("/") or None
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `body` is None for one that is not JSON."""

    status: int
    body: Any


class Fate(StrEnum):
    """What a counterparty says of what it was instructed. Only the first two are certain."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    PROCESSING = "processing"
    NOT_ARRIVED = "not_arrived"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Word:
    """A counterparty's word; number and time come with `confirmed`, the reason with `rejected`."""

    fate: Fate
    txn_no: str | None = None
    completed_at: datetime | None = None
    reason: str | None = None

    @property
    def is_certain(self) -> bool:
        return self.fate in {Fate.CONFIRMED, Fate.REJECTED}


def rejected(reason: str | None) -> Word:
    """Return the word that refuses, its reason on one line and without what no database takes."""
    told = " ".join((reason or "no reason given").replace("\x00", " ").split())
    return Word(Fate.REJECTED, reason=told[:_REASON_MAX])


def word_of(reply: Reply | None, number: UUID, read: Callable[[Any], Word]) -> Word:
    """Return what a reply says of the instruction of this number.

    `read` takes the body of a good one, and raises ValueError where it proves nothing: then, as
    without any reply, the outcome is not known.
    """
    if reply is None:
        return Word(Fate.UNKNOWN)
    if reply.status == HTTPStatus.NOT_FOUND:
        return Word(Fate.NOT_ARRIVED)
    fault = f"HTTP {reply.status}"
    if reply.status == HTTPStatus.OK:
        try:
            return read(reply.body)
        except ValueError as misread:  # pydantic's are of this kind
            fault = str(misread)
    _log.error(
        "answer not understood",
        number=str(number),
        body=str(reply.body)[:_SHOWN_MAX],
        fault=fault[:_SHOWN_MAX],
    )
    return Word(Fate.UNKNOWN)


class Counterparty:
    """The way to one counterparty. Every wait is bounded, and nothing is sent twice by itself."""

    def __init__(
        self, name: str, data_dir: Path, environ: Mapping[str, str], http: aiohttp.ClientSession
    ) -> None:
        self._name = name
        self._data_dir = data_dir
        self._environ = environ
        self._http = http
        self._silent_in_a_row = 0
        self._rests = 0
        self._rests_until_s = 0.0

    @property
    def may_be_asked(self) -> bool:
        """Whether there is one, and it is not left alone for having given no answer."""
        return asyncio.get_running_loop().time() >= self._rests_until_s and self._url() is not None

    @property
    def is_doubtful(self) -> bool:
        """Whether it gave no answer when it was last asked."""
        return self._silent_in_a_row > 0

    async def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        media_type: str = "application/json",
        query: Mapping[str, str] | None = None,
    ) -> Reply | None:
        """Ask once. None means that nothing is known: it may have been done, or not."""
        url = self._url()
        if url is None:
            return None
        try:
            async with self._http.request(
                method,
                f"{url}{path}",
                data=None if content is None else io.BytesIO(content),
                params=query,
                headers={"Content-Type": media_type} if content is not None else None,
                allow_redirects=False,
            ) as response:
                body = await _read(response)
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            told = f"{type(fault).__name__}: {fault}"
            self._was_silent(told, at_once=isinstance(fault, aiohttp.ClientConnectorError))
            return None
        if body is None or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._was_silent(f"HTTP {response.status}", at_once=False)
            return None
        self._silent_in_a_row = 0
        self._rests = 0
        return Reply(response.status, _parsed(body))

    def _url(self) -> str | None:
        return find_counterparty(self._name, self._data_dir, self._environ)

    def _was_silent(self, fault: str, *, at_once: bool) -> None:
        self._silent_in_a_row += 1
        now_s = asyncio.get_running_loop().time()
        if now_s < self._rests_until_s or not (
            at_once or self._silent_in_a_row >= _SILENT_IN_A_ROW
        ):
            return
        rest_s = min(_REST_S * 2**self._rests, _REST_MAX_S) * random.uniform(0.75, 1.0)
        self._rests = min(self._rests + 1, 10)
        self._rests_until_s = now_s + rest_s
        _log.warning("counterparty away", counterparty=self._name, rest_s=rest_s, fault=fault)


@asynccontextmanager
async def reach(
    name: str,
    data_dir: Path,
    environ: Mapping[str, str],
    *,
    answers_within_s: float,
    connections_max: int,
) -> AsyncIterator[Counterparty]:
    """Open the way to a counterparty, whether there is one yet or not."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections_max),
        timeout=aiohttp.ClientTimeout(total=answers_within_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A few packed bytes could unpack to more than there is memory for.
        headers={"Accept-Encoding": "identity"},
        auto_decompress=False,
    ) as http:
        yield Counterparty(name, data_dir, environ, http)


async def _read(response: aiohttp.ClientResponse) -> bytes | None:
    """Return an answer's body, None for one of a size that no answer has."""
    parts: list[bytes] = []
    async for part in response.content.iter_chunked(64 * 1024):
        parts.append(part)
        if sum(map(len, parts)) > _ANSWER_BYTES_MAX:
            return None
    return b"".join(parts)


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - whatever they say
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
