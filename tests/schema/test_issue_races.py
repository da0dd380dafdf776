"""`claim.issue` under connections that compete for one drop."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import UUID

import asyncpg
import pytest_asyncio

from tests import builders
from tests.builders import DropTerms, Programme
from tests.schema.booked import assert_sound, count_journals
from tests.schema.conftest import Connect
from tests.schema.issuing import Answer, Batch, resolve

CONNECTIONS = 4
ROUNDS = 50
KEYS = ("a", "b", "c", "d")


@pytest_asyncio.fixture(scope="module")
async def programme(owner: asyncpg.Connection) -> Programme:
    return await builders.make_programme(owner)


@pytest_asyncio.fixture(scope="module")
async def claimants(connect_as: Connect) -> AsyncIterator[Sequence[asyncpg.Connection]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connect_as("claim")) for _ in range(CONNECTIONS)]


async def published(
    owner: asyncpg.Connection, programme: Programme, terms: DropTerms | None = None
) -> UUID:
    drop_id = await builders.make_drop(owner, programme, terms)
    await builders.publish(owner, drop_id)
    return drop_id


async def test_the_same_persons_in_reverse_order_never_deadlock(
    owner: asyncpg.Connection, programme: Programme, claimants: Sequence[asyncpg.Connection]
) -> None:
    """New subjects every round: both connections mint, and both must name the same persons."""
    drop_id = await published(owner, programme, DropTerms(quota=20 * ROUNDS))
    for _ in range(ROUNDS):
        hashes = [os.urandom(32) for _ in range(20)]
        here, there = await asyncio.gather(
            _resolve_and_issue(claimants[0], drop_id, hashes),
            _resolve_and_issue(claimants[1], drop_id, hashes[::-1]),
        )
        assert here[0] == there[0][::-1]
        assert here[1].claim_ids == there[1].claim_ids[::-1]
        assert sorted(here[1].outcomes + there[1].outcomes) == ["issued"] * 20 + ["replayed"] * 20
    counted = await owner.fetchrow(
        "SELECT count(*) AS claims, count(DISTINCT person_id) AS persons,"
        " (SELECT count(*) FROM claim.persons) AS minted FROM claim.claims WHERE drop_id = $1",
        drop_id,
    )
    assert counted is not None
    assert tuple(counted.values()) == (20 * ROUNDS,) * 3


async def _resolve_and_issue(
    connection: asyncpg.Connection, drop_id: UUID, hashes: Sequence[bytes]
) -> tuple[list[UUID], Answer]:
    persons = await resolve(connection, hashes)
    return persons, await Batch.of(drop_id, persons).send(connection)


async def test_serials_have_no_gap_and_the_last_pack_is_sold_once(
    owner: asyncpg.Connection, programme: Programme, claimants: Sequence[asyncpg.Connection]
) -> None:
    batches, size, quota = 12, 25, 1_000
    drop_id = await published(owner, programme, DropTerms(quota=quota))
    persons = await builders.make_persons(owner, 1, CONNECTIONS * batches * size)

    async def rush(connection: asyncpg.Connection, asking: Sequence[UUID]) -> list[Answer]:
        return [
            await Batch.of(drop_id, asking[at : at + size]).send(connection)
            for at in range(0, len(asking), size)
        ]

    shares = [persons[lane::CONNECTIONS] for lane in range(CONNECTIONS)]
    rushes = await asyncio.gather(*map(rush, claimants, shares))
    answers = [answer for rushed in rushes for answer in rushed]
    outcomes = [outcome for answer in answers for outcome in answer.outcomes]
    assert outcomes.count("issued") == quota
    assert outcomes.count("sold_out") == len(persons) - quota
    told = [serial for answer in answers for serial in answer.serials if serial is not None]
    assert sorted(told) == list(range(1, quota + 1))
    written = await owner.fetch("SELECT serial FROM claim.claims WHERE drop_id = $1", drop_id)
    assert sorted(row["serial"] for row in written) == list(range(1, quota + 1))
    winning = sum("issued" in answer.outcomes for answer in answers)
    assert await count_journals(owner, drop_id, "J6") == winning
    await assert_sound(owner)


async def test_no_claim_commits_after_a_pause_has_returned(
    owner: asyncpg.Connection, programme: Programme, claimants: Sequence[asyncpg.Connection]
) -> None:
    drop_id = await published(owner, programme, DropTerms(quota=100_000))
    persons = await builders.make_persons(owner, 1, 3_000)
    paused = asyncio.Event()

    async def rush(connection: asyncpg.Connection, asking: Sequence[UUID]) -> list[Answer]:
        answers = []
        for at in range(0, len(asking), 10):
            answers.append(await Batch.of(drop_id, asking[at : at + 10]).send(connection))
            if paused.is_set() and answers[-1].outcomes == ["paused"] * 10:
                break
        return answers

    async def pause() -> int:
        await asyncio.sleep(0.05)
        assert await builders.change_drop(owner, drop_id, "pause") == "done"
        issued: int = await owner.fetchval(
            "SELECT count(*) FROM claim.claims WHERE drop_id = $1", drop_id
        )
        paused.set()
        return issued

    pausing = asyncio.ensure_future(pause())
    lanes = (rush(claimants[lane], persons[lane::3]) for lane in range(3))
    rushes = await asyncio.gather(*lanes)
    issued = await pausing
    outcomes = [outcome for rushed in rushes for answer in rushed for outcome in answer.outcomes]
    assert issued == outcomes.count("issued")
    assert 0 < issued < len(persons), "the pause came in the middle"
    assert outcomes.count("paused") > 0
    assert await owner.fetchval(
        "SELECT count(*) = $2 FROM claim.claims WHERE drop_id = $1", drop_id, issued
    )


async def test_everything_at_once_leaves_the_books_sound(
    owner: asyncpg.Connection, programme: Programme, claimants: Sequence[asyncpg.Connection]
) -> None:
    """Claims, releases and quota changes of one drop, none of which may fail."""
    terms = DropTerms(quota=300, limit_per_holder=2, reclaim_after_release=True)
    drop_id = await published(owner, programme, terms)
    persons = await builders.make_persons(owner, 1, 200)
    won: asyncio.Queue[UUID] = asyncio.Queue()
    released = 0

    async def claim(connection: asyncpg.Connection, key: str) -> None:
        for at in range(0, len(persons), 10):
            asking = persons[at : at + 10]
            answer = await Batch.of(drop_id, asking, [key] * 10).send(connection)
            for outcome, claim_id in zip(answer.outcomes, answer.claim_ids, strict=True):
                if outcome == "issued" and claim_id is not None:
                    won.put_nowait(claim_id)

    async def give_back() -> None:
        nonlocal released
        for turn in range(60):
            claim_id = await asyncio.wait_for(won.get(), timeout=5)
            assert await builders.release(owner, claim_id, reopen=turn % 2 == 0) == "released"
            released += 1
            if turn % 10 == 0:
                # 'below_live_claims' where it comes late, which is fine too.
                await builders.change_drop(owner, drop_id, "quota", 290 - turn)

    await asyncio.gather(
        give_back(),
        *(claim(connection, key) for connection, key in zip(claimants, KEYS, strict=True)),
    )
    assert released == 60
    await assert_sound(owner)
