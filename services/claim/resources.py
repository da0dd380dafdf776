"""What a claim process holds open, from start to drain."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from fastapi import FastAPI

from services.claim.admitting import Admitting
from services.claim.arrivals import Arrivals
from services.claim.claiming import Claiming
from services.claim.deciding import COMMAND_TIMEOUT_S, POOL_SIZE, READ_POOL_SIZE, Ledger
from services.claim.definitions import Definitions
from services.claim.holders import Identities
from services.claim.keeping_time import follow_offset
from services.claim.lane import DEADLINE_S
from services.claim.passes import Passes
from shared.auth.tokens import open_verifier
from shared.clock import Clock
from shared.db.calling import AWAY, open_pool
from shared.db.durability import assert_durable
from shared.errors import AppError, Unavailable
from shared.gate.gate import Gate, GateError, connect
from shared.secrets import Secrets
from shared.settings import Settings
from shared.tasks import TaskOwner
from shared.voucher_codes import VoucherCodes
from shared.voucher_ids import VoucherIds

_log = structlog.get_logger()

_UNAVAILABLE_RETRY_MS = (500, 2_000)
_CLOSE_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything the endpoint and the routes use.

    The claim path has a pool of its own inside `ledger`: a crowd that looks at its vouchers must
    not take the connections that give them.
    """

    reads: asyncpg.Pool
    gate: Gate
    ledger: Ledger
    clock: Clock
    definitions: Definitions
    claiming: Claiming
    admitting: Admitting
    identities: Identities
    passes: Passes
    voucher_ids: VoucherIds
    voucher_codes: VoucherCodes


def translate(fault: Exception) -> AppError | None:
    """Return what a client is told when Postgres or the gate is away, else None."""
    if isinstance(fault, (*AWAY, GateError)):
        return Unavailable(retry_after_ms=random.randint(*_UNAVAILABLE_RETRY_MS))
    return None


@asynccontextmanager
async def open_resources(app: FastAPI, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Open pool and gate, start the background tasks; drain and close them in reverse.

    Raises:
        NotDurableError: Postgres could forget an acknowledged claim.
    """
    settings = Settings.load(environ)
    secrets = Secrets.load(Path(settings.data_dir))
    pool = await open_pool(settings.postgres_url, size=POOL_SIZE, timeout_s=COMMAND_TIMEOUT_S)
    reads = await open_pool(settings.postgres_url, size=READ_POOL_SIZE, timeout_s=COMMAND_TIMEOUT_S)
    gate = Gate(connect(settings.redis_url))
    owner = TaskOwner()
    background = TaskOwner()
    try:
        async with pool.acquire() as connection:
            await assert_durable(connection)
        await _install(gate)
        ledger = Ledger(pool)
        clock = Clock()
        arrivals = Arrivals(reads)
        claiming = Claiming(gate=gate, ledger=ledger, clock=clock, arrivals=arrivals, owner=owner)
        identities = Identities(secrets)
        passes = Passes(secrets)
        app.state.verifier = await open_verifier(settings.data_dir, environ)
        app.state.resources = Resources(
            reads=reads,
            gate=gate,
            ledger=ledger,
            clock=clock,
            definitions=Definitions(reads),
            claiming=claiming,
            admitting=Admitting(verifier=app.state.verifier, identities=identities, signed=passes),
            identities=identities,
            passes=passes,
            voucher_ids=VoucherIds(secrets),
            voucher_codes=VoucherCodes(secrets),
        )
        await follow_offset(reads, clock, background)
        _start(background, arrivals.write_for_ever, name="arrivals")
        _start(background, claiming.keep_deadlines, name="deadlines")
        yield
        # Requests are over by now; what they left in flight ends before the pool does.
        await owner.close(grace_s=DEADLINE_S)
        await arrivals.write()
    finally:
        await background.close(grace_s=0)
        await gate.close()
        for opened in (reads, pool):
            await _close(opened)


async def _close(pool: asyncpg.Pool) -> None:
    try:
        await asyncio.wait_for(pool.close(), _CLOSE_TIMEOUT_S)
    except TimeoutError:
        _log.warning("Postgres did not answer at the end")  # the pool has dropped its connections


async def _install(gate: Gate) -> None:
    try:
        await gate.load_functions()
    except GateError as fault:
        # The first call installs them; a gate that is away costs time, not the start.
        _log.warning("gate away at start", fault=repr(fault))


def _start(owner: TaskOwner, work: Callable[[], Coroutine[Any, Any, None]], *, name: str) -> None:
    owner.spawn(work(), name=name)
