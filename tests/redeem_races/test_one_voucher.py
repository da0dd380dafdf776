"""One voucher and many who want something of it at once: one of them gets it."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from tests import builders, tills
from tests.builders import Programme
from tests.redeem_races.aiming import Aim, Lead
from tests.redeem_races.lending import Lent, lending
from tests.redeem_races.lives import issue_short_lived, make_programme
from tests.tills import Asked, Till, Told

ROUNDS = 500
ROUNDS_PER_PROGRAMME = 100
AT_ONCE = 4


async def decide_one(pool: Lent, asked: Asked) -> Told:
    async with pool.acquire() as connection:
        return (await tills.decide(connection, [asked]))[0]


async def test_two_hundred_captures_from_twenty_tills_are_one_success(
    books: asyncpg.Connection, tills_pool: Lent
) -> None:
    programme = await make_programme(books)
    drop_id = await builders.make_drop(books, programme)
    await builders.publish(books, drop_id)
    claim_id = (await builders.issue(books, drop_id, 1)).won[0]
    enrolled = [await tills.enrol_till(books, programme.programme_id) for _ in range(20)]
    asked = [tills.ask(enrolled[n % 20], claim_id) for n in range(200)]

    told = await asyncio.gather(*(decide_one(tills_pool, one) for one in asked))

    assert Counter(one.outcome for one in told) == {"captured": 1, "already_redeemed": 199}
    winner = next(a for a, t in zip(asked, told, strict=True) if t.outcome == "captured")
    for one in told:
        if one.outcome == "already_redeemed":
            assert one.by_terminal == winner.till.terminal_id
            assert one.by_request_no == winner.request_no
    again = await asyncio.gather(*(decide_one(tills_pool, one) for one in asked))
    assert [one.outcome for one in again] == [one.outcome for one in told]
    assert all(one.is_replayed for one in again)


async def test_a_batch_that_names_a_voucher_twice_is_refused_and_does_nothing(
    books: asyncpg.Connection, tills_pool: Lent
) -> None:
    programme = await make_programme(books)
    drop_id = await builders.make_drop(books, programme)
    await builders.publish(books, drop_id)
    first, second = (await builders.issue(books, drop_id, 2)).won
    till = await tills.enrol_till(books, programme.programme_id)
    twice = tills.ask(till, first)
    async with tills_pool.acquire() as connection:
        with pytest.raises(asyncpg.InvalidParameterValueError, match="each voucher"):
            await tills.decide(connection, [tills.ask(till, second), twice, tills.ask(till, first)])
        same_number = tills.ask(till, first, 1).again(request_no=twice.request_no)
        with pytest.raises(asyncpg.InvalidParameterValueError, match="each request"):
            await tills.decide(connection, [twice, same_number])
        assert await books.fetchval("SELECT count(*) FROM redeem.requests") == 0
        assert await books.fetchval("SELECT count(*) FROM redeem.vouchers") == 0
        # Two vouchers of one claim are two decisions, and both are taken.
        both = await tills.decide(connection, [tills.ask(till, first), tills.ask(till, first, 1)])
        assert [told.outcome for told in both] == ["captured", "captured"]


async def test_two_vouchers_of_one_claim_at_once(
    books: asyncpg.Connection, tills_pool: Lent
) -> None:
    programme = await make_programme(books)
    drop_id = await builders.make_drop(books, programme, builders.DropTerms(quota=60))
    await builders.publish(books, drop_id)
    till = await tills.enrol_till(books, programme.programme_id)
    claims = (await builders.issue(books, drop_id, 50)).won
    asked = [tills.ask(till, claim, position) for claim in claims for position in (0, 3)]
    told = await asyncio.gather(*(decide_one(tills_pool, one) for one in asked))
    assert Counter(one.outcome for one in told) == {"captured": 100}


class Round:
    """Two captures, a reversal of the first, an expiry and a void, all at once."""

    def __init__(self, owner: Lent, pool: Lent, chosen: random.Random, aim: Aim) -> None:
        self.owner = owner
        self.pool = pool
        self.chosen = chosen
        self.aim = aim
        self.told: dict[str, str] = {}

    async def play(self, claim_id: UUID, ends_at: datetime, asked: list[Asked]) -> None:
        async with self.owner.acquire() as owner:
            drop_id = await owner.fetchval(
                "SELECT drop_id FROM claim.claims WHERE claim_id = $1", claim_id
            )
        await asyncio.gather(
            self._at(ends_at, "first", self._capture(asked[0])),
            self._at(ends_at, "second", self._capture(asked[1])),
            self._at(ends_at, "reversal", self._reverse(asked[0])),
            self._at(ends_at, "expiry", self._expire(drop_id, ends_at)),
            self._at(ends_at, "void", self._void(claim_id)),
        )

    async def _at(self, ends_at: datetime, name: str, act: Awaitable[str]) -> None:
        await self.aim.wait(ends_at)
        told = self.told[name] = await act
        if name in {"first", "second"} and told in {"captured", "already_redeemed", "expired"}:
            self.aim.came(late=told == "expired")

    async def _capture(self, asked: Asked) -> str:
        return (await decide_one(self.pool, asked)).outcome

    async def _reverse(self, asked: Asked) -> str:
        async with self.pool.acquire() as connection:
            return await tills.reverse(connection, asked)

    async def _expire(self, drop_id: UUID, ends_at: datetime) -> str:
        async with self.pool.acquire() as connection:
            count = await connection.fetchval(
                "SELECT redeem.expire_cohort($1::smallint, $2, 'meal', $3)", 1, drop_id, ends_at
            )
            return "early" if count is None else str(count)

    async def _void(self, claim_id: UUID) -> str:
        async with self.owner.acquire() as connection:
            return await builders.release(connection, claim_id, reopen=self.chosen.random() < 0.5)


async def test_every_end_of_a_voucher_at_once_is_one_end(
    books: asyncpg.Connection, tills_pool: Lent, database_url: str
) -> None:
    seen: Counter[str] = Counter()
    chosen = random.Random(20200420)
    aim, lead = Aim(chosen, spread_s=0.006), Lead()

    async with lending(database_url, 2 * AT_ONCE) as owners:
        for _ in range(ROUNDS // ROUNDS_PER_PROGRAMME):
            programme = await make_programme(books)
            pair = [await tills.enrol_till(books, programme.programme_id) for _ in range(2)]

            async def play(programme: Programme = programme, pair: list[Till] = pair) -> None:
                begun_at = datetime.now(UTC)
                async with owners.acquire() as owner:
                    claims, ends_at = await issue_short_lived(owner, programme, lead.lives)
                asked = [tills.ask(till, claims[0]) for till in pair]
                one = Round(owners, tills_pool, chosen, aim)
                lead.took(datetime.now(UTC) - begun_at)
                await one.play(claims[0], ends_at, asked)
                assert_legal(one.told)
                seen.update(f"{name} {outcome}" for name, outcome in one.told.items())

            for _ in range(ROUNDS_PER_PROGRAMME // AT_ONCE):
                await asyncio.gather(*(play() for _ in range(AT_ONCE)))
    await tills.expire_due(books)
    # Every kind of ending was met, so that none of them was proven by its absence.
    for wanted in ("first captured", "second captured", "reversal reversed", "void released"):
        assert seen[wanted] > 0, seen
    assert any(name.startswith("expiry ") and name != "expiry early" for name in seen), seen
    live = await books.fetchval(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM redeem.redemptions WHERE ended_at IS NULL"
        " GROUP BY claim_id, position) AS live"
    )
    assert live == 1


def assert_legal(told: dict[str, str]) -> None:
    """What the five were told must be true of one order in which they came."""
    assert told["first"] in {
        "captured", "already_redeemed", "reversed", "expired", "voided",
    }, told  # fmt: skip
    assert told["second"] in {"captured", "already_redeemed", "expired", "voided"}, told
    assert told["reversal"] in {"reversed", "never_happened"}, told
    assert told["void"] in {"released", "in_use", "expired"}, told
    if told["reversal"] == "reversed":
        assert told["first"] == "captured", told
    elif told["first"] == "captured":
        pytest.fail(f"told never_happened of what happened: {told}")
    # Captured for good, or voided: not both.
    kept = (told["first"] == "captured" and told["reversal"] != "reversed") or told[
        "second"
    ] == "captured"
    assert not (kept and told["void"] == "released"), told
