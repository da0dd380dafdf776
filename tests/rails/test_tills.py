"""What a till is told, over HTTP, while the money moves at the operator."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from services.redeem import instructing as worker
from shared.db.urls import service_url
from shared.embedded.servers import EmbeddedServers
from shared.settings import Settings
from tests.builders import DropTerms, Kind
from tests.databases import SECRETS
from tests.redeem.market import Market, Stall, eventually, market_of
from tests.simulating.running import SimulatorProcess
from tests.tills_http import TillCaller, order

FACE_FEN, CASH_FEN = 1001, 667
ANSWERS_WITHIN_S = 0.4


@pytest_asyncio.fixture
async def market(
    servers: EmbeddedServers,
    books: asyncpg.Connection,
    database_url: str,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Market]:
    """The redeem service, which finds the operator by itself."""
    monkeypatch.setattr(worker, "ANSWERS_WITHIN_S", ANSWERS_WITHIN_S)
    url = service_url(database_url, "redeem", SECRETS)
    async with market_of(Settings(url, servers.redis_url, data_dir), books) as market:
        yield market


@pytest_asyncio.fixture
async def stall(market: Market, operator: SimulatorProcess) -> Stall:
    """Vouchers on the e-CNY rail, whose money lies in the wallet."""
    terms = DropTerms(quota=4, pack=(Kind("meal", FACE_FEN, 1),), rail="ecny")
    stall = await market.open(terms, claims=4)
    move = await market.owner.fetchrow("SELECT * FROM ledger.custody_moves")
    assert move is not None
    await operator.post(
        f"/v1/wallets/{stall.programme.programme_id}/transfers",
        {"reference": str(move["move_id"]), "direction": "in", "amount_fen": move["amount_fen"]},
    )
    return stall


async def _held_fen(operator: SimulatorProcess, stall: Stall) -> int:
    wallet = await operator.get(f"/v1/wallets/{stall.programme.programme_id}")
    return int(wallet["balance_fen"])


async def _becomes(till: TillCaller, request_no: str, state: str) -> None:
    """Wait until the read-back says so."""

    async def says() -> bool:
        return bool((await till.read_back(request_no)).body["state"] == state)

    await eventually(says)


async def test_a_till_is_told_that_the_money_is_there(
    stall: Stall, operator: SimulatorProcess
) -> None:
    """Payment is settlement: `captured` says that the merchant has the money."""
    till = await stall.till()
    before_fen = await _held_fen(operator, stall)
    one_step = await till.redeem(order(stall.code(0)))
    assert (one_step.status, one_step.body["state"]) == (201, "captured")
    held = await till.redeem(order(stall.code(1), capture=False))
    assert held.body["state"] == "held"
    assert await _held_fen(operator, stall) == before_fen - CASH_FEN
    captured = await till.capture(held.body["redemption_id"])
    assert captured.body["state"] == "captured"
    assert await _held_fen(operator, stall) == before_fen - 2 * CASH_FEN


async def test_a_till_is_told_that_nobody_knows_yet(
    stall: Stall, operator: SimulatorProcess
) -> None:
    till = await stall.till()
    before_fen = await _held_fen(operator, stall)
    await operator.command({"on": "payments", "do": "silence"})
    body = order(stall.code())
    began_s = time.monotonic()
    pending = await till.redeem(body)
    assert time.monotonic() - began_s < 2.5
    assert (pending.status, pending.body["state"]) == (201, "pending")
    assert (await operator.hits())["payments:silence"] == 1
    await _becomes(till, body["request_no"], "captured")
    assert (await till.redeem(body)).body["state"] == "captured"
    assert await _held_fen(operator, stall) == before_fen - CASH_FEN


async def test_a_till_is_told_that_the_operator_refused(
    stall: Stall, operator: SimulatorProcess
) -> None:
    """The voucher is good again, at its next code."""
    till = await stall.till()
    await operator.command({"on": "payments", "do": "reject"})
    refused = await till.redeem(order(stall.code()))
    assert (refused.status, refused.body["state"]) == (201, "failed")
    assert (await till.redeem(order(stall.code(steps=1)))).body["state"] == "captured"


async def test_a_till_reverses_what_it_does_not_know(
    stall: Stall, operator: SimulatorProcess
) -> None:
    """The operator had paid: what it paid comes back, and nothing was taken in the end."""
    till = await stall.till()
    before_fen = await _held_fen(operator, stall)
    await operator.command(
        {"on": "payments", "do": "silence"}, {"on": "queries", "do": "delay", "delay_ms": 300}
    )
    body = order(stall.code())
    assert (await till.redeem(body)).body["state"] == "pending"
    assert await _held_fen(operator, stall) == before_fen - CASH_FEN
    reversal = await till.reverse(body["request_no"])
    assert reversal.body["outcome"] in {"pending", "reversed"}
    await _becomes(till, body["request_no"], "reversed")
    assert (await till.reverse(body["request_no"])).body["outcome"] == "reversed"
    assert (await till.redeem(body)).assert_problem(409, "reversed")
    assert await _held_fen(operator, stall) == before_fen
