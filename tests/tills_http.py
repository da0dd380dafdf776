"""Tills that speak to a redeem service over HTTP, signed as the contract wants it."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
from yarl import URL

from shared.request_signing import Message, sign
from tests.callers import Answer
from tests.tills import CATEGORY, Till

REDEMPTIONS = "/v1/redemptions"
_numbers = count(1)


def real_time_s() -> float:
    return time.time_ns() / 1e9


def fresh_no(prefix: str = "r") -> str:
    """Return a request number that no till has used."""
    return f"{prefix}-{next(_numbers)}"


def order(code: str, /, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a JSON body
    """Return the body of a redemption that nothing should stand in the way of."""
    return {
        "request_no": fresh_no(),
        "code": code,
        "order_no": "order-1",
        "order_amount_fen": 10_000,
        "category": CATEGORY,
        "capture": True,
        **changes,
    }


@dataclass(frozen=True, slots=True)
class TillCaller:
    """A terminal with its secret, at one service."""

    http: aiohttp.ClientSession
    till: Till
    secret: bytes

    @property
    def terminal_id(self) -> UUID:
        return self.till.terminal_id

    def signed(self, method: str, path: str, query: str = "", body: bytes = b"") -> dict[str, str]:
        """Return the headers of a request that is signed now."""
        message = Message(method, path.encode(), query.encode(), body=body)
        return sign(message, key_id=self.till.key_id, secret=self.secret, now_s=real_time_s())

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        data: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send bytes, signed unless the headers say otherwise."""
        named = {"Content-Type": "application/json"} if data else {}
        given = self.signed(method, path, query, data) if headers is None else headers
        base = str(self.http._base_url).rstrip("/")
        target = URL(f"{base}{path}{'?' if query else ''}{query}", encoded=True)
        async with self.http.request(
            method, target, data=data or None, headers={**named, **given}
        ) as response:
            raw = await response.read()
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, json.loads(raw) if raw else None)

    async def post(self, path: str, body: object) -> Answer:
        return await self.send("POST", path, data=json.dumps(body).encode())

    async def quote(
        self, code: str, *, order_fen: int = 10_000, category: str = CATEGORY
    ) -> Answer:
        body = {"code": code, "order_amount_fen": order_fen, "category": category}
        return await self.post("/v1/quotes", body)

    async def redeem(self, body: Mapping[str, Any]) -> Answer:
        return await self.post(REDEMPTIONS, body)

    async def capture(self, redemption_id: str, request_no: str | None = None) -> Answer:
        body = {"request_no": request_no or fresh_no("c")}
        return await self.post(f"{REDEMPTIONS}/{redemption_id}/capture", body)

    async def release(self, redemption_id: str, request_no: str | None = None) -> Answer:
        body = {"request_no": request_no or fresh_no("l")}
        return await self.post(f"{REDEMPTIONS}/{redemption_id}/release", body)

    async def reverse(self, original_no: str, request_no: str | None = None) -> Answer:
        body = {"request_no": request_no or fresh_no("x"), "original_request_no": original_no}
        return await self.post("/v1/reversals", body)

    async def send_and_hang_up(self, body: Mapping[str, Any], *, after_s: float) -> None:
        """Send a redemption and hang up so soon after it; 0 is in the middle of its body."""
        data = json.dumps(body).encode()
        address = urlsplit(str(self.http._base_url))
        lines = [
            f"POST {REDEMPTIONS} HTTP/1.1",
            f"Host: {address.netloc}",
            "Content-Type: application/json",
            f"Content-Length: {len(data)}",
            *(
                f"{name}: {value}"
                for name, value in self.signed("POST", REDEMPTIONS, "", data).items()
            ),
            *("", ""),
        ]
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write("\r\n".join(lines).encode() + (data if after_s else data[:-1]))
        await writer.drain()
        await asyncio.sleep(after_s)
        writer.transport.abort()

    async def read_back(self, request_no: str) -> Answer:
        return await self.send("GET", REDEMPTIONS, query=f"request_no={request_no}")
