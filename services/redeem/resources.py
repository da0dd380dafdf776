"""What a redeem process holds open, from start to drain."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
from fastapi import FastAPI

from services.redeem.authenticating import Tills
from services.redeem.confirming import Confirming
from services.redeem.deciding import Ledger
from services.redeem.housekeeping import Behind, Housekeeping
from services.redeem.instructing import instructing
from services.redeem.lane import DEADLINE_S
from services.redeem.quoting import Quotes
from services.redeem.redeeming import Redeeming
from shared.db.calling import AWAY, Calls
from shared.db.durability import assert_durable
from shared.errors import AppError, Unavailable
from shared.secrets import Secrets
from shared.settings import Settings
from shared.tasks import TaskOwner
from shared.terminal_keys import TerminalKeys
from shared.voucher_codes import VoucherCodes
from shared.voucher_ids import VoucherIds

_log = structlog.get_logger()

# A request is a few hundred bytes; the longest names and a quote make it a few thousand.
BODY_BYTES_MAX = 16 * 1024
_UNAVAILABLE_RETRY_MS = (500, 2_000)
_CLOSE_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class _Pool:
    """Connections for one purpose, under the name by which Postgres lists them."""

    name: str
    size: int
    timeout_s: float
    settings: Mapping[str, str]


# The server's own bounds (the role's 1.5 s for a lock, 5 s for a statement) end a call that waits;
# the time-out ends one whose server does not answer at all, early enough to be made once more.
_BATCHES = _Pool("redeem batches", size=8, timeout_s=2.0, settings={})
_REQUESTS = _Pool("redeem requests", size=8, timeout_s=2.0, settings={})
# An expiry counts the claims of a whole drop, and may wait for the tills that are at it.
_HOUSEKEEPING = _Pool(
    "redeem housekeeping",
    size=2,
    timeout_s=65.0,
    settings={"statement_timeout": "60s", "lock_timeout": "10s"},
)


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything the endpoint and the routes use.

    Batches of redemptions have a pool of their own: tills that ask for quotes or read back must
    not take the connections that redeem.
    """

    direct: Calls
    tills: Tills
    redeeming: Redeeming
    confirming: Confirming
    codes: VoucherCodes
    quotes: Quotes
    voucher_ids: VoucherIds


def translate(fault: Exception) -> AppError | None:
    """Return what a till is told when Postgres is away, else None."""
    if isinstance(fault, AWAY):
        return Unavailable(retry_after_ms=random.randint(*_UNAVAILABLE_RETRY_MS))
    return None


@asynccontextmanager
async def open_resources(app: FastAPI, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Open the pools, start the background tasks; drain and close in reverse.

    Raises:
        NotDurableError: Postgres could forget an acknowledged redemption.
    """
    settings = Settings.load(environ)
    secrets = Secrets.load(Path(settings.data_dir))
    async with AsyncExitStack() as opened:
        hot, direct, keeping = [
            await _open(opened, settings.postgres_url, pool)
            for pool in (_BATCHES, _REQUESTS, _HOUSEKEEPING)
        ]
        await assert_durable(direct)
        background = TaskOwner()
        opened.push_async_callback(background.close, grace_s=0)
        instructs = await opened.enter_async_context(instructing(settings, environ))
        owner = TaskOwner()
        # Requests are over by then; what they left in flight ends before the pools do.
        opened.push_async_callback(owner.close, grace_s=DEADLINE_S)
        confirming = Confirming(direct, instructs)
        codes, quotes = VoucherCodes(secrets), Quotes(secrets)
        app.state.resources = Resources(
            direct=direct,
            tills=Tills(TerminalKeys(secrets), direct),
            redeeming=Redeeming(
                Ledger(hot), codes=codes, quotes=quotes, confirming=confirming, owner=owner
            ),
            confirming=confirming,
            codes=codes,
            quotes=quotes,
            voucher_ids=VoucherIds(secrets),
        )
        Housekeeping(keeping, Behind(app.state.metrics.registry)).start(background)
        yield


async def _open(opened: AsyncExitStack, url: str, pool: _Pool) -> Calls:
    calls = await Calls.open(
        url, size=pool.size, timeout_s=pool.timeout_s, name=pool.name, settings=pool.settings
    )
    opened.push_async_callback(_close, calls)
    return calls


async def _close(calls: Calls) -> None:
    try:
        await calls.close(grace_s=_CLOSE_TIMEOUT_S)
    except TimeoutError:
        _log.warning("Postgres did not answer at the end")
