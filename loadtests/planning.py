"""Programmes and drops for a load test, made as an operator makes them: over HTTP."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import aiohttp

from loadtests.deployment import Deployment
from loadtests.faults import LoadTestError
from shared.auth.development_keys import DevelopmentIssuer
from shared.clock import rfc3339
from shared.ids import city_of

CITY_CODE = "330100"
_CITY_FEN, _PLATFORM_FEN = 7_500_000_000_000, 2_500_000_000_000
_OPEN_FOR = timedelta(days=1)
_TIMEOUT_S = 30.0
_CATEGORY = "general"
_TERMINALS_OF_A_MERCHANT = 4
PACK_VOUCHERS = 5
# The pack of Hangzhou's fifth round in 2020: five vouchers of 10 yuan off 40.
_PACK = [
    {
        "kind_id": "general-40-10",
        "name": "10 off 40",
        "category": _CATEGORY,
        "face_fen": 1000,
        "min_spend_fen": 4000,
        "count": PACK_VOUCHERS,
        "valid_days": 7,
        "refund_policy": "restore",
    }
]


@dataclass(frozen=True, slots=True)
class Drop:
    """A published drop."""

    drop_id: UUID
    quota: int
    closes_at: datetime

    @property
    def city_id(self) -> int:
        return city_of(self.drop_id)


class Planner:
    """An operator with a funded programme, who publishes drops of it and enrols merchants in it."""

    def __init__(self, deployment: Deployment) -> None:
        self._url = deployment.urls["campaign"]
        issuer = DevelopmentIssuer(deployment.data.path)
        self._tokens = {
            role: issuer.issue(f"load-{role}", [role], cities=["*"])
            for role in ("operator", "approver")
        }
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        self._programme_id = ""

    async def __aenter__(self) -> Self:
        shares = {"city": (7500, _CITY_FEN), "platform": (2500, _PLATFORM_FEN)}
        funders = [
            {"funder_id": name, "name": name, "kind": "government", "mode": "cash", "share_bp": bp}
            for name, (bp, _) in shares.items()
        ]
        made = await self._post(
            "/v1/programmes", {"name": "Load", "city_code": CITY_CODE, "funders": funders}
        )
        self._programme_id = made["programme_id"]
        for name, (_, amount_fen) in shares.items():
            await self._post(
                f"/v1/programmes/{self._programme_id}/funding",
                {"funder_id": name, "amount_fen": amount_fen, "reference": "load"},
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def publish(self, name: str, *, quota: int, opens_at: datetime) -> Drop:
        """Publish a drop of one pack per holder. Raises LoadTestError when it is refused."""
        closes_at = opens_at + _OPEN_FOR
        terms = {
            "programme_id": self._programme_id,
            "name": name,
            "mode": "grab",
            "admission": "open",
            "opens_at": rfc3339(opens_at),
            "closes_at": rfc3339(closes_at),
            "quota": quota,
            "limit_per_holder": 1,
            "pack": _PACK,
            "rail": "bank",
        }
        drop_id = (await self._post("/v1/drops", terms))["drop_id"]
        await self._post(f"/v1/drops/{drop_id}/publish", None)
        return Drop(UUID(drop_id), quota, closes_at)

    async def enrol_terminals(self, count: int) -> list[tuple[str, str]]:
        """Return key id and secret of terminals of approved merchants of the programme."""
        keys = []
        merchant = ""
        for number in range(count):
            if number % _TERMINALS_OF_A_MERCHANT == 0:
                terms = {
                    "name": f"Shop {number // _TERMINALS_OF_A_MERCHANT}",
                    "city_code": CITY_CODE,
                    "categories": [_CATEGORY],
                    "programmes": [self._programme_id],
                }
                merchant = (
                    "/v1/merchants/" + (await self._post("/v1/merchants", terms))["merchant_id"]
                )
                await self._post(f"{merchant}/approve", None, role="approver")
            issued = await self._post(f"{merchant}/terminals", {})
            keys.append((issued["key_id"], issued["secret"]))
        return keys

    async def _post(
        self, path: str, body: dict[str, Any] | None, *, role: str = "operator"
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._tokens[role]}"}
        async with self._http.post(self._url + path, json=body, headers=headers) as answer:
            text = await answer.text()
            if not answer.ok:
                raise LoadTestError(f"POST {path} was answered {answer.status}: {text}")
            return dict(await answer.json())
