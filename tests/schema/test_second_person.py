"""Where two persons must agree, the table refuses one: these statements come from the owner."""

import asyncpg
import pytest
import pytest_asyncio

from tests.schema.rows import Populated, populate
from tests.schema.undoing import undone

FIRST = {
    "merchants_need_a_second_person": "created_by",
    "batches_need_a_second_person": "created_by",
    "returns_need_a_second_person": "proposed_by",
    "breaks_need_a_second_person": "'finance-1'",
}
AGREED = {
    "merchants_need_a_second_person": "UPDATE campaign.merchants SET state = 'active',"
    " approved_at = now(), approved_by = {} WHERE state = 'pending'",
    "batches_need_a_second_person": "UPDATE ledger.settlement_batches SET state = 'approved',"
    " decided_at = now(), decided_by = {} WHERE state = 'cut'",
    "returns_need_a_second_person": "UPDATE ledger.funder_returns SET state = 'approved',"
    " decided_at = now(), decided_by = {} WHERE state = 'proposed'",
    "breaks_need_a_second_person": "UPDATE ledger.breaks SET state = 'accepted',"
    " proposal = 'accept', proposed_at = now(), proposed_by = 'finance-1', approved_at = now(),"
    " approved_by = {} WHERE state = 'open'",
}


@pytest_asyncio.fixture(scope="module", autouse=True)
async def populated(owner: asyncpg.Connection) -> Populated:
    return await populate(owner)


@pytest.mark.parametrize("constraint", AGREED)
async def test_one_person_is_not_two(owner: asyncpg.Connection, constraint: str) -> None:
    statement = AGREED[constraint]
    async with undone(owner):
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            async with owner.transaction():
                await owner.execute(statement.format(FIRST[constraint]))
        assert refused.value.constraint_name == constraint
        assert await owner.execute(statement.format("'somebody else'")) != "UPDATE 0"


@pytest.mark.parametrize("constraint", AGREED)
async def test_nobody_is_no_second_person(owner: asyncpg.Connection, constraint: str) -> None:
    async with undone(owner):
        with pytest.raises(asyncpg.CheckViolationError):
            await owner.execute(AGREED[constraint].format("NULL"))
