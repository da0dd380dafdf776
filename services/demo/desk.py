"""A member of staff at a desk: JSON over HTTP with a token, and refusals said in one sentence."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import aiohttp

_REQUEST_TIMEOUT_S = 60
_TRIES_MAX = 5
_RETRY_S = 0.5
_PAGE = 500
_PAGES_MAX = 2_000


class DeskError(Exception):
    """A service refused, or did not answer; the message says what was asked and why not.

    `code` is the problem's own, None without an answer.
    """

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class Desk:
    """One person's requests to one service."""

    def __init__(self, session: aiohttp.ClientSession, token: str | None = None) -> None:
        self._session = session
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, **params: str | int) -> Any:  # noqa: ANN401 - JSON of any kind
        """Return what is told. Raises DeskError."""
        return await self._ask("GET", path, params=params)

    async def post(
        self, path: str, body: object = None, *, params: Mapping[str, str] | None = None
    ) -> Any:  # noqa: ANN401 - JSON of any kind
        """Have something done. Raises DeskError."""
        return await self._ask("POST", path, params=params, json=body)

    async def upload(self, path: str, content: bytes, *, media_type: str, **params: str) -> Any:  # noqa: ANN401 - JSON of any kind
        """Hand a file in. Raises DeskError."""
        headers = {"Content-Type": media_type}
        return await self._ask("POST", path, params=params, data=content, headers=headers)

    async def fetch(self, path: str, **params: str) -> bytes:
        """Return a file. Raises DeskError."""
        content: bytes = await self._ask("GET", path, params=params, raw=True)
        return content

    async def list(self, path: str, **params: str | int) -> list[Any]:
        """Return every item of a list, page by page. Raises DeskError."""
        items: list[Any] = []
        cursor: dict[str, str | int] = {}
        for _ in range(_PAGES_MAX):
            page = await self.get(path, limit=_PAGE, **params, **cursor)
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            cursor = {"cursor": page["next_cursor"]}
        raise DeskError(f"GET {path} has more than {_PAGES_MAX * _PAGE} items.")

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        raw: bool = False,
        **request: Any,  # noqa: ANN401 - as aiohttp takes it
    ) -> Any:  # noqa: ANN401 - JSON of any kind
        # One key for every try, so that what was done once is not done again.
        key = {} if method == "GET" else {"Idempotency-Key": str(uuid4())}
        headers = {**self._headers, **key, **request.pop("headers", {})}
        for tried in range(_TRIES_MAX):
            await asyncio.sleep(tried * _RETRY_S)
            try:
                async with self._session.request(
                    method, path, headers=headers, **request
                ) as answer:
                    status, content = answer.status, await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise DeskError(f"{method} {path} got no answer: {error!r}") from error
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                break
        if status < HTTPStatus.BAD_REQUEST:
            return content if raw else json.loads(content)
        raise _refusal(f"{method} {path}", status, content)


def _refusal(what: str, status: int, content: bytes) -> DeskError:
    try:
        told = dict(json.loads(content))
    except ValueError:
        told = {}
    said = f"{what} was refused, {status} {told.get('code')}: {told.get('detail')}"
    if fields := told.get("fields"):
        said += f" {fields}"
    if told.get("code") == "unauthenticated":
        said += " Development tokens are refused by a deployment with FAIRDROP_JWKS."
    return DeskError(said, told.get("code"))


@asynccontextmanager
async def desk_at(url: str, token: str | None = None) -> AsyncIterator[Desk]:
    """Open a desk of its own connections."""
    timeout = aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(url, timeout=timeout) as session:
        yield Desk(session, token)
