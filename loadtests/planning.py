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
# The pack of Hangzhou's fifth round in 2020: five vouchers of 10 yuan off 40.
_PACK = [
    {
        "kind_id": "general-40-10",
        "name": "10 off 40",
        "category": "general",
        "face_fen": 1000,
        "min_spend_fen": 4000,
        "count": 5,
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
    """An operator with a funded programme, who publishes drops of it."""

    def __init__(self, deployment: Deployment) -> None:
        self._url = deployment.urls["campaign"]
        token = DevelopmentIssuer(deployment.data.path).issue(
            "load-operator", ["operator"], cities=["*"]
        )
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        )
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

    async def _post(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        async with self._http.post(self._url + path, json=body) as answer:
            text = await answer.text()
            if not answer.ok:
                raise LoadTestError(f"POST {path} was answered {answer.status}: {text}")
            return dict(await answer.json())
