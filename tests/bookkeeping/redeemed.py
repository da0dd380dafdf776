"""A city whose vouchers met every end: redeemed, held, reversed, expired, paid, returned."""

from datetime import date, timedelta
from uuid import UUID

import asyncpg

from shared.ids import new_id
from tests import builders, tills
from tests.builders import OPERATOR, DropTerms, Kind, Programme
from tests.tills import Till

FINANCE, APPROVER = "finance-1", "approver-1"
PACK = (Kind("meal", 1001, 2), Kind("book", 500, 1))


async def live(owner: asyncpg.Connection) -> None:
    """Play a programme on each rail, to its last fen but one hold and one open instruction."""
    ecny = await _programme(owner)
    await _redeem_on_the_ecny_rail(owner, ecny)
    bank = await _programme(owner)
    await _redeem_on_the_bank_rail(owner, bank)
    await tills.advance(owner, timedelta(days=9))
    assert await tills.expire_due(owner) > 0
    for programme in (bank, ecny):
        for funder_id in ("city", "shops"):
            await _return_all(owner, programme, funder_id)
        for difference_fen in (300, -200):
            await _post_break(owner, programme, difference_fen)


async def _programme(owner: asyncpg.Connection) -> Programme:
    return await builders.make_programme(
        owner, shares={"city": 6667, "shops": 3333}, pool="shops", funded_fen=100_000
    )


async def _claims(
    owner: asyncpg.Connection, programme: Programme, rail: str
) -> tuple[Till, list[UUID]]:
    drop_id = await builders.make_drop(owner, programme, DropTerms(quota=12, pack=PACK, rail=rail))
    await builders.publish(owner, drop_id)
    till = await tills.enrol_till(owner, programme.programme_id)
    return till, (await builders.issue(owner, drop_id, 8)).won


async def _redeem_on_the_bank_rail(owner: asyncpg.Connection, programme: Programme) -> None:
    till, won = await _claims(owner, programme, "bank")
    await tills.redeem(owner, till, won[0])
    later_reversed = await tills.redeem(owner, till, won[0], 2)
    assert await tills.reverse(owner, await tills.redeem(owner, till, won[1])) == "reversed"
    held = await tills.redeem(owner, till, won[2], capture=False)
    assert await tills.finish_hold(owner, held, "capture") == "captured"
    released = await tills.redeem(owner, till, won[3], capture=False)
    assert await tills.finish_hold(owner, released, "release") == "released"
    assert await builders.release(owner, won[3], reopen=False) == "released"
    assert await tills.reverse(owner, tills.ask(till, won[4])) == "never_happened"

    await tills.advance(owner, timedelta(days=1))
    assert await settle(owner, programme, "confirmed")
    assert await tills.reverse(owner, later_reversed) == "reversed"
    await tills.redeem(owner, till, won[5])
    await tills.advance(owner, timedelta(days=1))
    assert await settle(owner, programme, "rejected")
    await cut(owner, programme)
    await tills.redeem(owner, till, won[6])
    await tills.redeem(owner, till, won[6], 2, capture=False)


async def _redeem_on_the_ecny_rail(owner: asyncpg.Connection, programme: Programme) -> None:
    till, won = await _claims(owner, programme, "ecny")
    for claim_id in won[:2]:
        paid = await tills.redeem(owner, till, claim_id)
        assert await tills.answer(owner, paid, "confirmed") == "captured"
    assert await tills.reverse(owner, paid) == "pending"
    assert await tills.answer(owner, paid, "confirmed", "refund") == "reversed"
    failed = await tills.redeem(owner, till, won[2])
    assert await tills.answer(owner, failed, "rejected") == "failed"
    assert await builders.release(owner, won[3], reopen=False) == "released"
    await tills.redeem(owner, till, won[4])


