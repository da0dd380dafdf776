"""`campaign.change_drop`: every outcome, and what it moves (J4, J5)."""

from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.ids import new_id
from tests import builders
from tests.builders import OPERATOR, DropTerms, Programme
from tests.schema.booked import assert_sound, balance, journal, pack_shares
from tests.schema.conftest import Connect
from tests.schema.undoing import undone

QUOTA = 10


@pytest_asyncio.fixture(scope="module")
async def programme(owner: asyncpg.Connection) -> Programme:
    return await builders.make_programme(owner)


async def drop_in(owner: asyncpg.Connection, programme: Programme, state: str) -> UUID:
    """Make a drop of ten packs; where it is published, three are claimed."""
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=QUOTA))
    if state != "draft":
        await builders.publish(owner, drop_id)
        assert (await builders.issue(owner, drop_id, 3)).outcomes == ["issued"] * 3
    if state in {"paused", "closed"}:
        change = {"paused": "pause", "closed": "close"}[state]
        assert await builders.change_drop(owner, drop_id, change) == "done"
    return drop_id


OUTCOMES = {
    ("draft", "publish"): ("done", "live"),
    ("draft", "pause"): ("wrong_state", "draft"),
    ("draft", "resume"): ("wrong_state", "draft"),
    ("draft", "close"): ("done", "closed"),
    ("draft", "quota"): ("wrong_state", "draft"),
    ("live", "publish"): ("unchanged", "live"),
    ("live", "pause"): ("done", "paused"),
    ("live", "resume"): ("unchanged", "live"),
    ("live", "close"): ("done", "closed"),
    ("live", "quota"): ("done", "live"),
    ("paused", "publish"): ("wrong_state", "paused"),
    ("paused", "pause"): ("unchanged", "paused"),
    ("paused", "resume"): ("done", "live"),
    ("paused", "close"): ("done", "closed"),
    ("paused", "quota"): ("done", "paused"),
    ("closed", "publish"): ("wrong_state", "closed"),
    ("closed", "pause"): ("wrong_state", "closed"),
    ("closed", "resume"): ("wrong_state", "closed"),
    ("closed", "close"): ("unchanged", "closed"),
    ("closed", "quota"): ("wrong_state", "closed"),
    ("live", "reopen"): ("wrong_state", "live"),
}


@pytest.mark.parametrize(("state", "change"), OUTCOMES)
async def test_every_change_in_every_state(
    owner: asyncpg.Connection, programme: Programme, state: str, change: str
) -> None:
    """A change is counted and kept exactly when it was done; repeated, it changes nothing."""
    drop_id = await drop_in(owner, programme, state)
    before = await _row(owner, drop_id)
    outcome, state_after = OUTCOMES[state, change]
    quota = QUOTA + 5 if change == "quota" else None
    for expected in (outcome, {"done": "unchanged"}.get(outcome, outcome)):
        answer = await _change(owner, drop_id, change, quota)
        assert (answer["outcome"], answer["drop_state"]) == (expected, state_after)
    after = await _row(owner, drop_id)
    made = 1 if outcome == "done" else 0
    assert after["version"] == before["version"] + made == answer["drop_version"]
    kept = await owner.fetch(
        "SELECT kind, quota_after, actor FROM campaign.drop_changes"
        " WHERE drop_id = $1 AND version > $2",
        *(drop_id, before["version"]),
    )
    assert [tuple(row) for row in kept] == [(change, after["quota"], OPERATOR)] * made
    assert (answer["drop_quota"], answer["drop_live"], answer["drop_issued"]) == (
        after["quota"],
        after["live"],
        after["issued"],
    )
    if not made:
        assert dict(after) == dict(before)


async def test_publishing_reserves_what_the_packs_cost(owner: asyncpg.Connection) -> None:
    programme = await builders.make_programme(owner)
    costs = pack_shares(programme)
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=QUOTA, limit_per_holder=3))
    await builders.publish(owner, drop_id)
    assert await journal(owner, "J4", f"{drop_id}:1") == {
        (f"available:{funder}", f"reserved:{funder}:{drop_id}"): fen * QUOTA
        for funder, fen in costs.items()
    }
    for funder, fen in costs.items():
        assert await balance(owner, programme, f"available:{funder}") == 10**9 - fen * QUOTA
        assert await _guarded(owner, programme, f"available:{funder}") == 10**9 - fen * QUOTA
    ordinals = await owner.fetch(
        "SELECT ordinal FROM claim.drop_ordinals WHERE drop_id = $1 ORDER BY ordinal", drop_id
    )
    assert [row["ordinal"] for row in ordinals] == [1, 2, 3]
    published_at = (await _row(owner, drop_id))["published_at"]
    assert published_at is not None


