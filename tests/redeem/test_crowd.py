"""Many tills at once: one of them redeems a voucher, and the others are told by whom."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.builders import DropTerms
from tests.callers import Answer
from tests.redeem.market import Market
from tests.tills_http import TillCaller, order

ASKED_AGAIN_MAX = 20


async def insist(till: TillCaller, body: Mapping[str, Any]) -> Answer:
    """Ask again, as a till does, as long as nothing is decided."""
    for _ in range(ASKED_AGAIN_MAX):
        answer = await till.redeem(body)
        if answer.status != 503:
            return answer
        await asyncio.sleep(answer.body["retry_after_ms"] / 1000)
    raise AssertionError(answer.body)


async def test_two_hundred_captures_from_twenty_tills_are_one_success(market: Market) -> None:
    stall = await market.open()
    enrolled = [await stall.till() for _ in range(20)]
    asked = [(enrolled[n % 20], order(stall.code())) for n in range(200)]

    answers = await asyncio.gather(*(insist(till, body) for till, body in asked))

    assert Counter(answer.status for answer in answers) == {201: 1, 409: 199}
    winner, won = next(
        one for one, answer in zip(asked, answers, strict=True) if answer.status == 201
    )
    told = Counter[tuple[str, str | None]]()
    for (till, _), answer in zip(asked, answers, strict=True):
        if answer.status == 409:
            problem = answer.assert_problem(409, "already_redeemed")
            told[problem["by"], problem.get("request_no")] += 1
            assert (problem["by"] == "this_terminal") == (till is winner)
    assert told == {("this_terminal", won["request_no"]): 9, ("other_terminal", None): 190}
    assert len({answer.body["at"] for answer in answers if answer.status == 409}) == 1


async def test_a_round_of_two_hundred_captures_of_many_vouchers(market: Market) -> None:
    """Twenty tills want the same ten vouchers: ten successes, whoever has them."""
    stall = await market.open(DropTerms(quota=11), claims=10)
    enrolled = [await stall.till() for _ in range(20)]
    answers = await asyncio.gather(
        *(insist(till, order(stall.code(claim))) for till in enrolled for claim in range(10))
    )
    assert Counter(answer.status for answer in answers) == {201: 10, 409: 190}
    assert len({a.body["voucher_id"] for a in answers if a.status == 201}) == 10


async def test_two_captures_of_one_voucher_at_once(market: Market) -> None:
    stall = await market.open(DropTerms(quota=31), claims=30)
    till, other = await stall.till(), await stall.till()
    for claim in range(30):
        code = stall.code(claim)
        pair = await asyncio.gather(insist(till, order(code)), insist(other, order(code)))
        assert sorted(answer.status for answer in pair) == [201, 409]
        loser = next(answer for answer in pair if answer.status == 409)
        assert loser.assert_problem(409, "already_redeemed")["by"] == "other_terminal"


async def test_the_vouchers_of_a_claim_at_once(market: Market) -> None:
    """Neither waits for ever for the other, whichever order they come in."""
    stall = await market.open(DropTerms(quota=31), claims=30)
    till, other = await stall.till(), await stall.till()
    answers = await asyncio.gather(
        *(
            insist(caller, order(stall.code(claim, position)))
            for claim in range(30)
            for caller, position in ((till, 0), (other, 3), (till, 1))
        )
    )
    assert Counter(answer.status for answer in answers) == {201: 90}
    counted = await market.owner.fetchval(
        "SELECT count(*) FROM redeem.redemptions WHERE claim_id = ANY ($1)", stall.claims
    )
    assert counted == 90
