"""Merchants approved and suspended, terminals suspended: every outcome, and what tills are told."""

from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.ids import new_id
from tests import builders, tills
from tests.builders import OPERATOR, DropTerms
from tests.schema.conftest import Connect
from tests.schema.undoing import undone
from tests.tills import APPROVER

CITY = 1


async def merchant(owner: asyncpg.Connection, state: str) -> UUID:
    """Enrol a merchant, and bring it into a state."""
    merchant_id = new_id(CITY)
    await owner.execute("SELECT campaign.city_number('330100')")
    await owner.execute(
        "INSERT INTO campaign.merchants (city_id, merchant_id, name, categories, state, created_at,"
        " created_by) VALUES ($1, $2, 'Noodle shop', '{catering}', 'pending', now(), $3)",
        *(CITY, merchant_id, OPERATOR),
    )
    for change in {"pending": (), "active": ("approve",), "suspended": ("approve", "suspend")}[
        state
    ]:
        assert await changed(owner, merchant_id, change) == "done"
    return merchant_id


async def changed(
    owner: asyncpg.Connection, merchant_id: UUID, change: str, actor: str = APPROVER
) -> str:
    outcome: str = await owner.fetchval(
        "SELECT campaign.change_merchant($1, $2, $3, $4)", CITY, merchant_id, change, actor
    )
    return outcome


@pytest.mark.parametrize(
    ("state", "change", "actor", "outcome", "after"),
    [
        ("pending", "approve", APPROVER, "done", "active"),
        ("pending", "approve", OPERATOR, "same_person", "pending"),
        ("pending", "suspend", OPERATOR, "done", "suspended"),
        ("active", "approve", APPROVER, "unchanged", "active"),
        ("active", "suspend", OPERATOR, "done", "suspended"),
        ("suspended", "approve", APPROVER, "wrong_state", "suspended"),
        ("suspended", "suspend", OPERATOR, "unchanged", "suspended"),
    ],
)
async def test_every_change_in_every_state(
    owner: asyncpg.Connection, state: str, change: str, actor: str, outcome: str, after: str
) -> None:
    async with undone(owner):
        merchant_id = await merchant(owner, state)
        assert await changed(owner, merchant_id, change, actor) == outcome
        row = await owner.fetchrow(
            "SELECT state, approved_by, suspended_by FROM campaign.merchants"
            " WHERE merchant_id = $1",
            merchant_id,
        )
        assert row is not None
        assert row["state"] == after
        if outcome == "done":
            assert row["approved_by" if change == "approve" else "suspended_by"] == actor


async def test_nobody_else_is_found(owner: asyncpg.Connection) -> None:
    async with undone(owner):
        assert await changed(owner, new_id(CITY), "suspend") == "not_found"
        merchant_id = await merchant(owner, "active")
        with pytest.raises(asyncpg.RaiseError, match="approved or suspended, not closed"):
            await changed(owner, merchant_id, "closed")


async def test_a_terminal_is_suspended_once_and_under_its_own_merchant(
    owner: asyncpg.Connection,
) -> None:
    async with undone(owner):
        programme = await builders.make_programme(owner)
        till = await tills.enrol_till(owner, programme.programme_id)
        other = await merchant(owner, "active")

        async def suspended(merchant_id: UUID) -> str:
            outcome: str = await owner.fetchval(
                "SELECT campaign.suspend_terminal($1, $2, $3, $4)",
                *(CITY, merchant_id, till.terminal_id, OPERATOR),
            )
            return outcome

        assert await suspended(other) == "not_found"
        assert [await suspended(till.merchant_id) for _ in range(2)] == ["done", "unchanged"]


@pytest_asyncio.fixture(scope="module")
async def selling(owner: asyncpg.Connection) -> tuple[UUID, list[UUID]]:
    programme = await builders.make_programme(owner)
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=50))
    await builders.publish(owner, drop_id)
    return programme.programme_id, (await builders.issue(owner, drop_id, 9)).won


@pytest.mark.parametrize(
    ("whose", "outcome"),
    [("terminal", "terminal_suspended"), ("merchant", "merchant_not_enrolled")],
)
async def test_a_suspended_till_takes_no_money_and_gives_back_what_it_holds(
    owner: asyncpg.Connection, selling: tuple[UUID, list[UUID]], whose: str, outcome: str
) -> None:
    programme_id, claims = selling
    async with undone(owner):
        till = await tills.enrol_till(owner, programme_id)
        taken = await tills.redeem(owner, till, claims[0])
        held = [await tills.redeem(owner, till, claims[n], capture=False) for n in (1, 2)]
        await tills.suspend(owner, till, whose=whose)
        assert (await tills.decide(owner, [tills.ask(till, claims[3])]))[0].outcome == outcome
        assert await tills.finish_hold(owner, held[0], "capture") == outcome
        assert await tills.finish_hold(owner, held[0], "release") == "released"
        assert await tills.reverse(owner, held[1]) == "reversed"
        assert await tills.reverse(owner, taken) == "reversed"


async def test_a_suspension_waits_for_the_decisions_under_way(
    owner: asyncpg.Connection, connect_as: Connect, selling: tuple[UUID, list[UUID]]
) -> None:
    """And whoever comes after it was answered is refused: nothing commits behind its back."""
    programme_id, claims = selling
    till = await tills.enrol_till(owner, programme_id)
    async with connect_as("redeem") as redeeming:
        transaction = redeeming.transaction()
        await transaction.start()
        await tills.redeem(redeeming, till, claims[4])
        await owner.execute("SET lock_timeout = '50ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await tills.suspend(owner, till)
        await owner.execute("RESET lock_timeout")
        await transaction.commit()
        await tills.suspend(owner, till)
        told = await tills.decide(redeeming, [tills.ask(till, claims[5])])
    assert told[0].outcome == "terminal_suspended"
