"""The operator's side: programmes and drops through the campaign service's API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import aiohttp

from shared.clock import rfc3339
from shared.ids import city_of
from tests.harness.stack import Stack

CITY_CODE = "330100"
PACK_FEN = 2 * 1001 + 500
_TIMEOUT = aiohttp.ClientTimeout(total=15)


@dataclass(frozen=True, slots=True)
class Drop:
    """A published drop."""

    drop_id: str
    quota: int
    limit: int

    @property
    def key(self) -> UUID:
        return UUID(self.drop_id)

    @property
    def city_id(self) -> int:
        return city_of(self.key)


class City:
    """One operator of one city. Every call asserts the answer that the test counts on."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._url = stack.urls["campaign"]
        self._http = http
        token = stack.issuer.issue("operator-1", ["operator"], cities=["*"])
        self._headers = {"Authorization": f"Bearer {token}"}
        self._number = count(1)

    async def open_drop(
        self,
        *,
        quota: int,
        limit: int = 1,
        reclaim: bool = False,
        closes_in: timedelta = timedelta(hours=1),
        spare_packs: int = 0,
    ) -> Drop:
        """Make a programme that pays for `quota` + `spare_packs`, and publish a drop of it.

        Two funders share a face that they cannot split evenly, so that a wrong rounding shows.
        """
        programme = await self._create("/v1/programmes", _programme(next(self._number)))
        for funder_id in ("city", "platform"):
            await self._create(
                f"/v1/programmes/{programme['programme_id']}/funding",
                {
                    "funder_id": funder_id,
                    "amount_fen": (quota + spare_packs) * PACK_FEN,
                    "reference": "receipt",
                },
            )
        now = datetime.now(UTC)
        terms = {
            "programme_id": programme["programme_id"],
            "name": "Friday evening",
            "mode": "grab",
            "admission": "open",
            "opens_at": rfc3339(now - timedelta(minutes=1)),
            "closes_at": rfc3339(now + closes_in),
            "quota": quota,
            "limit_per_holder": limit,
            "reclaim_after_release": reclaim,
            "pack": [_kind("meal", 1001, 2), _kind("book", 500, 1)],
            "rail": "bank",
        }
        drafted = await self._create("/v1/drops", terms)
        drop = Drop(str(drafted["drop_id"]), quota, limit)
        await self.change(drop, "publish")
        return drop

    async def change(self, drop: Drop, what: str) -> dict[str, Any]:
        """Publish, pause, resume or close a drop; return the answer, which must be 200."""
        return await self._send("POST", f"/v1/drops/{drop.drop_id}/{what}", None, 200)

    async def set_quota(self, drop: Drop, quota: int) -> dict[str, Any]:
        status, shown = await self.try_quota(drop, quota)
        assert status == 200, shown
        return shown

    async def try_quota(self, drop: Drop, quota: int) -> tuple[int, dict[str, Any]]:
        """Ask for another quota, which may be refused; return status and answer."""
        return await self._ask("PATCH", f"/v1/drops/{drop.drop_id}", {"quota": quota})

    async def show(self, drop: Drop) -> dict[str, Any]:
        return await self._send("GET", f"/v1/drops/{drop.drop_id}", None, 200)

    async def _create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._send("POST", path, body, 201)

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, status: int
    ) -> dict[str, Any]:
        answered, shown = await self._ask(method, path, body)
        assert answered == status, f"{method} {path}: {answered} {shown}"
        return shown

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        async with self._http.request(
            method, self._url + path, json=body, headers=self._headers, timeout=_TIMEOUT
        ) as answer:
            return answer.status, await answer.json(content_type=None)


def _programme(number: int) -> dict[str, Any]:
    return {
        "name": f"Autumn {number}",
        "city_code": CITY_CODE,
        "funders": [_funder("city", 6667), _funder("platform", 3333)],
    }


def _funder(funder_id: str, share_bp: int) -> dict[str, Any]:
    return {
        "funder_id": funder_id,
        "name": funder_id,
        "kind": "government",
        "share_bp": share_bp,
        "mode": "cash",
    }


def _kind(kind_id: str, face_fen: int, pieces: int) -> dict[str, Any]:
    return {
        "kind_id": kind_id,
        "name": kind_id,
        "category": "catering",
        "face_fen": face_fen,
        "min_spend_fen": 4000,
        "count": pieces,
        "valid_days": 7,
        "refund_policy": "restore",
    }
