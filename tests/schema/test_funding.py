"""`campaign.fund`: money that came in (J1), a promise (J2), a promise paid (J3)."""

from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from shared.ids import new_id
from tests import builders
from tests.builders import OPERATOR, DropTerms, Programme
from tests.schema.booked import assert_sound, balance, journal, pack_shares
from tests.schema.undoing import undone

ACCOUNTS = ("bank:main", "pledge:city", "available:city")


@pytest_asyncio.fixture
async def programme(owner: asyncpg.Connection) -> Programme:
    return await builders.make_programme(owner, funded_fen=0)


@pytest.mark.parametrize(
    ("kind", "moved"),
    [("J1", ("bank:main", "available:city")), ("J2", ("pledge:city", "available:city"))],
)
async def test_money_and_promises_become_available(
    owner: asyncpg.Connection, programme: Programme, kind: str, moved: tuple[str, str]
) -> None:
    outcome, funding_id = await _fund(owner, programme, 1_234, kind)
    assert outcome == "booked"
    assert await journal(owner, kind, funding_id) == {moved: 1_234}
    kept = await owner.fetchrow(
        "SELECT amount_fen, journal_kind, reference, created_by FROM campaign.fundings"
        " WHERE funding_id = $1",
        funding_id,
    )
    assert kept is not None
    assert tuple(kept) == (1_234, kind, "receipt", OPERATOR)


async def test_a_promise_is_paid_into_the_bank_and_no_further(
    owner: asyncpg.Connection, programme: Programme
) -> None:
    assert (await _fund(owner, programme, 1, "J3"))[0] == "pledge_exceeded"
    assert (await _fund(owner, programme, 1_000, "J2"))[0] == "booked"
    assert (await _fund(owner, programme, 1_001, "J3"))[0] == "pledge_exceeded"
    outcome, funding_id = await _fund(owner, programme, 600, "J3")
    assert outcome == "booked"
    assert await journal(owner, "J3", funding_id) == {("bank:main", "pledge:city"): 600}
    assert [await balance(owner, programme, code) for code in ACCOUNTS] == [600, 400, 1_000]
    assert (await _fund(owner, programme, 401, "J3"))[0] == "pledge_exceeded"
    assert (await _fund(owner, programme, 400, "J3"))[0] == "booked"
    assert [await balance(owner, programme, code) for code in ACCOUNTS] == [1_000, 0, 1_000]
    # What was refused was not kept.
    assert (
        await owner.fetchval(
            "SELECT count(*) FROM campaign.fundings WHERE programme_id = $1", programme.programme_id
        )
        == 3
    )


async def test_what_merchants_give_in_kind_is_not_paid_as_well(owner: asyncpg.Connection) -> None:
    """Their promise is committed to a drop that takes it off what they are paid (J11)."""
    programme = await builders.make_programme(
        owner, shares={"city": 6667, "shops": 3333}, pool="shops", funded_fen=100_000
    )
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=10))
    await builders.publish(owner, drop_id)
    committed = 10 * pack_shares(programme)["shops"]
    assert (await _fund(owner, programme, 100_000 - committed + 1, "J3", "shops"))[0] == (
        "pledge_absorbed"
    )
    assert (await _fund(owner, programme, 100_001, "J3", "shops"))[0] == "pledge_exceeded"
    assert (await _fund(owner, programme, 100_000 - committed, "J3", "shops"))[0] == "booked"
    assert (await _fund(owner, programme, 1, "J3", "shops"))[0] == "pledge_absorbed"
    # What the drop does not need any more may be paid.
    assert await builders.change_drop(owner, drop_id, "close") == "done"
    assert (await _fund(owner, programme, committed, "J3", "shops"))[0] == "booked"


async def test_nobody_pays_for_a_stranger(owner: asyncpg.Connection, programme: Programme) -> None:
    other = await builders.make_programme(owner, shares={"museum": 10_000}, funded_fen=0)
    assert (await _fund(owner, programme, 5, "J1", "museum"))[0] == "unknown_funder"
    assert (await _fund(owner, other, 5, "J1", "city"))[0] == "unknown_funder"
    assert await balance(owner, programme, "bank:main") == 0


async def test_a_funding_is_booked_once(owner: asyncpg.Connection, programme: Programme) -> None:
    outcome, funding_id = await _fund(owner, programme, 700, "J1")
    assert outcome == "booked"
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        await _fund(owner, programme, 700, "J1", funding_id=funding_id)
    assert refused.value.constraint_name == "fundings_pkey"
    assert await balance(owner, programme, "available:city") == 700


@pytest.mark.parametrize(
    ("amount_fen", "kind", "constraint"),
    [
        (0, "J1", "funding_is_positive"),
        (-5, "J1", "funding_is_positive"),
        (-5, "J3", "funding_is_positive"),
        (5, "J4", "funding_journal_is_known"),
    ],
)
async def test_nonsense_is_refused_by_the_table(
    owner: asyncpg.Connection, programme: Programme, amount_fen: int, kind: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError) as refused:
        await _fund(owner, programme, amount_fen, kind)
    assert refused.value.constraint_name == constraint


async def test_an_overdraft_is_unwritable(owner: asyncpg.Connection, programme: Programme) -> None:
    """Below every function: `ledger.post` itself cannot take a guarded account below zero."""
    await _fund(owner, programme, 100, "J1")
    async with undone(owner):
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            async with owner.transaction():
                await _post(owner, programme, "one fen too many", 101)
        assert refused.value.constraint_name == "balance_is_not_negative"
        await _post(owner, programme, "all of it", 100)
        with pytest.raises(asyncpg.UniqueViolationError) as refused_twice:
            await _post(owner, programme, "all of it", 0)
        assert refused_twice.value.constraint_name == "journals_identity_key"


async def test_the_books_are_sound_afterwards(owner: asyncpg.Connection) -> None:
    await assert_sound(owner)


async def _post(
    owner: asyncpg.Connection, programme: Programme, event: str, amount_fen: int
) -> None:
    await owner.execute(
        "SELECT ledger.post(1::smallint, $1, 'J5', $2, NULL, 'test', now(),"
        " ARRAY['available:city'], ARRAY['bank:main'], ARRAY[$3::bigint])",
        *(programme.programme_id, event, amount_fen),
    )


async def _fund(
    owner: asyncpg.Connection,
    programme: Programme,
    amount_fen: int,
    kind: str,
    funder: str = "city",
    *,
    funding_id: UUID | None = None,
) -> tuple[str, UUID]:
    funding_id = funding_id or new_id(1)
    outcome = await owner.fetchval(
        "SELECT campaign.fund(1::smallint, $1, $2, $3, $4, 'receipt', $5, $6)",
        *(programme.programme_id, funding_id, funder, amount_fen, kind, OPERATOR),
    )
    return outcome, funding_id
