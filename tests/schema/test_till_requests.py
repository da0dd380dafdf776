"""What a till is told under its request numbers, the first time and ever after."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from tests import builders, tills
from tests.builders import DropTerms, Kind
from tests.schema.booked import assert_sound
from tests.tills import Asked, Till

PACK = (Kind("meal", 1001, 2), Kind("book", 500, 1, min_spend_fen=0))
CITY = 1


@dataclass(frozen=True, slots=True)
class Counter:
    """A till, and claims whose vouchers nobody has touched yet."""

    till: Till
    claims: list[UUID]

    def ask(self, position: int = 0, *, capture: bool = True) -> Asked:
        return tills.ask(self.till, self.claims[-1], position, capture=capture)


@pytest_asyncio.fixture(scope="module")
async def drop_id(owner: asyncpg.Connection) -> UUID:
    programme = await builders.make_programme(
        owner, shares={"city": 6667, "shops": 3333}, pool="shops"
    )
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=500, pack=PACK))
    await builders.publish(owner, drop_id)
    return drop_id


@pytest_asyncio.fixture
async def counter(owner: asyncpg.Connection, drop_id: UUID) -> Counter:
    programme_id = await owner.fetchval(
        "SELECT programme_id FROM campaign.drops WHERE drop_id = $1", drop_id
    )
    till = await tills.enrol_till(owner, programme_id)
    return Counter(till, (await builders.issue(owner, drop_id, 2)).won)


async def decided(owner: asyncpg.Connection, *asked: Asked) -> list[str]:
    return [told.outcome for told in await tills.decide(owner, asked)]


@pytest.mark.parametrize("by", ["hold", "capture"])
async def test_what_was_reversed_is_so_under_all_its_numbers(
    owner: asyncpg.Connection, counter: Counter, by: str
) -> None:
    """A capture that is sent again late must not look as if the money was still taken."""
    held = counter.ask(capture=False)
    captured = held.again(request_no=f"{held.request_no}-capture")
    assert await decided(owner, held) == ["held"]
    assert await tills.finish_hold(owner, held, "capture") == "captured"
    assert await tills.reverse(owner, held if by == "hold" else captured) == "reversed"
    assert await decided(owner, held) == ["reversed"]
    assert await tills.finish_hold(owner, held, "capture") == "reversed"
    # The voucher is good again.
    assert await decided(owner, counter.ask()) == ["captured"]


async def test_a_refusal_stays_what_it_was_when_the_redemption_is_reversed(
    owner: asyncpg.Connection, counter: Counter
) -> None:
    held = counter.ask(capture=False)
    await decided(owner, held)
    assert await tills.finish_hold(owner, held, "release") == "released"
    assert await tills.finish_hold(owner, held, "capture") == "hold_ended"
    assert await tills.reverse(owner, held) == "reversed"
    assert await tills.finish_hold(owner, held, "capture") == "hold_ended"
    assert await tills.finish_hold(owner, held, "release") == "released"


async def test_a_number_finishes_one_hold(owner: asyncpg.Connection, counter: Counter) -> None:
    first, second = counter.ask(capture=False), counter.ask(1, capture=False)
    assert await decided(owner, first, second) == ["held", "held"]
    assert await tills.finish_hold(owner, first, "capture", "one-number") == "captured"
    assert await tills.finish_hold(owner, second, "capture", "one-number") == (
        "idempotency_key_reused"
    )
    assert await tills.finish_hold(owner, second, "release") == "released"


async def test_a_reversal_does_not_reverse_itself(
    owner: asyncpg.Connection, counter: Counter
) -> None:
    asked = counter.ask()
    assert await tills.reverse(owner, asked, asked.request_no) == "not_reversible"
    assert await decided(owner, asked) == ["captured"]
    assert await tills.reverse(owner, asked, asked.request_no) == "idempotency_key_reused"


async def test_a_reversal_cannot_be_reversed(owner: asyncpg.Connection, counter: Counter) -> None:
    asked = counter.ask()
    await decided(owner, asked)
    assert await tills.reverse(owner, asked, "undo") == "reversed"
    assert await tills.reverse(owner, asked.again(request_no="undo")) == "not_reversible"


async def test_a_bad_code_is_not_remembered(owner: asyncpg.Connection, counter: Counter) -> None:
    """The one answer that another code may change; and a code is good once."""
    first = counter.ask(capture=False)
    await decided(owner, first)
    await tills.finish_hold(owner, first, "release")
    stale = counter.ask().again(code_step=first.code_step)
    assert await decided(owner, stale) == ["bad_code"]
    assert await decided(owner, stale.again(code_step=counter.ask().code_step)) == ["captured"]


@pytest.mark.parametrize(
    ("categories", "outcome"),
    [
        ("{catering}", "captured"),
        ("{books,catering}", "captured"),
        ("{books}", "wrong_category"),
        ("{books,NULL}", "wrong_category"),
        ("{}", "wrong_category"),
    ],
)
async def test_a_merchant_takes_vouchers_of_its_own_categories(
    owner: asyncpg.Connection, counter: Counter, categories: str, outcome: str
) -> None:
    await owner.execute(
        "UPDATE campaign.merchants SET categories = $2::text::text[] WHERE merchant_id = $1",
        *(counter.till.merchant_id, categories),
    )
    assert await decided(owner, counter.ask()) == [outcome]


async def test_the_kind_at_each_position(owner: asyncpg.Connection, counter: Counter) -> None:
    """Two meals, then a book; what lies beyond the pack is no voucher."""
    assert await decided(owner, *(counter.ask(position) for position in range(4))) == (
        ["captured"] * 3 + ["bad_code"]
    )
    faces = await owner.fetch(
        "SELECT amount_fen FROM redeem.redemptions WHERE claim_id = $1 ORDER BY position",
        counter.claims[-1],
    )
    assert [row["amount_fen"] for row in faces] == [1001, 1001, 500]


async def test_an_order_below_the_minimum_or_the_face(
    owner: asyncpg.Connection, counter: Counter
) -> None:
    meal, book = counter.ask(), counter.ask(2)
    assert await decided(owner, meal.again(order_fen=3999), book.again(order_fen=499)) == (
        ["below_min_spend"] * 2
    )
    assert await decided(
        owner,
        counter.ask().again(order_fen=4000),
        counter.ask(2).again(order_fen=500),
    ) == ["captured", "captured"]


async def test_a_till_of_nobody_is_told_so_and_leaves_nothing(
    owner: asyncpg.Connection, counter: Counter
) -> None:
    stranger = Till(counter.till.merchant_id, counter.claims[0], "unknown")
    asked = tills.ask(stranger, counter.claims[0])
    assert await decided(owner, asked) == ["terminal_suspended"]
    assert (
        await owner.fetchval(
            "SELECT count(*) FROM redeem.requests WHERE request_no = $1", asked.request_no
        )
        == 0
    )


async def test_a_merchant_of_another_programme(owner: asyncpg.Connection, counter: Counter) -> None:
    other = await builders.make_programme(owner)
    till = await tills.enrol_till(owner, other.programme_id)
    asked = tills.ask(till, counter.claims[0])
    assert await decided(owner, asked) == ["merchant_not_enrolled"]
    assert await decided(owner, asked) == ["merchant_not_enrolled"]


async def test_an_empty_batch_and_one_too_large(
    owner: asyncpg.Connection, counter: Counter
) -> None:
    row = await owner.fetchrow(
        "SELECT * FROM redeem.decide(1::smallint, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}',"
        " '{}', '{}', '{}')"
    )
    assert row is not None
    assert row["outcomes"] is None
    with pytest.raises(asyncpg.InvalidParameterValueError, match="at most 256"):
        await tills.decide(owner, [counter.ask() for _ in range(257)])


async def test_the_books_are_sound_afterwards(owner: asyncpg.Connection) -> None:
    await assert_sound(owner)
