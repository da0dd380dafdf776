"""Reversals over HTTP: a till that heard nothing makes its request not have happened."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import pytest

from tests import tills
from tests.builders import DropTerms
from tests.redeem.market import Market, eventually
from tests.tills_http import fresh_no, order


async def test_a_capture_is_reversed_and_the_voucher_is_good_again(market: Market) -> None:
    stall = await market.open()
    till, other = await stall.till(), await stall.till()
    body = order(stall.code(steps=-1))
    redemption_id = (await till.redeem(body)).body["redemption_id"]
    answer = await till.reverse(body["request_no"])
    assert (answer.status, answer.body) == (
        200,
        {"outcome": "reversed", "redemption_id": redemption_id},
    )
    told = await till.read_back(body["request_no"])
    assert (told.status, told.body["state"], told.body["voucher_state"]) == (
        200,
        "reversed",
        "open",
    )
    # The original, if it arrives again, is refused for ever.
    for code in (body["code"], stall.code()):
        (await till.redeem({**body, "code": code})).assert_problem(409, "reversed")
    assert (await other.redeem(order(stall.code()))).status == 201


async def test_a_reversal_that_comes_first_leaves_a_tombstone(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    body = order(stall.code())
    answer = await till.reverse(body["request_no"])
    assert (answer.status, answer.body) == (200, {"outcome": "never_happened"})
    (await till.redeem(body)).assert_problem(409, "reversed")
    (await till.redeem({**body, "order_no": "another"})).assert_problem(409, "reversed")
    (await till.read_back(body["request_no"])).assert_problem(409, "reversed")
    counted = await market.owner.fetchval(
        "SELECT count(*) FROM redeem.redemptions WHERE claim_id = $1", stall.claims[0]
    )
    assert counted == 0
    assert (await till.redeem({**body, "request_no": fresh_no()})).status == 201


async def test_a_refused_request_never_happened(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    body = order(stall.code(), order_amount_fen=10)
    (await till.redeem(body)).assert_problem(422, "below_min_spend")
    assert (await till.reverse(body["request_no"])).body == {"outcome": "never_happened"}
    (await till.redeem(body)).assert_problem(409, "reversed")
    (await till.read_back(body["request_no"])).assert_problem(409, "reversed")


@pytest.mark.parametrize("stage", ["held", "captured", "released"])
async def test_every_stage_of_a_hold(market: Market, stage: str) -> None:
    stall = await market.open()
    till = await stall.till()
    body = order(stall.code(), capture=False)
    redemption_id = (await till.redeem(body)).body["redemption_id"]
    finish = {"captured": till.capture, "released": till.release}.get(stage)
    if finish is not None:
        assert (await finish(redemption_id)).status == 200
    answer = await till.reverse(body["request_no"])
    assert answer.body == {"outcome": "reversed", "redemption_id": redemption_id}
    told = (await till.read_back(body["request_no"])).body
    assert told["state"] == ("released" if stage == "released" else "reversed")
    (await till.capture(redemption_id)).assert_problem(409, "hold_ended")


async def test_the_capture_of_a_hold_is_reversed_by_its_own_number(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    held = order(stall.code(), capture=False)
    redemption_id = (await till.redeem(held)).body["redemption_id"]
    # Before it arrives: the hold stays, and the late capture is refused.
    early = fresh_no()
    assert (await till.reverse(early)).body == {"outcome": "never_happened"}
    (await till.capture(redemption_id, early)).assert_problem(409, "reversed")
    number = fresh_no()
    assert (await till.capture(redemption_id, number)).status == 200
    answer = await till.reverse(number)
    assert answer.body == {"outcome": "reversed", "redemption_id": redemption_id}
    (await till.capture(redemption_id, number)).assert_problem(409, "reversed")
    assert (await till.read_back(number)).body["state"] == "reversed"


async def test_a_repeated_reversal_is_told_the_same(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    done, absent = order(stall.code()), fresh_no()
    await till.redeem(done)
    for original, outcome in ((done["request_no"], "reversed"), (absent, "never_happened")):
        number = fresh_no()
        answers = await asyncio.gather(*(till.reverse(original, number) for _ in range(10)))
        assert {answer.status for answer in answers} == {200}
        assert {answer.body["outcome"] for answer in answers} == {outcome}
        # And so is another reversal of the same request.
        again = (await till.reverse(original)).body["outcome"]
        assert again == outcome
        assert (await till.read_back(number)).body["outcome"] == outcome
    reused = await till.reverse(absent, done["request_no"])
    reused.assert_problem(422, "idempotency_key_reused")


async def test_a_reversal_names_one_original(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    number = fresh_no()
    assert (await till.reverse(fresh_no(), number)).status == 200
    (await till.reverse(fresh_no(), number)).assert_problem(422, "idempotency_key_reused")


async def test_what_is_not_reversible(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    held = await till.redeem(order(stall.code(), capture=False))
    released, reversed_no = fresh_no(), fresh_no()
    await till.release(held.body["redemption_id"], released)
    await till.reverse(fresh_no(), reversed_no)
    number = fresh_no()
    for original in (released, reversed_no):
        problem = (await till.reverse(original, number)).assert_problem(409, "not_reversible")
        assert "redeem the voucher again" in problem["title"]
    itself = (await till.reverse(number, number)).assert_problem(422, "invalid_request")
    assert "a request_no of its own" in str(itself["fields"])
    # A number that was refused so is still free.
    assert (await till.reverse(fresh_no(), number)).body == {"outcome": "never_happened"}


async def test_an_original_and_its_reversal_at_once(market: Market) -> None:
    """Whichever comes first, what the reversal says is true for good."""
    stall = await market.open(DropTerms(quota=25), claims=24)
    till = await stall.till()
    seen: Counter[str] = Counter()
    for claim in range(24):
        body = order(stall.code(claim))
        first, reversal = await asyncio.gather(till.redeem(body), till.reverse(body["request_no"]))
        seen[reversal.body["outcome"]] += 1
        if reversal.body["outcome"] == "reversed":
            assert first.status == 201
        else:
            first.assert_problem(409, "reversed")
        (await till.redeem(body)).assert_problem(409, "reversed")
    counted = await market.owner.fetchrow(
        "SELECT count(*) AS made, count(*) FILTER (WHERE state = 'reversed') AS reversed"
        " FROM redeem.redemptions WHERE terminal_id = $1",
        till.terminal_id,
    )
    assert counted is not None
    assert counted["made"] == counted["reversed"] == seen["reversed"]


async def test_a_reversal_after_the_voucher_expired_pays_the_funders(later: Market) -> None:
    stall = await later.open()
    till = await stall.till()
    body = order(stall.code())
    await till.redeem(body)
    await tills.advance(later.owner, timedelta(days=8))

    async def is_expired() -> bool:
        counted: int = await later.owner.fetchval("SELECT count(*) FROM redeem.expiries")
        return counted == 2

    await eventually(is_expired)
    assert (await till.reverse(body["request_no"])).body["outcome"] == "reversed"
    told = (await till.read_back(body["request_no"])).body
    assert (told["state"], told["voucher_state"]) == ("reversed", "expired")


async def test_on_the_ecny_rail_a_reversal_waits_for_the_operator(market: Market) -> None:
    stall = await market.open(DropTerms(rail="ecny"))
    till = await stall.till()
    body = order(stall.code())
    redemption_id = (await till.redeem(body)).body["redemption_id"]
    asked = tills.ask(till.till, stall.claims[0]).again(redemption_id=UUID(redemption_id))
    number = fresh_no()
    pending = await till.reverse(body["request_no"], number)
    assert pending.body == {"outcome": "pending", "redemption_id": redemption_id}
    (await till.redeem(body)).assert_problem(409, "reversed")
    # The operator had paid; what it paid is asked back.
    assert await tills.answer(market.owner, asked, "confirmed") == "pending"
    assert (await till.read_back(number)).body["outcome"] == "pending"
    assert (await till.read_back(body["request_no"])).body["state"] == "pending"
    assert await tills.answer(market.owner, asked, "confirmed", "refund") == "reversed"
    final = {"outcome": "reversed", "redemption_id": redemption_id}
    assert (await till.read_back(number)).body == final
    assert (await till.reverse(body["request_no"], number)).body == final
    assert (await till.read_back(body["request_no"])).body["state"] == "reversed"
