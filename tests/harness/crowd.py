"""Residents who ask for a pack from several connections at once, and ask until they are told."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.harness.books import assert_books_are_sound, read_drop
from tests.harness.city import Drop
from tests.harness.history import Call, History, LedgerDrop, assert_sound
from tests.harness.stack import Stack

SOCKETS_DEFAULT = 96
PATIENCE_S = 30.0
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=12, connect=10)
_BROKEN_PAUSE_S = (0.02, 0.1)
_POLL_S = 0.002


def residents(number: int, prefix: str = "resident") -> list[str]:
    """Name residents; use a prefix of its own where the tests share a stack and a drop."""
    return [f"{prefix}-{n:05d}" for n in range(number)]


class Crowd:
    """HTTP clients of one stack. `pace` scales the server's Retry-After down."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession, *, sockets: int) -> None:
        self.stack = stack
        self.url = stack.urls["claim"]
        self._http = http
        self._sockets = asyncio.Semaphore(sockets)
        self._tokens: dict[str, str] = {}

    def token(self, holder: str) -> str:
        if holder not in self._tokens:
            self._tokens[holder] = self.stack.issuer.issue(holder, ["resident"])
        return self._tokens[holder]

    def rush(self, drop: Drop, holders: Iterable[str], **manner: Any) -> "Rush":  # noqa: ANN401
        """Send residents off; see `Rush` for how they behave."""
        return Rush(self, drop, list(holders), **manner)

    async def claim(self, drop: Drop, holder: str, key: str, history: History) -> tuple[Call, int]:
        """Ask once; return the call, which is in the history, and its retry_after_ms (0: none)."""
        headers = {"Authorization": f"Bearer {self.token(holder)}"}
        if key:
            headers["Idempotency-Key"] = key
        async with self._sockets:
            history.asked.add((holder, key))
            history.in_flight += 1
            started = datetime.now(UTC)
            status, body = None, b""
            try:
                async with self._http.post(
                    f"{self.url}/v1/drops/{drop.drop_id}/claims", headers=headers
                ) as answer:
                    body = await answer.read()
                    status = answer.status
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            finally:
                history.in_flight -= 1
        call, retry_after_ms = _read(holder, key, started, status, body)
        history.add(call)
        return call, retry_after_ms

    async def read_claim(self, holder: str, claim_id: str) -> tuple[int, Any]:
        """Read a claim back as its holder."""
        headers = {"Authorization": f"Bearer {self.token(holder)}"}
        async with (
            self._sockets,
            self._http.get(f"{self.url}/v1/claims/{claim_id}", headers=headers) as answer,
        ):
            return answer.status, await answer.json(content_type=None)


@asynccontextmanager
async def crowd_of(stack: Stack, *, sockets: int = SOCKETS_DEFAULT) -> AsyncIterator[Crowd]:
    """Open the connections of a crowd, as many at once as `sockets`."""
    connector = aiohttp.TCPConnector(limit=sockets)
    async with aiohttp.ClientSession(connector=connector, timeout=_REQUEST_TIMEOUT) as http:
        yield Crowd(stack, http, sockets=sockets)


