"""Whatever is done to a drop through its functions, the books stay sound."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from shared.bookkeeping.invariants import check_books, queries
from tests import builders
from tests.bookkeeping import histories
from tests.builders import DropTerms, Kind

TERMS = (
    DropTerms(quota=25),
    DropTerms(quota=15, limit_per_holder=3),
    DropTerms(quota=12, limit_per_holder=2, reclaim_after_release=True, pack=[Kind("k", 1, 1)]),
)


async def broken(connection: asyncpg.Connection) -> dict[str, list[Any]]:
    return {check.name: check.sample for check in await check_books(connection) if check.offenders}


@pytest.mark.parametrize("seed", range(3))
async def test_every_step_of_a_valid_history_leaves_the_books_sound(
    owner: asyncpg.Connection, seed: int
) -> None:
    chosen = random.Random(seed)
    programme = await builders.make_programme(owner)
    assert await broken(owner) == {}
    lives = [await histories.begin(owner, programme, terms) for terms in TERMS]
    for number in range(60):
        step = await lives[number % len(lives)].step(chosen)
        assert await broken(owner) == {}, f"after step {number}, {step}"

    assert all(life.live_claims for life in lives), "the history claimed nothing"
    for life in lives:
        assert await builders.change_drop(owner, life.drop_id, "close") == "done"
        assert await broken(owner) == {}
        await builders.release(owner, life.live_claims.pop(), reopen=True)
        assert await broken(owner) == {}
    # The history reached every journal there is.
    kinds = await owner.fetch("SELECT DISTINCT kind FROM ledger.journals")
    assert {row["kind"] for row in kinds} == {
        *("J1", "J2", "J3", "J4", "J5", "J6", "J7a", "J7b"),
    }


async def test_drafts_and_untouched_programmes_are_sound(owner: asyncpg.Connection) -> None:
    programme = await builders.make_programme(owner, funded_fen=0)
    await builders.make_drop(owner, programme)
    closed = await builders.make_drop(owner, programme)
    assert await builders.change_drop(owner, closed, "close") == "done"
    assert await broken(owner) == {}


async def test_a_refused_publish_leaves_the_books_sound(owner: asyncpg.Connection) -> None:
    programme = await builders.make_programme(owner, funded_fen=100)
    drop_id = await builders.make_drop(owner, programme)
    assert await builders.change_drop(owner, drop_id, "publish") == "insufficient_funds"
    assert await broken(owner) == {}


async def test_a_share_that_rounds_to_nothing_is_sound(owner: asyncpg.Connection) -> None:
    programme = await builders.make_programme(owner, shares={"city": 9999, "pool": 1})
    life = await histories.begin(owner, programme, DropTerms(pack=[Kind("k", 100, 1)]))
    await builders.issue(owner, life.drop_id, 3)
    assert await broken(owner) == {}


async def test_a_running_drop_gives_no_false_alarm(
    owner: asyncpg.Connection, database_url: str
) -> None:
    programme = await builders.make_programme(owner)
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=5000))
    await builders.publish(owner, drop_id)
    claiming = await asyncpg.connect(database_url)
    batches = 0

    async def claim() -> None:
        nonlocal batches
        for _ in range(300):
            await builders.issue(claiming, drop_id, 3)
            batches += 1

    audits = 0
    claims = asyncio.ensure_future(claim())
    while not claims.done():
        seen = batches
        assert await broken(owner) == {}
        audits += batches > seen
        await asyncio.sleep(0)
    await claims
    await claiming.close()
    assert audits > 5, "hardly an audit ran while the drop moved"


def test_every_query_is_named_after_its_invariant() -> None:
    names = [query.name for query in queries()]
    assert len(set(names)) == len(names)
    assert {name.partition("_")[0] for name in names} == {
        "I1",
        "I2",
        "I4",
        "I5",
        "I6",
        "I7",
        "I8",
        "I9",
    }
    assert all(query.description.endswith(".") for query in queries())