async def cut(owner: asyncpg.Connection, programme: Programme) -> UUID:
    """Cut a batch for the days before today; return its id."""
    batch_id = new_id(programme.city_id)
    yesterday: date = await owner.fetchval("SELECT ledger.accounting_date(campaign.now()) - 1")
    outcome = await owner.fetchval(
        "SELECT ledger.cut_batch($1, $2, $3, $4, $5)",
        *(programme.city_id, programme.programme_id, yesterday, batch_id, FINANCE),
    )
    assert outcome == "cut", outcome
    return batch_id


async def settle(owner: asyncpg.Connection, programme: Programme, bank_says: str) -> UUID:
    """Cut and approve a batch, and have the bank confirm or reject every payout of it."""
    batch_id = await cut(owner, programme)
    outcome = await owner.fetchval(
        "SELECT ledger.decide_batch($1, $2, 'approved', $3)", programme.city_id, batch_id, APPROVER
    )
    assert outcome == "approved", outcome
    for payout in await owner.fetch(
        "SELECT payout_id FROM ledger.payouts WHERE batch_id = $1", batch_id
    ):
        outcome = await owner.fetchval(
            "SELECT ledger.finish_payout($1, $2, $3, 'bank-1', NULL, 'bank')",
            *(programme.city_id, payout["payout_id"], bank_says),
        )
        assert outcome == bank_says, outcome
    return batch_id


async def _return_all(owner: asyncpg.Connection, programme: Programme, funder_id: str) -> None:
    return_id = new_id(programme.city_id)
    outcome = await owner.fetchval(
        "SELECT ledger.propose_return($1, $2, $3, true, $4, $5)",
        *(programme.city_id, programme.programme_id, funder_id, return_id, FINANCE),
    )
    assert outcome == "proposed", outcome
    outcome = await owner.fetchval(
        "SELECT ledger.decide_return($1, $2, 'approved', $3)",
        *(programme.city_id, return_id, APPROVER),
    )
    assert outcome == "approved", outcome


async def _post_break(owner: asyncpg.Connection, programme: Programme, difference_fen: int) -> None:
    """Book a difference of the bank account, as two persons would."""
    city_id = programme.city_id
    statement_id, run_id, break_id = new_id(city_id), new_id(city_id), new_id(city_id)
    await owner.execute(
        "INSERT INTO ledger.statements (city_id, statement_id, programme_id, format, account, day,"
        " version, sha256, content, totals, lines, quarantined, uploaded_at, uploaded_by)"
        " VALUES ($1, $2, $3, 'bank-statement', 'bank:main', '2026-01-01', $4,"
        " sha256($5::text::bytea), '', '{}', 0, 0, campaign.now(), $6)",
        *(city_id, statement_id, programme.programme_id, 1 + (difference_fen > 0)),
        *(str(statement_id), FINANCE),
    )
    await owner.execute(
        "INSERT INTO ledger.reconciliations (city_id, reconciliation_id, programme_id,"
        " statement_id, lines, movements, matched, differences, difference_fen, missing_days,"
        " waterfall, result_hash, run_at, run_by) VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, '{}',"
        " '{}', sha256(''), campaign.now(), $5)",
        *(city_id, run_id, programme.programme_id, statement_id, FINANCE),
    )
    await owner.execute(
        "INSERT INTO ledger.breaks (city_id, break_id, programme_id, statement_id,"
        " reconciliation_id, account, type, subject, difference_fen, happened_on, state, opened_at,"
        " proposal, proposed_at, proposed_by) VALUES ($1, $2, $3, $4, $5, 'bank:main',"
        " 'missing_in_ledger', format('test|%s', $6::bigint), $6, '2026-01-01', 'proposed',"
        " campaign.now(), 'post', campaign.now(), $7)",
        *(city_id, break_id, programme.programme_id, statement_id, run_id, difference_fen),
        OPERATOR,
    )
    outcome = await owner.fetchval(
        "SELECT ledger.approve_break($1, $2, $3)", city_id, break_id, APPROVER
    )
    assert outcome == "posted", outcome
