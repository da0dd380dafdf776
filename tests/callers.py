"""Who calls a service over HTTP in a test, and what they are answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import aiohttp

PROBLEM_MEMBERS = {"type", "title", "status", "detail", "code", "retryable", "request_id"}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any

    def assert_problem(self, status: int, code: str) -> dict[str, Any]:
        """Check that this is a whole problem of the contract and return it."""
        assert (self.status, self.body.get("code")) == (status, code), self.body
        assert self.headers["content-type"] == "application/problem+json"
        assert self.body.keys() >= PROBLEM_MEMBERS
        assert self.body["request_id"] == self.headers["x-request-id"]
        problem: dict[str, Any] = self.body
        return problem


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody with a token, or without one."""

    http: aiohttp.ClientSession
    token: str | None

    async def send(
        self,
        method: str,
        path: str,
        *,
        data: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.http.request(
            method, path, data=data, headers={**sent, **(headers or {})}
        ) as response:
            body = await response.read()
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, json.loads(body) if body else None)

    async def get(self, path: str) -> Answer:
        return await self.send("GET", path)

    async def post(self, path: str, body: object = None, *, key: str | None = None) -> Answer:
        return await self.send_json("POST", path, body, key=key)

    async def patch(self, path: str, body: object) -> Answer:
        return await self.send_json("PATCH", path, body)

    async def send_json(
        self, method: str, path: str, body: object, *, key: str | None = None
    ) -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        if body is None:
            return await self.send(method, path, headers=headers)
        headers["Content-Type"] = "application/json"
        return await self.send(method, path, data=json.dumps(body).encode(), headers=headers)
