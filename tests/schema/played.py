"""A programme whose vouchers were redeemed, settled and compared, so that every table has a row."""

import json
from datetime import date, timedelta
from uuid import UUID

import asyncpg

from shared.ids import new_id
from tests import builders, tills
from tests.builders import DropTerms, Kind, Programme
from tests.tills import Till

FINANCE, APPROVER = "finance-1", "approver-1"
# What is claimed today ends at midnight; one of the two kinds has expired then, the other is due.
PACK = (Kind("meal", 1001, 3, valid_days=1), Kind("book", 500, 1, valid_days=1))


async def play(owner: asyncpg.Connection, programme: Programme) -> None:
    """Play two days on both rails, and set the clock back to where it was."""
    till = await tills.enrol_till(owner, programme.programme_id)
    await _redeem(owner, programme, till)
    await _pay_on_the_ecny_rail(owner, programme, till)
    await tills.advance(owner, timedelta(days=1))
    await _expire_meals(owner, programme)
    await _settle(owner, programme)
    await _reconcile(owner, programme)
    await tills.advance(owner, timedelta(days=-1))


async def _claims(owner: asyncpg.Connection, programme: Programme, rail: str) -> list[UUID]:
    terms = DropTerms(pack=PACK, rail=rail, closes_in=timedelta(days=99))
    drop_id = await builders.make_drop(owner, programme, terms)
    await builders.publish(owner, drop_id)
    return (await builders.issue(owner, drop_id, 2)).won


async def _redeem(owner: asyncpg.Connection, programme: Programme, till: Till) -> None:
    """One voucher is redeemed, one reversed, one held and released, one held."""
    first, second = await _claims(owner, programme, "bank")
    await tills.redeem(owner, till, first)
    assert await tills.reverse(owner, await tills.redeem(owner, till, first, 1)) == "reversed"
    released = await tills.redeem(owner, till, first, 3, capture=False)
    assert await tills.finish_hold(owner, released, "release") == "released"
    await tills.redeem(owner, till, second, 3, capture=False)
    assert await tills.reverse(owner, tills.ask(till, second)) == "never_happened"


async def _pay_on_the_ecny_rail(
    owner: asyncpg.Connection, programme: Programme, till: Till
) -> None:
    """One payment is confirmed, one waits for the operator."""
    first, second = await _claims(owner, programme, "ecny")
    paid = await tills.redeem(owner, till, first)
    assert await tills.answer(owner, paid, "confirmed") == "captured"
    await tills.redeem(owner, till, second)


async def _expire_meals(owner: asyncpg.Connection, programme: Programme) -> None:
    for cohort in await owner.fetch(
        "SELECT k.city_id, k.drop_id, k.kind_id, k.valid_until FROM claim.expiry_cohorts AS k"
        " JOIN campaign.drops AS d USING (city_id, drop_id) WHERE d.programme_id = $1"
        " AND k.kind_id = 'meal'",
        programme.programme_id,
    ):
        assert await owner.fetchval("SELECT redeem.expire_cohort($1, $2, $3, $4)", *cohort) > 0


async def _settle(owner: asyncpg.Connection, programme: Programme) -> None:
    """A batch is cut, and what expired is to go back to a funder."""
    outcome = await owner.fetchval(
        "SELECT ledger.cut_batch($1, $2, $3, $4, $5)",
        *(programme.city_id, programme.programme_id, await _yesterday(owner)),
        *(new_id(programme.city_id), FINANCE),
    )
    assert outcome == "cut", outcome
    outcome = await owner.fetchval(
        "SELECT ledger.propose_return($1, $2, 'city', false, $3, $4)",
        *(programme.city_id, programme.programme_id, new_id(programme.city_id), FINANCE),
    )
    assert outcome == "proposed", outcome


async def _reconcile(owner: asyncpg.Connection, programme: Programme) -> None:
    """A statement says one payment that the books have, and one that they have not."""
    city_id, statement_id = programme.city_id, new_id(programme.city_id)
    paid_in = await owner.fetchrow(
        "SELECT amount_fen, reference FROM campaign.fundings WHERE programme_id = $1 LIMIT 1",
        programme.programme_id,
    )
    assert paid_in is not None
    amounts = [paid_in["amount_fen"], 300]
    await owner.execute(
        "SELECT ledger.keep_statement($1, $2, $3, 'bank-statement', 'bank:main', $4, $5, $6,"
        " '{1, 2}', '{in, in}', $7, $8, '{txn-1, txn-2}', $9, '{NULL, NULL}', '{NULL, NULL}', $10)",
        *(city_id, programme.programme_id, statement_id, await _yesterday(owner)),
        *(statement_id.bytes, json.dumps({"opening_fen": 0, "closing_fen": sum(amounts)})),
        *(amounts, [paid_in["reference"], "unknown"]),
        *([await owner.fetchval("SELECT campaign.now()")] * 2, FINANCE),
    )
    outcome = await owner.fetchval(
        "SELECT ledger.reconcile($1, $2, $3, $4)",
        *(city_id, statement_id, new_id(city_id), FINANCE),
    )
    assert outcome == "run", outcome


async def _yesterday(owner: asyncpg.Connection) -> date:
    day: date = await owner.fetchval("SELECT ledger.accounting_date(campaign.now()) - 1")
    return day
