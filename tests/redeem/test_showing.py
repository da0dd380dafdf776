"""Codes at the till: each is of one step of half a minute, and each step redeems once."""

import pytest

from tests.redeem.market import Market, steady_step
from tests.tills_http import fresh_no, order


@pytest.mark.parametrize(
    ("steps", "good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
async def test_a_code_is_good_for_a_step_either_way(
    market: Market, steps: int, *, good: bool
) -> None:
    stall = await market.open()
    till = await stall.till()
    await steady_step()
    answer = await till.redeem(order(stall.code(steps=steps)))
    if good:
        assert answer.status == 201
    else:
        assert "not of this moment" in answer.assert_problem(400, "bad_code")["detail"]


async def test_each_step_redeems_once(market: Market) -> None:
    """A hold that was released may be followed by another, with a later code."""
    stall = await market.open()
    till, other = await stall.till(), await stall.till()
    await steady_step()
    for step, caller in ((-1, till), (0, other), (1, till)):
        code = stall.code(steps=step)
        held = await caller.redeem(order(code, capture=False))
        assert held.status == 201
        assert (await caller.release(held.body["redemption_id"])).status == 200
        for used in (code, stall.code(steps=-1)):
            for again in (till, other):
                (await again.redeem(order(used))).assert_problem(400, "bad_code")
                (await again.quote(used)).assert_problem(400, "bad_code")


async def test_an_earlier_code_is_spent_by_a_later_one(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    await steady_step()
    body = order(stall.code(steps=1))
    assert (await till.redeem(body)).status == 201
    assert (await till.reverse(body["request_no"])).body["outcome"] == "reversed"
    (await till.redeem(order(stall.code()))).assert_problem(400, "bad_code")


async def test_vouchers_of_a_claim_have_steps_of_their_own(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    await steady_step()
    assert (await till.redeem(order(stall.code(0, 0, steps=1)))).status == 201
    assert (await till.redeem(order(stall.code(0, 1, steps=-1)))).status == 201


async def test_a_photographed_code_is_worth_nothing_once_it_was_used(market: Market) -> None:
    stall = await market.open()
    till, thief = await stall.till(), await stall.till()
    code = stall.code()
    assert (await till.redeem(order(code))).status == 201
    refused = (await thief.redeem(order(code))).assert_problem(409, "already_redeemed")
    assert refused["by"] == "other_terminal"
    assert (await thief.redeem({**order(code), "request_no": fresh_no()})).status == 409
