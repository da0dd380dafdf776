"""`ledger.take_payouts` and `ledger.finish_payout`: the bank's word is booked once."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.ids import new_id
from tests import builders, tills
from tests.bookkeeping.redeemed import APPROVER, cut
from tests.builders import DropTerms, Programme
from tests.schema.booked import balance, journal
from tests.schema.undoing import undone

CITY = 1
SHOPS, FACE_FEN = 3, 1001


@pytest_asyncio.fixture(scope="module")
async def programme(owner: asyncpg.Connection) -> Programme:
    programme = await builders.make_programme(owner)
    drop_id = await builders.make_drop(owner, programme, DropTerms())
    await builders.publish(owner, drop_id)
    for claim_id in (await builders.issue(owner, drop_id, SHOPS)).won:
        till = await tills.enrol_till(owner, programme.programme_id)
        await tills.redeem(owner, till, claim_id)
    await tills.advance(owner, timedelta(days=1))
    return programme


@pytest_asyncio.fixture(scope="module")
async def batch_id(owner: asyncpg.Connection, programme: Programme) -> UUID:
    return await cut(owner, programme)


async def approve(owner: asyncpg.Connection, batch_id: UUID) -> None:
    outcome = await owner.fetchval(
        "SELECT ledger.decide_batch($1, $2, 'approved', $3)", CITY, batch_id, APPROVER
    )
    assert outcome == "approved", outcome


async def taken(owner: asyncpg.Connection, limit: int = 100) -> list[UUID]:
    rows = await owner.fetch("SELECT payout_id FROM ledger.take_payouts($1)", limit)
    return [row["payout_id"] for row in rows]


async def finished(owner: asyncpg.Connection, payout_id: UUID, says: str) -> str:
    outcome: str = await owner.fetchval(
        "SELECT ledger.finish_payout($1, $2, $3, 'bank-1', 'no such account', 'bank')",
        *(CITY, payout_id, says),
    )
    return outcome


async def test_what_is_not_approved_is_not_paid(owner: asyncpg.Connection, batch_id: UUID) -> None:
    payouts = await owner.fetch(
        "SELECT payout_id, amount_fen FROM ledger.payouts WHERE batch_id = $1", batch_id
    )
    assert [row["amount_fen"] for row in payouts] == [FACE_FEN] * SHOPS
    assert await taken(owner) == []
    assert await finished(owner, payouts[0]["payout_id"], "confirmed") == "not_instructed"
    assert await finished(owner, new_id(CITY), "confirmed") == "not_found"


async def test_each_payout_is_taken_once_and_again_after_a_while(
    owner: asyncpg.Connection, batch_id: UUID
) -> None:
    async with undone(owner):
        await approve(owner, batch_id)
        first = await taken(owner, 2)
        second = await taken(owner, 2)
        assert (len(first), len(second)) == (2, SHOPS - 2)
        assert not set(first) & set(second)
        assert await taken(owner) == []
        await tills.advance(owner, timedelta(seconds=2))
        assert sorted(await taken(owner)) == sorted(first + second)


@pytest.mark.parametrize(("says", "other"), [("confirmed", "rejected"), ("rejected", "confirmed")])
async def test_the_bank_is_believed_once(
    owner: asyncpg.Connection, programme: Programme, batch_id: UUID, says: str, other: str
) -> None:
    async with undone(owner):
        await approve(owner, batch_id)
        payout_id = (await taken(owner))[0]
        before = await balance(owner, programme, "bank:main")
        assert await finished(owner, payout_id, says) == says
        assert await finished(owner, payout_id, says) == "unchanged"
        assert await finished(owner, payout_id, other) == "decided"
        paid = FACE_FEN if says == "confirmed" else 0
        assert await balance(owner, programme, "bank:main") == before - paid
        assert await balance(owner, programme, f"transit:{batch_id}") == (SHOPS - 1) * FACE_FEN
        booked = await journal(owner, "J15" if says == "confirmed" else "J16", payout_id)
        assert booked is not None
        assert list(booked.values()) == [FACE_FEN]


async def test_only_two_words_are_known(owner: asyncpg.Connection, batch_id: UUID) -> None:
    async with undone(owner):
        await approve(owner, batch_id)
        payout_id = (await taken(owner))[0]
        with pytest.raises(asyncpg.RaiseError, match="confirmed or rejected, not maybe"):
            await finished(owner, payout_id, "maybe")