class Rush:
    """Holders who claim, each of `keys` on `connections` at once, until each has a final answer.

    They stop without one after `patience_s`; the checker then says who. `arrive_within_s` spreads
    their arrivals, `pace` scales the Retry-After that they are told.
    """

    def __init__(  # noqa: PLR0913 - how a crowd behaves has that many sides
        self,
        crowd: Crowd,
        drop: Drop,
        holders: Sequence[str],
        *,
        keys: Sequence[str] = ("",),
        connections: int = 1,
        arrive_within_s: float = 0.0,
        pace: float = 0.2,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.crowd = crowd
        self.drop = drop
        self.holders = holders
        self.history = History()
        self._pace = pace
        loop = asyncio.get_running_loop()
        self._give_up_s = loop.time() + patience_s
        for holder in holders:
            crowd.token(holder)
        self._tasks = [
            loop.create_task(self._insist(holder, key, arrival_s))
            for holder, arrival_s in zip(
                holders, _arrivals(len(holders), arrive_within_s), strict=True
            )
            for key in keys
            for _ in range(connections)
        ]
        self.history.asked.update((holder, key) for holder in holders for key in keys)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.cancel()

    @property
    def wins(self) -> int:
        return len(self.history.winners)

    @property
    def over(self) -> bool:
        return all(task.done() for task in self._tasks)

    async def until(self, wins: int) -> None:
        """Return when so many were won; fail when the crowd is through before."""
        await self.until_true(lambda: self.wins >= wins, f"{wins} wins")

    async def until_true(self, holds: Callable[[], bool], what: str) -> None:
        """Return when something holds; fail when the crowd is through before."""
        while not holds():
            assert not self.over, f"{what}: the crowd is through, {dict(self.history.told())}"
            await asyncio.sleep(_POLL_S)

    async def in_full_flight(self, calls: int = 4) -> None:
        """Return at a moment with so many unanswered calls: the time for a fault to strike."""
        await self.until_true(lambda: self.history.in_flight >= calls, f"{calls} calls in flight")

    def assert_struck(self, moment: datetime) -> None:
        """Check of an ended rush that calls were in flight at a moment, and more came later."""
        calls = self.history.calls
        later = sum(call.started > moment for call in calls)
        hit = len(self.history.in_flight_at(moment))
        assert hit, f"nothing was in flight at {moment}, {later} of {len(calls)} calls came later"
        assert later, f"no call came after {moment}"

    async def ended(self) -> History:
        """Wait until everybody has a final answer or ran out of patience."""
        await asyncio.gather(*self._tasks)
        return self.history

    async def cancel(self) -> None:
        """Send everybody home; what was asked and not answered stays unknown."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _insist(self, holder: str, key: str, arrival_s: float) -> None:
        loop = asyncio.get_running_loop()
        if arrival_s:
            await asyncio.sleep(arrival_s)
        while loop.time() < self._give_up_s:
            call, retry_after_ms = await self.crowd.claim(self.drop, holder, key, self.history)
            if call.final or not call.expected:
                return
            pause_s = retry_after_ms / 1000 * self._pace
            await asyncio.sleep(pause_s or random.uniform(*_BROKEN_PAUSE_S))


async def assert_everything_holds(
    rush: Rush, *, sold_out: bool = True, read_back: bool = True
) -> LedgerDrop:
    """Judge an ended rush: the history, the stock, every win read back, the books.

    `sold_out` says that there were more holders than packs, so nothing may be left.
    """
    stack = rush.crowd.stack
    ledger = await read_drop(stack, rush.drop, rush.holders)
    assert_sound(rush.history, ledger)
    if sold_out:
        assert ledger.live == ledger.quota, (
            f"{ledger.quota - ledger.live} packs stranded: {dict(rush.history.told())}"
        )
    if read_back:
        await assert_wins_are_readable(rush, ledger)
    await assert_books_are_sound(stack)
    return ledger


async def assert_wins_are_readable(rush: Rush, ledger: LedgerDrop) -> None:
    """Check that every winner reads the claim, and is told it again byte by byte when asking.

    Claims that were given back are left out.
    """

    async def read(win: Call) -> str | None:
        status, shown = await rush.crowd.read_claim(win.holder, win.claim_id or "")
        if (status, shown) != (200, json.loads(win.body)):
            return f"{win}: read back {status} {shown}"
        again, _ = await rush.crowd.claim(rush.drop, win.holder, win.key, History())
        if (again.status, again.body) != (200, win.body):
            return f"{win}: asked again {again.status} {again.body!r}"
        return None

    live = {claim.claim_id for claim in ledger.claims if claim.live}
    wins = {win.claim_id: win for win in rush.history.wins if win.claim_id in live}
    found = await asyncio.gather(*(read(win) for win in wins.values()))
    lost = [fault for fault in found if fault is not None]
    assert not lost, f"{len(lost)} wins are not what they were, as {lost[:3]}"


def _arrivals(number: int, within_s: float) -> list[float]:
    return [random.uniform(0, within_s) if within_s else 0.0 for _ in range(number)]


def _read(
    holder: str, key: str, started: datetime, status: int | None, body: bytes
) -> tuple[Call, int]:
    ended = datetime.now(UTC)
    try:
        shown: dict[str, Any] = json.loads(body) if body else {}
    except ValueError:
        shown = {}
    if status in {200, 201}:
        call = Call(
            holder, key, started, ended, status, None, shown["claim_id"], shown["serial"], body
        )
    else:
        call = Call(holder, key, started, ended, status, shown.get("code"), body=body)
    return call, int(shown.get("retry_after_ms", 0))