@pytest.mark.parametrize(("quota", "kind"), [(25, "J4"), (4, "J5"), (3, "J5")])
async def test_a_quota_moves_the_difference(
    owner: asyncpg.Connection, programme: Programme, quota: int, kind: str
) -> None:
    drop_id = await drop_in(owner, programme, "live")
    answer = await _change(owner, drop_id, "quota", quota)
    assert answer["outcome"] == "done"
    booked = await journal(owner, kind, f"{drop_id}:{answer['drop_version']}")
    assert booked == _moved(programme, drop_id, kind, abs(quota - QUOTA))


async def test_a_quota_never_goes_below_the_live_claims(
    owner: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await drop_in(owner, programme, "live")
    before = await _row(owner, drop_id)
    for quota in (2, 0, -1):
        assert (await _change(owner, drop_id, "quota", quota))["outcome"] == "below_live_claims"
    assert (await _change(owner, drop_id, "quota", QUOTA))["outcome"] == "unchanged"
    assert dict(await _row(owner, drop_id)) == dict(before)


@pytest.mark.parametrize("state", ["live", "paused"])
async def test_closing_returns_the_unclaimed(
    owner: asyncpg.Connection, programme: Programme, state: str
) -> None:
    drop_id = await drop_in(owner, programme, state)
    answer = await _change(owner, drop_id, "close")
    booked = await journal(owner, "J5", f"{drop_id}:{answer['drop_version']}")
    assert booked == _moved(programme, drop_id, "J5", QUOTA - 3)
    for funder in programme.shares:
        assert await balance(owner, programme, f"reserved:{funder}:{drop_id}") == 0


@pytest.mark.parametrize("change", ["pause", "resume", "close"])
async def test_a_change_that_moves_no_pack_books_nothing(
    owner: asyncpg.Connection, programme: Programme, change: str
) -> None:
    drop_id = await drop_in(owner, programme, "paused" if change == "resume" else "live")
    if change == "close":
        await _change(owner, drop_id, "quota", 3)  # all claimed
    answer = await _change(owner, drop_id, change)
    assert answer["outcome"] == "done"
    for kind in ("J4", "J5"):
        assert await journal(owner, kind, f"{drop_id}:{answer['drop_version']}") is None


async def test_a_draft_is_closed_without_money(
    owner: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await drop_in(owner, programme, "draft")
    assert (await _change(owner, drop_id, "close"))["outcome"] == "done"
    assert await journal(owner, "J5", f"{drop_id}:1") is None


async def test_a_drop_that_is_over_is_not_published(
    owner: asyncpg.Connection, programme: Programme
) -> None:
    drop_id = await drop_in(owner, programme, "draft")
    async with undone(owner):
        await owner.fetchval("SELECT campaign.advance_clock($1)", 2 * 3_600_000_000)
        assert (await _change(owner, drop_id, "publish"))["outcome"] == "wrong_state"


async def test_an_unknown_drop_is_not_found(owner: asyncpg.Connection) -> None:
    answer = await _change(owner, new_id(1), "pause")
    assert set(answer.values()) == {"not_found", None}


@pytest.mark.parametrize("short_of", ["city", "platform"])
async def test_money_that_does_not_suffice_reserves_nothing(
    owner: asyncpg.Connection, short_of: str
) -> None:
    """One fen short of one funder: the drop stays a draft, and nobody's money moves."""
    programme = await builders.make_programme(owner, funded_fen=0)
    needed = {funder: fen * QUOTA for funder, fen in pack_shares(programme).items()}
    for funder, fen in needed.items():
        await builders.fund(owner, programme, funder, fen - (funder == short_of))
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=QUOTA))
    answer = await _change(owner, drop_id, "publish")
    assert (answer["outcome"], answer["short_funder"]) == ("insufficient_funds", short_of)
    assert (answer["drop_state"], answer["drop_version"]) == ("draft", 0)
    assert await journal(owner, "J4", f"{drop_id}:1") is None
    assert await balance(owner, programme, f"reserved:city:{drop_id}") == 0

    await builders.fund(owner, programme, short_of, 1)
    assert (await _change(owner, drop_id, "publish"))["outcome"] == "done"
    for funder in needed:
        assert await balance(owner, programme, f"available:{funder}") == 0
    raised = await _change(owner, drop_id, "quota", QUOTA + 1)
    assert (raised["outcome"], raised["drop_quota"]) == ("insufficient_funds", QUOTA)


