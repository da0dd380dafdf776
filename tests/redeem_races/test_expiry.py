"""Everything that touches a voucher, racing the end of its cohort: the expiry counts exactly."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from tests import builders, tills
from tests.builders import Programme
from tests.redeem_races.aiming import Aim, Lead
from tests.redeem_races.lending import Lent, lending
from tests.redeem_races.lives import issue_short_lived, make_programme
from tests.tills import Asked, Till

ROUNDS = 500
ROUNDS_PER_PROGRAMME = 100
AT_ONCE = 10
CLAIMS = 5
ACTS = 9
PREPARED_AGAIN_MAX = 8


async def test_touches_voids_and_time_outs_race_the_expiry(
    books: asyncpg.Connection, tills_pool: Lent, database_url: str
) -> None:
    seen: Counter[str] = Counter()
    aim, lead = Aim(random.Random(105), spread_s=0.009), Lead()
    async with lending(database_url, 2 * AT_ONCE) as owners:
        for _ in range(ROUNDS // ROUNDS_PER_PROGRAMME):
            programme = await make_programme(books)
            till = await tills.enrol_till(books, programme.programme_id)
            for _ in range(ROUNDS_PER_PROGRAMME // AT_ONCE):
                await asyncio.gather(
                    *(
                        play(Stage(owners, tills_pool, aim, lead), programme, till, seen)
                        for _ in range(AT_ONCE)
                    )
                )
    await tills.expire_due(books)
    for wanted in (
        "first touch captured",
        "first touch expired",
        "second touch captured",
        "void released",
        "void expired",
        "time-out True",
        "time-out False",
    ):
        assert seen[wanted] >= ROUNDS // 50, seen
    assert seen.total() == ROUNDS * ACTS, seen
    # J18 is exact: what the journals moved is what the expiries counted, and nothing is left over.
    assert (
        await books.fetchval(
            "SELECT coalesce(sum(balance_fen), 0) FROM ledger.account_balances"
            " WHERE family IN ('outstanding', 'held')"
        )
        == 0
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """What every round is played with."""

    owners: Lent
    pool: Lent
    aim: Aim
    lead: Lead


async def play(stage: Stage, programme: Programme, till: Till, seen: Counter[str]) -> None:
    """Play one round; on a machine so slow that the vouchers ended too early, prepare another."""
    owners, pool = stage.owners, stage.pool
    for _ in range(PREPARED_AGAIN_MAX):
        begun_at = datetime.now(UTC)
        async with owners.acquire() as owner:
            claims, ends_at = await issue_short_lived(
                owner, programme, stage.lead.lives, claims=CLAIMS
            )
            # A voucher that was touched before: held and released; the next is a second touch.
            before = tills.ask(till, claims[1], capture=False)
            overdue = tills.ask(till, claims[2], capture=False)
            told = await tills.decide(owner, [before, overdue])
            released = await tills.finish_hold(owner, before, "release")
        stage.lead.took(datetime.now(UTC) - begun_at)
        if [one.outcome for one in told] == ["held", "held"] and released == "released":
            break
    else:
        raise AssertionError("no voucher lived long enough")

    async def capture(asked: Asked) -> str:
        async with pool.acquire() as connection:
            return (await tills.decide(connection, [asked]))[0].outcome

    async def time_out() -> str:
        async with pool.acquire() as connection:
            return str(
                await connection.fetchval(
                    "SELECT redeem.time_out(1::smallint, $1)", overdue.redemption_id
                )
            )

    async def void(claim_id: UUID) -> str:
        async with owners.acquire() as owner:
            return await builders.release(owner, claim_id, reopen=True)

    async def expire() -> str:
        async with pool.acquire() as connection:
            await tills.expire_due(connection)
        return "ran"

    acts: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("first touch", lambda: capture(tills.ask(till, claims[0]))),
        ("first touch", lambda: capture(tills.ask(till, claims[0], 1))),
        ("second touch", lambda: capture(tills.ask(till, claims[1]))),
        ("time-out", time_out),
        ("void", lambda: void(claims[3])),
        ("first touch", lambda: capture(tills.ask(till, claims[4]))),
        ("void", lambda: void(claims[4])),
        ("expiry", expire),
        ("expiry", expire),
    ]

    async def at_the_end(name: str, act: Callable[[], Awaitable[str]]) -> None:
        await stage.aim.wait(ends_at, later_s=0.001 if name == "time-out" else 0)
        told = await act()
        seen[f"{name} {told}"] += 1
        if name == "first touch" and told in {"captured", "expired"}:
            stage.aim.came(late=told == "expired")

    await asyncio.gather(*(at_the_end(name, act) for name, act in acts))


async def test_a_claim_whose_vouchers_expired_is_not_voided(
    books: asyncpg.Connection, tills_pool: Lent
) -> None:
    programme = await make_programme(books)
    claims, ends_at = await issue_short_lived(books, programme, timedelta(milliseconds=1))
    await asyncio.sleep(max(0, (ends_at - datetime.now(UTC)).total_seconds()) + 0.01)
    async with tills_pool.acquire() as connection:
        assert await tills.expire_due(connection) == 2
        assert await tills.expire_due(connection) == 0
    assert await builders.release(books, claims[0], reopen=True) == "expired"
