"""What is left goes back to the funders, and nothing that anybody else is owed."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.db.urls import service_url
from tests import builders, tills
from tests.bookkeeping import redeemed
from tests.builders import DropTerms, Programme
from tests.databases import SECRETS
from tests.reconciling import histories, movements
from tests.reconciling.bureau import Bureau
from tests.reconciling.movements import BANK, FORMATS, Row
from tests.schema.booked import balance, journal

# Of a pack of 2,502 fen the city pays 667 x 2 + 333, the other funder the rest.
CITY_PACK_FEN, OTHER_PACK_FEN = 1667, 835


def wanted(programme: Programme, funder_id: str, *, budget: bool = True) -> dict[str, Any]:
    return {
        "programme_id": str(programme.programme_id),
        "funder_id": funder_id,
        "include_budget": budget,
    }


async def propose(
    desk: Bureau, programme: Programme, funder_id: str, *, budget: bool = True
) -> dict[str, Any]:
    answer = await desk.finance.post("/v1/returns", wanted(programme, funder_id, budget=budget))
    assert answer.status == 201, answer.body
    proposed: dict[str, Any] = answer.body
    return proposed


def path(proposed: dict[str, Any], tail: str = "") -> str:
    return f"/v1/returns/{proposed['return_id']}{tail and '/' + tail}"


def split(body: dict[str, Any]) -> tuple[int, ...]:
    parts = ("total_fen", "released_fen", "pledge_fen", "bank_fen", "wallet_fen")
    return tuple(body[part] for part in parts)


async def to_the_end(desk: Bureau, programme: Programme) -> None:
    """Close the drops and let everything expire that was not redeemed."""
    drops = await desk.owner.fetch(
        "SELECT drop_id FROM campaign.drops WHERE programme_id = $1", programme.programme_id
    )
    for (drop_id,) in drops:
        await builders.change_drop(desk.owner, drop_id, "close")
    await tills.advance(desk.owner, timedelta(days=9))
    await tills.expire_due(desk.owner)


async def test_what_expired_and_what_was_never_used(desk: Bureau) -> None:
    history = await histories.begin(desk, "bank", claims=10)
    programme = history.programme
    await histories.redeem(desk, history, 0, 3)
    await to_the_end(desk, programme)
    await histories.pay(desk, history)
    expired_fen = 9 * CITY_PACK_FEN
    free_fen = histories.FUNDED_FEN - 10 * CITY_PACK_FEN

    proposed = await propose(desk, programme, "city")
    assert split(proposed) == (free_fen + expired_fen, free_fen, 0, free_fen + expired_fen, 0)
    assert (proposed["state"], proposed["proposed_by"]) == ("proposed", "finance-1")
    assert await balance(desk.owner, programme, "available:city") == free_fen
    answer = await desk.finance.post("/v1/returns", wanted(programme, "city"))
    answer.assert_problem(409, "return_proposed")

    approved = await desk.approver.post(path(proposed, "approve"))
    assert (approved.status, approved.body["state"]) == (200, "approved")
    assert split(approved.body) == split(proposed)
    assert (await desk.approver.post(path(proposed, "approve"))).body == approved.body
    (await desk.approver.post(path(proposed, "reject"))).assert_problem(409, "decided")
    return_id = proposed["return_id"]
    assert await journal(desk.owner, "J33", return_id) == {
        ("available:city", "return:city"): free_fen
    }
    assert await journal(desk.owner, "J19", return_id) == {
        ("return:city", "bank:main"): free_fen + expired_fen
    }
    assert await journal(desk.owner, "J20", return_id) is None
    for code in ("available:city", "return:city"):
        assert await balance(desk.owner, programme, code) == 0
    answer = await desk.finance.post("/v1/returns", wanted(programme, "city"))
    answer.assert_problem(409, "nothing_to_return")
    listed = await desk.finance.get(f"/v1/returns?programme_id={programme.programme_id}")
    assert listed.body["items"] == [approved.body]
    assert (await desk.staff("a", "auditor").get(path(proposed))).body == approved.body
    # The other funder's money is still all there, and goes back whole.
    other = await propose(desk, programme, "platform")
    assert split(other)[0] == histories.FUNDED_FEN - OTHER_PACK_FEN
    await desk.approver.post(path(other, "approve"))
    assert await balance(desk.owner, programme, "bank:main") == 0


async def test_the_budget_stays_where_it_was_unless_it_is_asked_for(desk: Bureau) -> None:
    history = await histories.begin(desk, "bank", claims=4)
    programme = history.programme
    answer = await desk.finance.post("/v1/returns", wanted(programme, "city", budget=False))
    answer.assert_problem(409, "nothing_to_return")
    await to_the_end(desk, programme)
    proposed = await propose(desk, programme, "city", budget=False)
    assert split(proposed) == (4 * CITY_PACK_FEN, 0, 0, 4 * CITY_PACK_FEN, 0)
    rejected = await desk.approver.post(path(proposed, "reject"))
    assert (rejected.status, rejected.body["state"]) == (200, "rejected")
    (await desk.approver.post(path(proposed, "approve"))).assert_problem(409, "decided")
    assert await balance(desk.owner, programme, "return:city") == 4 * CITY_PACK_FEN
    assert split(await propose(desk, programme, "city", budget=False)) == split(proposed)


async def test_a_promise_that_was_never_drawn_is_struck_off(desk: Bureau) -> None:
    programme = await builders.make_programme(desk.owner, funded_fen=0)
    await builders.fund(desk.owner, programme, "city", 50_000)
    await builders.fund(desk.owner, programme, "platform", 50_000, "J2")
    await builders.fund(desk.owner, programme, "platform", 20_000, "J3")
    proposed = await propose(desk, programme, "platform")
    # Of 50,000 promised 30,000 were never paid: those are not paid back.
    assert split(proposed) == (50_000, 50_000, 30_000, 20_000, 0)
    await desk.approver.post(path(proposed, "approve"))
    return_id = proposed["return_id"]
    assert await journal(desk.owner, "J20", return_id) == {
        ("return:platform", "pledge:platform"): 30_000
    }
    assert await journal(desk.owner, "J19", return_id) == {("return:platform", "bank:main"): 20_000}


async def half_funded(desk: Bureau) -> histories.History:
    """The city has paid in 20,000 fen; the platform has promised 10,000 and paid nothing.

    The vouchers of four packs are out.
    """
    programme = await builders.make_programme(desk.owner, funded_fen=0)
    await builders.fund(desk.owner, programme, "city", 20_000)
    await builders.fund(desk.owner, programme, "platform", 10_000, "J2")
    drop_id = await builders.make_drop(
        desk.owner,
        programme,
        DropTerms(quota=4, pack=histories.PACK, closes_in=histories.LONG),
    )
    await builders.publish(desk.owner, drop_id)
    till = await tills.enrol_till(desk.owner, programme.programme_id)
    won = (await builders.issue(desk.owner, drop_id, 4)).won
    return histories.History(programme, drop_id, [till], won)


FREE_FEN = 20_000 - 4 * CITY_PACK_FEN


async def test_what_is_free_beside_live_vouchers_is_returned_to_the_fen(desk: Bureau) -> None:
    history = await half_funded(desk)
    proposed = await propose(desk, history.programme, "city")
    assert split(proposed) == (FREE_FEN, FREE_FEN, 0, FREE_FEN, 0)
    assert (await desk.approver.post(path(proposed, "approve"))).status == 200
    # With what the platform has promised, the rest pays the shops to the fen.
    await builders.fund(desk.owner, history.programme, "platform", 4 * OTHER_PACK_FEN, "J3")
    await histories.redeem(desk, history, 0, 12)
    await desk.to_noon_of_a_new_day()
    await histories.pay(desk, history)
    assert await balance(desk.owner, history.programme, "bank:main") == 0


@pytest.mark.parametrize("money", ["owed", "under way", "of live vouchers"])
async def test_money_that_shops_are_owed_or_may_earn_is_not_returned(
    desk: Bureau, money: str
) -> None:
    """The city's cash pays the platform's part, too, until the platform has paid it in."""
    history = await half_funded(desk)
    programme = history.programme
    await histories.redeem(desk, history, 0, 6 if money == "of live vouchers" else 12)
    await desk.to_noon_of_a_new_day()
    if money == "under way":
        await redeemed.cut(desk.owner, programme)
    elif money == "of live vouchers":
        await histories.pay(desk, history)
    answer = await desk.finance.post("/v1/returns", wanted(programme, "city"))
    answer.assert_problem(409, "insufficient_funds")

    await builders.fund(desk.owner, programme, "platform", 4 * OTHER_PACK_FEN, "J3")
    proposed = await propose(desk, programme, "city")
    assert split(proposed)[0] == FREE_FEN
    assert (await desk.approver.post(path(proposed, "approve"))).status == 200


async def test_money_of_nobody_known_is_not_returned(desk: Bureau) -> None:
    """What a statement has too much belongs to somebody, perhaps to a shop."""
    history = await half_funded(desk)
    programme = history.programme
    await histories.redeem(desk, history, 0, 12)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    content = movements.write(programme, BANK, day, [Row("whose", "in", 10_000, "")])
    statement = await desk.take(programme.programme_id, FORMATS[BANK], content)
    await desk.run(statement["statement_id"])
    (over,) = await desk.breaks(programme.programme_id, "&type=missing_in_ledger")
    await desk.settle(over["break_id"], "post")
    answer = await desk.finance.post("/v1/returns", wanted(programme, "city"))
    answer.assert_problem(409, "insufficient_funds")


async def test_the_custody_wallet_keeps_what_its_drops_may_pay(desk: Bureau) -> None:
    history = await histories.begin(desk, "ecny", claims=10)
    programme = history.programme
    await histories.redeem(desk, history, 0, 6)
    await builders.change_drop(desk.owner, history.drop_id, "close")
    in_wallet = await balance(desk.owner, programme, "wallet:main")
    assert in_wallet == 8 * (CITY_PACK_FEN + OTHER_PACK_FEN)
    # Vouchers are out: the wallet keeps all of it, the budget is at the bank.
    free_fen = histories.FUNDED_FEN - 10 * CITY_PACK_FEN
    assert split(await propose(desk, programme, "city")) == (free_fen, free_fen, 0, free_fen, 0)
    await tills.advance(desk.owner, timedelta(days=9))
    await tills.expire_due(desk.owner)
    other = await propose(desk, programme, "platform")
    expired_fen = 8 * OTHER_PACK_FEN
    budget_fen = histories.FUNDED_FEN - 10 * OTHER_PACK_FEN
    # From the wallet first: it holds what has expired of both funders.
    assert split(other) == (
        budget_fen + expired_fen,
        budget_fen,
        0,
        budget_fen + expired_fen - in_wallet,
        in_wallet,
    )
    assert (await desk.approver.post(path(other, "approve"))).status == 200
    assert await journal(desk.owner, "J19", other["return_id"]) == {
        ("return:platform", "bank:main"): budget_fen + expired_fen - in_wallet,
        ("return:platform", "wallet:main"): in_wallet,
    }
    assert await balance(desk.owner, programme, "wallet:main") == 0


async def test_money_that_has_moved_since_it_was_proposed(desk: Bureau) -> None:
    programme = await builders.make_programme(desk.owner)
    proposed = await propose(desk, programme, "city")
    drop_id = await builders.make_drop(
        desk.owner, programme, DropTerms(quota=1, closes_in=histories.LONG)
    )
    await builders.publish(desk.owner, drop_id)
    answer = await desk.approver.post(path(proposed, "approve"))
    answer.assert_problem(409, "insufficient_funds")
    assert (await desk.finance.get(path(proposed))).body["state"] == "proposed"
    await desk.approver.post(path(proposed, "reject"))
    assert split(await propose(desk, programme, "city"))[0] < split(proposed)[0]


async def test_one_person_with_both_roles_is_still_one_person(desk: Bureau) -> None:
    programme = await builders.make_programme(desk.owner)
    both = desk.staff("both-1", "finance", "approver")
    proposed = (await both.post("/v1/returns", wanted(programme, "city"))).body
    for decision in ("approve", "reject"):
        (await both.post(path(proposed, decision))).assert_problem(403, "same_person")
    connection = await asyncpg.connect(service_url(desk.database_url, "ledger", SECRETS))
    try:
        outcome = await connection.fetchval(
            "SELECT ledger.decide_return(1::smallint, $1, 'approved', 'both-1')",
            UUID(proposed["return_id"]),
        )
        assert outcome == "same_person"
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
            await connection.execute("UPDATE ledger.funder_returns SET state = 'approved'")
    finally:
        await connection.close()
    with pytest.raises(asyncpg.CheckViolationError, match="returns_need_a_second_person"):
        await desk.owner.execute(
            "UPDATE ledger.funder_returns SET state = 'approved', decided_by = 'both-1',"
            " decided_at = now() WHERE return_id = $1",
            UUID(proposed["return_id"]),
        )


async def test_proposals_and_approvals_at_once(desk: Bureau) -> None:
    programme = await builders.make_programme(desk.owner)
    answers = await asyncio.gather(
        *(desk.finance.post("/v1/returns", wanted(programme, "city")) for _ in range(8))
    )
    assert Counter(answer.status for answer in answers) == {201: 1, 409: 7}
    for answer in answers:
        if answer.status == 409:
            answer.assert_problem(409, "return_proposed")
    (proposed,) = [answer.body for answer in answers if answer.status == 201]
    approvers = [desk.staff(f"approver-{nth}", "approver") for nth in range(8)]
    answers = await desk.at_once(
        f"SELECT 1 FROM ledger.funder_returns WHERE return_id = '{proposed['return_id']}'",  # noqa: S608
        [one.post(path(proposed, "approve")) for one in approvers],
    )
    assert [answer.status for answer in answers] == [200] * 8
    assert await journal(desk.owner, "J19", proposed["return_id"]) == {
        ("return:city", "bank:main"): 10**9
    }
    assert await balance(desk.owner, programme, "bank:main") == 10**9


async def test_who_may_return(desk: Bureau) -> None:
    programme = await builders.make_programme(desk.owner)
    for role in ("approver", "auditor", "operator", "resident"):
        answer = await desk.staff("x", role).post("/v1/returns", wanted(programme, "city"))
        answer.assert_problem(403, "forbidden")
    answer = await desk.finance.post("/v1/returns", wanted(programme, "nobody"))
    answer.assert_problem(404, "not_found")
    proposed = await propose(desk, programme, "city")
    for role in ("finance", "auditor", "operator"):
        for decision in ("approve", "reject"):
            (await desk.staff("x", role).post(path(proposed, decision))).assert_problem(
                403, "forbidden"
            )
    elsewhere = desk.staff("x", "finance", "approver", city="440300")
    (await elsewhere.post("/v1/returns", wanted(programme, "city"))).assert_problem(
        404, "not_found"
    )
    (await elsewhere.get(path(proposed))).assert_problem(404, "not_found")
    for decision in ("approve", "reject"):
        (await elsewhere.post(path(proposed, decision))).assert_problem(404, "not_found")
    for unknown in (str(uuid4()), "x"):
        (await desk.finance.get(f"/v1/returns/{unknown}")).assert_problem(404, "not_found")
