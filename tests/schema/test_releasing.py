"""`claim.release`: the pack reopens (J7a) or is withdrawn (J7b)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.ids import new_id
from tests import builders, tills
from tests.builders import OPERATOR, DropTerms, Programme
from tests.schema.booked import assert_sound, balance, journal, pack_shares
from tests.schema.conftest import Connect
from tests.schema.undoing import undone

QUOTA = 5


@pytest_asyncio.fixture(scope="module")
async def programme(owner: asyncpg.Connection) -> Programme:
    return await builders.make_programme(owner)


@pytest_asyncio.fixture
async def sold_out(owner: asyncpg.Connection, programme: Programme) -> tuple[UUID, list[UUID]]:
    """A drop whose five packs are claimed, and the claims."""
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=QUOTA))
    await builders.publish(owner, drop_id)
    return drop_id, (await builders.issue(owner, drop_id, QUOTA)).won


async def test_a_pack_that_reopens_is_sold_again(
    owner: asyncpg.Connection, programme: Programme, sold_out: tuple[UUID, list[UUID]]
) -> None:
    drop_id, claims = sold_out
    answer = await _release(owner, claims[1], reopen=True)
    assert answer["outcome"] == "released"
    assert (answer["drop_quota"], answer["drop_live"], answer["drop_issued"]) == (5, 4, 5)
    assert await journal(owner, "J7a", claims[1]) == {
        (f"outstanding:{funder}:{drop_id}", f"reserved:{funder}:{drop_id}"): fen
        for funder, fen in pack_shares(programme).items()
    }
    # Some process may still say "sold out" from memory: a winner now could be told so.
    assert (await builders.issue(owner, drop_id, 2)).outcomes == ["busy", "busy"]
    await owner.execute(
        "UPDATE campaign.drops SET restocked_at = restocked_at - interval '1.25 s'"
        " WHERE drop_id = $1",
        drop_id,
    )
    again = await builders.issue(owner, drop_id, 2)
    assert again.outcomes == ["issued", "sold_out"]
    serials = await owner.fetch(
        "SELECT serial, state FROM claim.claims WHERE drop_id = $1 ORDER BY serial", drop_id
    )
    assert [row["serial"] for row in serials] == [1, 2, 3, 4, 5, 6]
    assert [row["state"] for row in serials] == ["live", "released", *["live"] * 4]


async def test_a_pack_that_is_withdrawn_shrinks_the_quota(
    owner: asyncpg.Connection, programme: Programme, sold_out: tuple[UUID, list[UUID]]
) -> None:
    drop_id, claims = sold_out
    before = {f: await balance(owner, programme, f"available:{f}") for f in programme.shares}
    answer = await _release(owner, claims[0], reopen=False)
    assert answer["outcome"] == "released"
    assert (answer["drop_quota"], answer["drop_live"], answer["drop_issued"]) == (4, 4, 5)
    costs = pack_shares(programme)
    assert await journal(owner, "J7b", claims[0]) == {
        (f"outstanding:{funder}:{drop_id}", f"available:{funder}"): fen
        for funder, fen in costs.items()
    }
    for funder, fen in before.items():
        assert await balance(owner, programme, f"available:{funder}") == fen + costs[funder]
    assert (await builders.issue(owner, drop_id, 1)).outcomes == ["sold_out"]


@pytest.mark.parametrize("reopen", [True, False])
async def test_a_closed_drop_takes_nothing_back(
    owner: asyncpg.Connection,
    sold_out: tuple[UUID, list[UUID]],
    reopen: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    drop_id, claims = sold_out
    assert await builders.change_drop(owner, drop_id, "close") == "done"
    answer = await _release(owner, claims[0], reopen=reopen)
    assert (answer["outcome"], answer["drop_quota"], answer["drop_live"]) == ("released", 4, 4)
    assert await journal(owner, "J7a", claims[0]) is None
    assert await journal(owner, "J7b", claims[0]) is not None


async def test_a_release_is_done_and_dated_once(
    owner: asyncpg.Connection, sold_out: tuple[UUID, list[UUID]]
) -> None:
    drop_id, claims = sold_out
    first = await _release(owner, claims[0], reopen=True)
    for reopen in (True, False):
        again = await _release(owner, claims[0], reopen=reopen)
        assert (again["outcome"], again["drop_version"]) == (
            "released_before",
            first["drop_version"],
        )
    assert await journal(owner, "J7b", claims[0]) is None
    kept = await owner.fetchrow(
        "SELECT c.state, c.released_version, r.version, r.journal_kind, r.reason, r.actor,"
        " c.released_at = r.released_at AS same FROM claim.claims AS c"
        " JOIN claim.claim_releases AS r USING (claim_id) WHERE claim_id = $1",
        claims[0],
    )
    assert kept is not None
    version = first["drop_version"]
    assert tuple(kept) == ("released", version, version, "J7a", "returned", OPERATOR, True)
    live = await owner.fetchval("SELECT live FROM campaign.drops WHERE drop_id = $1", drop_id)
    assert live == QUOTA - 1


@pytest.mark.parametrize("capture", [True, False])
async def test_what_a_till_has_is_released_only_when_it_gave_it_back(
    owner: asyncpg.Connection,
    programme: Programme,
    sold_out: tuple[UUID, list[UUID]],
    capture: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    drop_id, claims = sold_out
    till = await tills.enrol_till(owner, programme.programme_id)
    asked = await tills.redeem(owner, till, claims[0], 3, capture=capture)
    answer = await _release(owner, claims[0], reopen=True)
    assert (answer["outcome"], answer["drop_live"]) == ("in_use", QUOTA)
    assert await journal(owner, "J7a", claims[0]) is None

    assert await tills.reverse(owner, asked) == "reversed"
    answer = await _release(owner, claims[0], reopen=False)
    assert (answer["outcome"], answer["drop_live"]) == ("released", QUOTA - 1)
    row = await owner.fetchrow(
        "SELECT position, state, remaining_fen FROM redeem.vouchers WHERE claim_id = $1", claims[0]
    )
    assert row is not None
    assert tuple(row) == (3, "void", 0)
    outstanding = await balance(owner, programme, f"outstanding:city:{drop_id}")
    assert outstanding == (QUOTA - 1) * pack_shares(programme)["city"]


async def test_the_campaign_sees_which_pack_a_claim_is_and_not_whose(
    connect_as: Connect, sold_out: tuple[UUID, list[UUID]]
) -> None:
    drop_id, claims = sold_out
    async with connect_as("campaign") as connection, undone(connection):
        await connection.execute("SELECT set_config('fairdrop.cities', '1', true)")
        seen = await connection.fetchrow(
            "SELECT drop_id, serial, state FROM claim.claims WHERE claim_id = $1", claims[1]
        )
        assert seen is not None
        assert tuple(seen) == (drop_id, 2, "live")
        await connection.execute("SELECT set_config('fairdrop.cities', '2', true)")
        assert await connection.fetch("SELECT serial FROM claim.claims") == []
    for column in ("person_id", "request_key", "channel"):
        async with connect_as("campaign") as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(f"SELECT {column} FROM claim.claims LIMIT 1")  # noqa: S608


async def test_an_unknown_claim_is_not_found(owner: asyncpg.Connection) -> None:
    answer = await _release(owner, new_id(1), reopen=True)
    assert set(answer.values()) == {"not_found", None}


async def test_the_books_are_sound_afterwards(owner: asyncpg.Connection) -> None:
    await assert_sound(owner)


async def _release(owner: asyncpg.Connection, claim_id: UUID, *, reopen: bool) -> Mapping[str, Any]:
    row = await owner.fetchrow(
        "SELECT * FROM claim.release(1::smallint, $1, $2, 'returned', $3)",
        *(claim_id, reopen, OPERATOR),
    )
    assert row is not None
    return dict(row)
