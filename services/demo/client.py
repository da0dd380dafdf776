"""The residents' phones: claims over HTTP, each answer logged before anybody acts on it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, NamedTuple

import aiohttp

from services.demo.claim_log import NO_ANSWER, WON, WON_BEFORE, ClaimLog, Voucher, Yes
from services.demo.stack import DemoError

CONNECTIONS_MAX = 192
_ANSWER_TIMEOUT_S = 10.0
_READ_TRIES_MAX = 5
_READ_PAUSE_S = 0.3


class Answer(NamedTuple):
    """What a claim request was told. `is_final`: asking again can change nothing."""

    code: str
    is_final: bool
    retry_after_s: float | None = None


class ClaimClient:
    """One drop's claim endpoint, asked by many holders over a bounded number of connections."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        drop_id: str,
        tokens: Sequence[str],
        log: ClaimLog,
        *,
        opens_s: float,
    ) -> None:
        """`opens_s` is T-0 on the event loop's clock."""
        self._session = session
        self._drop_path = f"/v1/drops/{drop_id}"
        self._claims_path = f"{self._drop_path}/claims"
        self._tokens = tokens
        self._log = log
        self._opens_s = opens_s
        self._connections = asyncio.Semaphore(CONNECTIONS_MAX)
        self._loop = asyncio.get_running_loop()

    def now_s(self) -> float:
        """Return seconds after T-0."""
        return self._loop.time() - self._opens_s

    def _as(self, holder: int) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._tokens[holder]}"}

    async def claim(self, holder: int) -> Answer:
        """Ask once for a pack."""
        tapped_s = self.now_s()
        async with self._connections:
            sent_s = self.now_s()
            try:
                async with self._session.post(
                    self._claims_path, headers=self._as(holder)
                ) as response:
                    status = response.status
                    told: dict[str, Any] = await response.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError, ValueError):
                status, told = 0, {}
            answered_s = self.now_s()
        answer = self._read(holder, status, told)
        self._log.timed(answer.code, tapped_s=tapped_s, sent_s=sent_s, answered_s=answered_s)
        return answer

    def _read(self, holder: int, status: int, told: dict[str, Any]) -> Answer:
        if status in (HTTPStatus.CREATED, HTTPStatus.OK):
            first = self._log.told_yes(Yes(holder, told["claim_id"], told["serial"]))
            self._log.packs[holder] = tuple(_voucher(voucher) for voucher in told["vouchers"])
            return Answer(WON if first else WON_BEFORE, is_final=True)
        if not told:
            return Answer(NO_ANSWER, is_final=False)
        code = str(told.get("code", status))
        if told.get("retryable"):
            wait_ms = told.get("retry_after_ms")
            return Answer(code, False, None if wait_ms is None else wait_ms / 1000)
        self._log.noes.append((holder, code))
        return Answer(code, is_final=True)

    async def look(self) -> None:
        """Load the drop's page, as people do who wait; note what it says is left."""
        async with self._connections:
            try:
                async with self._session.get(self._drop_path) as response:
                    drop = await response.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError, ValueError):
                return
        self._log.page_views += 1
        remaining = drop.get("remaining")
        if isinstance(remaining, int):
            self._log.page_remaining = remaining

    async def read_back(self, holder: int, claim_id: str) -> int | None:
        """Return the serial under which this holder finds this claim; None when it is not there.

        Raises:
            DemoError: there was no answer to that, however often it was asked.
        """
        for tried in range(_READ_TRIES_MAX):
            await asyncio.sleep(tried * _READ_PAUSE_S)
            try:
                async with (
                    self._connections,
                    self._session.get(
                        f"/v1/claims/{claim_id}", headers=self._as(holder)
                    ) as response,
                ):
                    claim = await response.json(content_type=None)
            except (aiohttp.ClientError, TimeoutError, ValueError):
                continue
            if response.status == HTTPStatus.OK:
                return int(claim["serial"])
            if response.status == HTTPStatus.NOT_FOUND:
                return None
        raise DemoError(f"Claim {claim_id} could not be looked up in {_READ_TRIES_MAX} tries.")


def _voucher(told: dict[str, Any]) -> Voucher:
    return Voucher(told["voucher_id"], told["category"], told["face_fen"], told["min_spend_fen"])


@asynccontextmanager
async def phones(claim_url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the connections that the crowd shares."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=25)
    async with aiohttp.ClientSession(
        claim_url,
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT_S),
    ) as session:
        yield session
