"""`claim.issue` decides a batch; asked as the claim service, one connection at a time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.ids import new_id
from tests import builders
from tests.builders import DropTerms, Programme
from tests.schema.booked import assert_sound, count_journals, journal, pack_shares
from tests.schema.issuing import Batch
from tests.schema.undoing import undone

THIRDS = {"city": 3334, "platform": 3333, "bank-1": 3333}


@pytest_asyncio.fixture(scope="module")
async def programme(owner: asyncpg.Connection) -> Programme:
    return await builders.make_programme(owner)


@pytest_asyncio.fixture(scope="module", autouse=True)
async def books_are_sound_at_the_end(
    owner: asyncpg.Connection, programme: Programme
) -> AsyncIterator[None]:
    """Set up after the programme, so torn down while its database still stands."""
    yield
    assert programme.shares
    await assert_sound(owner)


async def published(
    owner: asyncpg.Connection, programme: Programme, terms: DropTerms | None = None
) -> UUID:
    drop_id = await builders.make_drop(owner, programme, terms)
    await builders.publish(owner, drop_id)
    return drop_id


async def people(connection: asyncpg.Connection, count: int) -> list[UUID]:
    return await builders.make_persons(connection, 1, count)


async def test_a_person_twice_in_a_batch_gets_one_claim(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await published(owner, programme)
    ann, bob = await people(claimant, 2)
    answer = await Batch.of(drop_id, [ann, bob, ann, ann]).send(claimant)
    assert answer.outcomes == ["issued", "issued", "replayed", "replayed"]
    assert answer.serials == [1, 2, 1, 1]
    assert len(set(answer.claim_ids)) == 2
    assert answer.claim_ids[0] == answer.claim_ids[2] == answer.claim_ids[3]
    assert (answer.drop_live, answer.drop_issued, answer.drop_version) == (2, 2, 2)


async def test_a_batch_sent_again_changes_nothing(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    """As after a lost reply: with the same claim ids, and with other ones."""
    drop_id = await published(owner, programme)
    persons = await people(claimant, 5)
    batch = Batch.of(drop_id, persons)
    first = await batch.send(claimant)
    assert first.outcomes == ["issued"] * 5
    for again in (batch, Batch.of(drop_id, persons)):
        answer = await again.send(claimant)
        assert answer.outcomes == ["replayed"] * 5
        assert answer.claim_ids == list(batch.claim_ids)
        assert (answer.serials, answer.claimed_ats) == (first.serials, first.claimed_ats)
        assert answer.drop_version == first.drop_version
    assert await count_journals(owner, drop_id, "J6") == 1


async def test_a_limit_of_one_refuses_another_request(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await published(owner, programme)
    (ann,) = await people(claimant, 1)
    answer = await Batch.of(drop_id, [ann, ann], ["first", "second"]).send(claimant)
    assert answer.outcomes == ["issued", "limit_reached"]
    answer = await Batch.of(drop_id, [ann, ann], ["third", "first"]).send(claimant)
    assert answer.outcomes == ["limit_reached", "replayed"]
    assert answer.serials == [None, 1]


async def test_a_limit_of_three_gives_three(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await published(owner, programme, DropTerms(limit_per_holder=3))
    ann, bob = await people(claimant, 2)
    first = await Batch.of(drop_id, [ann], ["1"]).send(claimant)
    # A request that was served is not served again while the limit leaves room.
    answer = await Batch.of(
        drop_id, [ann, bob, ann, bob, ann, bob], ["1", "1", "2", "1", "3", "2"]
    ).send(claimant)
    assert answer.outcomes == ["replayed", "issued", "issued", "replayed", "issued", "issued"]
    assert answer.claim_ids[0] == first.claim_ids[0]
    assert answer.drop_live == 5
    answer = await Batch.of(drop_id, [ann, bob, bob, ann], ["4", "3", "4", "2"]).send(claimant)
    assert answer.outcomes == ["limit_reached", "issued", "limit_reached", "replayed"]
    ordinals = await owner.fetch(
        "SELECT person_id, array_agg(ordinal ORDER BY serial) AS ordinals FROM claim.claims"
        " WHERE drop_id = $1 GROUP BY person_id",
        drop_id,
    )
    assert {row["person_id"]: row["ordinals"] for row in ordinals} == {
        ann: [1, 2, 3],
        bob: [1, 2, 3],
    }


@pytest.mark.parametrize("limit", [1, 3])
@pytest.mark.parametrize("reclaim", [True, False])
async def test_a_released_pack_counts_unless_the_drop_lets_it_go(
    owner: asyncpg.Connection,
    claimant: asyncpg.Connection,
    programme: Programme,
    limit: int,
    reclaim: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    terms = DropTerms(limit_per_holder=limit, reclaim_after_release=reclaim)
    drop_id = await published(owner, programme, terms)
    (ann,) = await people(claimant, 1)
    keys = [str(number) for number in range(limit)]
    won = await Batch.of(drop_id, [ann] * limit, keys).send(claimant)
    assert won.outcomes == ["issued"] * limit
    released = won.claim_ids[0]
    assert released is not None
    assert await builders.release(owner, released, reopen=True) == "released"

    again = await Batch.of(drop_id, [ann] * limit, keys).send(claimant)
    expected = "issued" if reclaim else "limit_reached"
    assert again.outcomes == [expected] + ["replayed"] * (limit - 1)
    assert again.claim_ids[0] != released
    # The serial of the released claim is never used again.
    assert again.serials[0] == (limit + 1 if reclaim else None)
    last = await Batch.of(drop_id, [ann], ["one more"]).send(claimant)
    assert last.outcomes == ["limit_reached"]


async def test_the_stock_ends_in_the_middle_of_a_batch(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await published(owner, programme, DropTerms(quota=5))
    persons = await people(claimant, 9)
    answer = await Batch.of(drop_id, persons[:8]).send(claimant)
    assert answer.outcomes == ["issued"] * 5 + ["sold_out"] * 3
    assert answer.serials == [1, 2, 3, 4, 5, None, None, None]
    assert (answer.drop_quota, answer.drop_live, answer.drop_issued) == (5, 5, 5)
    answer = await Batch.of(drop_id, persons).send(claimant)
    assert answer.outcomes == ["replayed"] * 5 + ["sold_out"] * 4
    assert await count_journals(owner, drop_id, "J6") == 1


async def test_who_is_at_the_limit_burns_no_pack(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await published(owner, programme, DropTerms(quota=2))
    ann, bob, cid = await people(claimant, 3)
    await Batch.of(drop_id, [ann], ["first"]).send(claimant)
    answer = await Batch.of(drop_id, [ann, ann, bob, cid], ["2", "3", "", ""]).send(claimant)
    assert answer.outcomes == ["limit_reached", "limit_reached", "issued", "sold_out"]
    assert answer.serials == [None, None, 2, None]


async def test_a_batch_is_bounded(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await published(owner, programme, DropTerms(quota=600))
    persons = await people(claimant, 513)
    with pytest.raises(asyncpg.RaiseError, match="at most 512 attempts, not 513"):
        await Batch.of(drop_id, persons).send(claimant)
    answer = await Batch.of(drop_id, persons[:512]).send(claimant)
    assert answer.outcomes == ["issued"] * 512
    empty = await Batch.of(drop_id, []).send(claimant)
    assert empty.drop_issued == 512


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ("state = 'paused'", "paused"),
        ("state = 'closed'", "closed"),
        ("opens_at = campaign.now() + interval '1.2 s'", "not_open"),
        ("opens_at = campaign.now() + interval '0.8 s'", "issued"),
        ("closes_at = campaign.now() + interval '1 s'", "issued"),
        ("closes_at = campaign.now() - interval '1 ms'", "closed"),
        ("restocked_at = campaign.now() - interval '1 s'", "busy"),
        ("restocked_at = campaign.now() - interval '1.3 s'", "issued"),
    ],
)
async def test_the_moment_decides(
    owner: asyncpg.Connection, programme: Programme, change: str, outcome: str
) -> None:
    """Who was served before is still told of the claim, whatever the drop refuses now."""
    drop_id = await published(owner, programme)
    ann, bob = await people(owner, 2)
    served = await Batch.of(drop_id, [ann]).send(owner)
    async with undone(owner):
        await owner.execute(f"UPDATE campaign.drops SET {change} WHERE drop_id = $1", drop_id)  # noqa: S608
        answer = await Batch.of(drop_id, [bob, ann]).send(owner)
        assert answer.outcomes == [outcome, "replayed"]
        assert answer.claim_ids[1] == served.claim_ids[0]
        assert answer.drop_issued == (2 if outcome == "issued" else 1)


async def test_the_moment_follows_the_clock(
    owner: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await published(owner, programme)  # it closes in an hour
    (ann,) = await people(owner, 1)
    async with undone(owner):
        await owner.fetchval("SELECT campaign.advance_clock(7200000000)")
        assert (await Batch.of(drop_id, [ann]).send(owner)).outcomes == ["closed"]


async def test_a_draft_gives_nothing(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await builders.make_drop(owner, programme)
    answer = await Batch.of(drop_id, await people(claimant, 1)).send(claimant)
    assert (answer.outcomes, answer.drop_state) == (["not_open"], "draft")


async def test_no_claim_is_dated_before_the_opening(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await published(owner, programme, DropTerms(opens_in=timedelta(seconds=0.9)))
    opens_at = await owner.fetchval(
        "SELECT opens_at FROM campaign.drops WHERE drop_id = $1", drop_id
    )
    early = await Batch.of(drop_id, await people(claimant, 1)).send(claimant)
    assert (early.outcomes, early.claimed_ats) == (["issued"], [opens_at])
    await asyncio.sleep(0.9)
    later = await Batch.of(drop_id, await people(claimant, 1)).send(claimant)
    assert later.claimed_ats[0] is not None
    assert later.claimed_ats[0] > opens_at
    written = await owner.fetch(
        "SELECT claimed_at FROM claim.claims WHERE drop_id = $1 ORDER BY serial", drop_id
    )
    assert [row["claimed_at"] for row in written] == [opens_at, later.claimed_ats[0]]


async def test_an_unknown_drop_has_no_answer(claimant: asyncpg.Connection) -> None:
    persons = await people(claimant, 1)
    nowhere = new_id(1)
    row = await claimant.fetchrow(
        "SELECT * FROM claim.issue(1::smallint, $1, $2, $3, $4, $5)",
        *(nowhere, [new_id(1)], persons, [""], [None]),
    )
    assert row is not None
    assert set(row.values()) == {None}


@pytest.mark.parametrize("shares", [builders.SHARES, THIRDS], ids=["two", "three"])
async def test_one_journal_a_batch_moves_what_the_packs_cost(
    owner: asyncpg.Connection, claimant: asyncpg.Connection, shares: dict[str, int]
) -> None:
    """Every face is odd, so that a share rounded any other way shows."""
    programme = await builders.make_programme(owner, shares=shares)
    drop_id = await published(owner, programme)
    persons = await people(claimant, 4)
    costs = pack_shares(programme)
    face_fen = sum(kind.face_fen * kind.count for kind in builders.PACK)
    assert sum(costs.values()) == face_fen
    for asking, packs in ((persons[:1], 1), (persons, 3), (persons, 0)):
        answer = await Batch.of(drop_id, asking).send(claimant)
        booked = await journal(owner, "J6", f"{drop_id}:{answer.drop_version}")
        if packs:
            assert booked == _moved(drop_id, costs, packs)
    assert await count_journals(owner, drop_id, "J6") == 2


def _moved(drop_id: UUID, costs: Mapping[str, int], packs: int) -> dict[tuple[str, str], int]:
    return {
        (f"reserved:{funder}:{drop_id}", f"outstanding:{funder}:{drop_id}"): fen * packs
        for funder, fen in costs.items()
    }