@pytest.mark.parametrize(
    ("rail", "kind", "outcome"),
    [
        ("bank", "platform", "done"),
        ("ecny", "platform", "insufficient_funds"),
        ("ecny", "merchant_pool", "done"),
    ],
)
async def test_on_the_ecny_rail_only_cash_counts(
    owner: asyncpg.Connection, rail: str, kind: str, outcome: str
) -> None:
    """The merchants' own share aside: a promise is as good as money there, and stays a promise."""
    programme = await builders.make_programme(owner, funded_fen=0)
    await owner.execute(
        "UPDATE campaign.funders SET kind = $2, mode = 'pledge'"
        " WHERE programme_id = $1 AND funder_id = 'platform'",
        *(programme.programme_id, kind),
    )
    costs = pack_shares(programme)
    await builders.fund(owner, programme, "city", costs["city"] * QUOTA)
    await builders.fund(owner, programme, "platform", costs["platform"] * QUOTA, "J2")
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=QUOTA, rail=rail))
    answer = await _change(owner, drop_id, "publish")
    assert answer["outcome"] == outcome
    if outcome == "insufficient_funds":
        assert answer["short_funder"] == "platform"
        # Paid, the promise is money, and the last fen of it is needed.
        await builders.fund(owner, programme, "platform", costs["platform"] * QUOTA - 1, "J3")
        assert (await _change(owner, drop_id, "publish"))["outcome"] == outcome
        await builders.fund(owner, programme, "platform", 1, "J3")
        assert (await _change(owner, drop_id, "publish"))["outcome"] == "done"
    cash = {"city": costs["city"], "platform": costs["platform"] if kind == "platform" else 0}
    in_custody = sum(cash.values()) * QUOTA if rail == "ecny" else 0
    assert await balance(owner, programme, "wallet:main") == in_custody
    assert (await _row(owner, drop_id))["absorbs"] is (kind == "merchant_pool")


async def test_two_drops_cannot_reserve_the_same_money(
    connect_as: Connect, owner: asyncpg.Connection
) -> None:
    """Published at once from two connections, money for one: one is done, one is refused."""
    programme = await builders.make_programme(owner, funded_fen=0)
    for funder, fen in pack_shares(programme).items():
        await builders.fund(owner, programme, funder, fen * QUOTA)
    drops = [await builders.make_drop(owner, programme, DropTerms(quota=QUOTA)) for _ in range(2)]
    async with connect_as("campaign") as first, connect_as("campaign") as second:
        held, waiting = first.transaction(), second.transaction()
        await held.start()
        await waiting.start()
        assert (await _change(first, drops[0], "publish"))["outcome"] == "done"
        savepoint = second.transaction()
        await savepoint.start()
        await second.execute("SET LOCAL lock_timeout = '50ms'")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await _change(second, drops[1], "publish")
        await savepoint.rollback()
        await held.commit()
        assert (await _change(second, drops[1], "publish"))["outcome"] == "insufficient_funds"
        await waiting.commit()


async def test_the_books_are_sound_afterwards(owner: asyncpg.Connection) -> None:
    await assert_sound(owner)


def _moved(
    programme: Programme, drop_id: UUID, kind: str, packs: int
) -> dict[tuple[str, str], int]:
    moved = {}
    for funder, fen in pack_shares(programme).items():
        there = (f"available:{funder}", f"reserved:{funder}:{drop_id}")
        moved[there if kind == "J4" else there[::-1]] = fen * packs
    return moved


async def _change(
    connection: asyncpg.Connection, drop_id: UUID, change: str, quota: int | None = None
) -> dict[str, Any]:
    row = await connection.fetchrow(
        "SELECT * FROM campaign.change_drop(1::smallint, $1, $2, $3, $4)",
        *(drop_id, change, quota, OPERATOR),
    )
    assert row is not None
    return dict(row)


async def _row(owner: asyncpg.Connection, drop_id: UUID) -> asyncpg.Record:
    row = await owner.fetchrow("SELECT * FROM campaign.drops WHERE drop_id = $1", drop_id)
    assert row is not None
    return row


async def _guarded(owner: asyncpg.Connection, programme: Programme, code: str) -> int:
    balance_fen: int = await owner.fetchval(
        "SELECT balance_fen FROM ledger.balances JOIN ledger.accounts USING (account_id)"
        " WHERE accounts.programme_id = $1 AND code = $2",
        *(programme.programme_id, code),
    )
    return balance_fen
