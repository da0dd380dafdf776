"""The redeem service under test, and programmes whose vouchers its tills redeem."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

import aiohttp
import asyncpg

from services.redeem.app import create, create_api
from services.redeem.resources import Resources
from shared.bookkeeping.invariants import check_books
from shared.secrets import Secrets
from shared.settings import Settings
from shared.terminal_keys import TerminalKeys
from shared.voucher_codes import STEP_S, VoucherCodes
from tests import builders, tills
from tests.builders import CITY_CODE, DropTerms, Programme
from tests.serving import environment_of, serving
from tests.tills_http import TillCaller, real_time_s

# In so many seconds a test is over that counts on the step of a code.
_STEADY_S = 8.0
_SEEN_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Stall:
    """A programme with one published drop, whose claims are there to be redeemed."""

    market: "Market"
    programme: Programme
    drop_id: UUID
    claims: Sequence[UUID]

    async def till(
        self, *, merchant_id: UUID | None = None, categories: Sequence[str] = (tills.CATEGORY,)
    ) -> TillCaller:
        """Enrol one more terminal, of a merchant of its own unless one is named."""
        enrolled = await tills.enrol_till(
            self.market.owner,
            self.programme.programme_id,
            merchant_id=merchant_id,
            categories=categories,
        )
        return self.market.caller(enrolled)

    def code(self, claim: int = 0, position: int = 0, *, steps: int = 0) -> str:
        """Return the code that a voucher shows, now or some steps of half a minute later."""
        now_s = real_time_s() + steps * STEP_S
        return self.market.codes.issue(self.claims[claim], position, now_s=now_s).code


@dataclass(frozen=True, slots=True)
class Market:
    """The running service with its books.

    `http` reaches what a redeem process serves, `documented` the framework's operations alone.
    """

    http: aiohttp.ClientSession
    documented: aiohttp.ClientSession
    resources: Resources
    owner: asyncpg.Connection
    secrets: Secrets

    @property
    def codes(self) -> VoucherCodes:
        return VoucherCodes(self.secrets)

    def caller(self, till: tills.Till) -> TillCaller:
        return TillCaller(self.http, till, TerminalKeys(self.secrets).secret(till.key_id))

    def documented_to(self, caller: TillCaller) -> TillCaller:
        """The same till at the framework's operations."""
        return replace(caller, http=self.documented)

    async def open(
        self, terms: DropTerms | None = None, *, claims: int = 1, city_code: str = CITY_CODE
    ) -> Stall:
        """Publish a drop of a programme in which the merchants absorb a part of each voucher."""
        programme = await builders.make_programme(
            self.owner,
            shares={"city": 6667, "shops": 3333},
            pool="shops",
            city_code=city_code,
        )
        terms = terms or DropTerms(quota=claims + 1)
        drop_id = await builders.make_drop(self.owner, programme, terms)
        await builders.publish(self.owner, drop_id)
        won = (await builders.issue(self.owner, drop_id, claims)).won
        return Stall(self, programme, drop_id, won)

    async def assert_books_are_sound(self) -> None:
        broken = {c.name: c.sample for c in await check_books(self.owner) if c.offenders}
        assert broken == {}


async def steady_step() -> None:
    """Wait until the step of the codes stays the same for some seconds."""
    left_s = STEP_S - real_time_s() % STEP_S
    if left_s < _STEADY_S:
        await asyncio.sleep(left_s)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds that happens by itself."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _SEEN_WITHIN_S
    while not await holds():
        assert loop.time() < until_s, "it never held"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def market_of(settings: Settings, owner: asyncpg.Connection) -> AsyncIterator[Market]:
    """Serve both forms of the service: the redeem endpoint ahead of the framework, and without."""
    environ = environment_of(settings)
    served = create(environ)
    async with (
        serving(served) as url,
        serving(create_api(environ)) as documented_url,
        aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as http,
        aiohttp.ClientSession(documented_url) as documented,
    ):
        yield Market(
            http=http,
            documented=documented,
            resources=served._app.state.resources,
            owner=owner,
            secrets=Secrets.load(settings.data_dir),
        )
