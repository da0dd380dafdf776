"""The claim service under test, and the residents who call it."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from uuid import UUID

import aiohttp
import asyncpg
from redis.asyncio import Redis

from services.claim.app import create, create_api
from services.claim.resources import Resources
from shared.auth.development_keys import DevelopmentIssuer
from shared.gate.gate import Gate
from shared.gate.statement import READ_STATEMENT, Statement
from shared.ids import city_of
from shared.settings import Settings
from tests import builders
from tests.builders import DropTerms
from tests.callers import Answer, Caller
from tests.serving import environment_of, serving

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Office:
    """The running service with its books and its gate.

    `http` reaches what a claim process serves, `documented` the framework's operations alone.
    """

    http: aiohttp.ClientSession
    documented: aiohttp.ClientSession
    resources: Resources
    issuer: DevelopmentIssuer
    owner: asyncpg.Connection
    redis: Redis

    @property
    def gate(self) -> Gate:
        return Gate(self.redis)

    def resident(self, subject: str | None = None) -> Caller:
        """Somebody nobody has seen before, unless they are named."""
        subject = subject or f"resident-{next(_numbers)}"
        return Caller(self.http, self.issuer.issue(subject, ["resident"]))

    def staff(self) -> Caller:
        return Caller(self.http, self.issuer.issue("operator-1", ["operator"], cities=["*"]))

    def bearer(self, token: str | None) -> Caller:
        return Caller(self.http, token)

    def documented_to(self, caller: Caller) -> Caller:
        """The same caller at the framework's operations."""
        return replace(caller, http=self.documented)

    async def open_drop(self, terms: DropTerms | None = None, *, admission: str = "open") -> str:
        """Publish a drop of a programme of its own, and load its gate as the campaign would."""
        programme = await builders.make_programme(self.owner)
        drop_id = await builders.make_drop(self.owner, programme, terms)
        await self.owner.execute(
            "UPDATE campaign.drops SET admission = $2 WHERE drop_id = $1", drop_id, admission
        )
        await builders.publish(self.owner, drop_id)
        await self.load_gate(drop_id)
        return str(drop_id)

    async def load_gate(self, drop_id: UUID) -> Statement:
        row = await self.owner.fetchrow(READ_STATEMENT, city_of(drop_id), drop_id)
        assert row is not None
        statement = Statement.of_row(dict(row))
        await self.gate.take(drop_id, statement)
        return statement

    async def change(self, drop_id: str, change: str, quota: int | None = None) -> None:
        """Change a drop as the campaign service does, hand-over included."""
        outcome = await builders.change_drop(self.owner, UUID(drop_id), change, quota)
        assert outcome == "done", outcome
        await self.load_gate(UUID(drop_id))

    async def issued_of(self, drop_id: str) -> int:
        """Count the live claims of a drop."""
        counted: int = await self.owner.fetchval(
            "SELECT count(*) FROM claim.claims WHERE drop_id = $1 AND state = 'live'", drop_id
        )
        return counted


@dataclass(frozen=True, slots=True)
class ClaimAnswer(Answer):
    """An answer with the bytes it came in."""

    raw: bytes


async def claim(
    caller: Caller,
    drop_id: str,
    *,
    data: bytes | None = None,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> ClaimAnswer:
    """Ask for a pack; a body is JSON unless the headers say otherwise."""
    sent = {"Authorization": f"Bearer {caller.token}"} if caller.token else {}
    if data is not None:
        sent["Content-Type"] = "application/json"
    if key is not None:
        sent["Idempotency-Key"] = key
    path = f"/v1/drops/{drop_id}/claims"
    async with caller.http.post(path, data=data, headers={**sent, **(headers or {})}) as answer:
        raw = await answer.read()
        names = {name.lower(): value for name, value in answer.headers.items()}
        return ClaimAnswer(answer.status, names, json.loads(raw), raw)


@asynccontextmanager
async def office_of(
    settings: Settings, owner: asyncpg.Connection, redis: Redis
) -> AsyncIterator[Office]:
    """Serve both forms of the service: the claim endpoint ahead of the framework, and without."""
    environ = environment_of(settings)
    served = create(environ)
    async with (
        serving(served) as url,
        serving(create_api(environ)) as documented_url,
        aiohttp.ClientSession(url) as http,
        aiohttp.ClientSession(documented_url) as documented,
    ):
        yield Office(
            http=http,
            documented=documented,
            resources=served._app.state.resources,
            issuer=DevelopmentIssuer(settings.data_dir),
            owner=owner,
            redis=redis,
        )
