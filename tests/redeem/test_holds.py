"""Holds over HTTP: captured, released, or over by themselves."""

import asyncio
from datetime import timedelta

import pytest

from tests import tills
from tests.redeem.market import Market, eventually
from tests.tills_http import TillCaller, fresh_no, order


async def hold(till: TillCaller, code: str) -> tuple[str, str]:
    """Hold a voucher; return the redemption's id and the request's number."""
    body = order(code, capture=False)
    answer = await till.redeem(body)
    assert answer.status == 201, answer.body
    return answer.body["redemption_id"], body["request_no"]


async def test_a_hold_is_captured_once(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    redemption_id, _ = await hold(till, stall.code())
    number = fresh_no()
    first = await till.capture(redemption_id, number)
    assert first.status == 200
    assert first.body["state"] == "captured"
    assert first.body["settlement_id"]
    assert first.body["redemption_id"] == redemption_id
    assert (first.body["discount_fen"], first.body["payable_by_customer_fen"]) == (1001, 8999)
    assert "hold_expires_at" not in first.body
    again = await till.capture(redemption_id, number)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    (await till.capture(redemption_id)).assert_problem(409, "hold_ended")
    (await till.release(redemption_id)).assert_problem(409, "hold_ended")


async def test_a_capture_is_not_told_again_once_its_hold_was_reversed(market: Market) -> None:
    """No till hears `captured` of money that went back."""
    stall = await market.open()
    till = await stall.till()
    redemption_id, request_no = await hold(till, stall.code())
    number = fresh_no()
    assert (await till.capture(redemption_id, number)).status == 200
    assert (await till.reverse(request_no)).body["outcome"] == "reversed"
    (await till.capture(redemption_id, number)).assert_problem(409, "reversed")
    told = (await till.read_back(number)).body
    assert (told["state"], told["voucher_state"]) == ("reversed", "open")


async def test_a_hold_is_released_and_the_voucher_is_good_again(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    redemption_id, _ = await hold(till, stall.code(steps=-1))
    number = fresh_no()
    first = await till.release(redemption_id, number)
    assert first.status == 200
    assert (first.body["state"], first.body["voucher_state"]) == ("released", "open")
    assert "settlement_id" not in first.body
    again = await till.release(redemption_id, number)
    assert (again.status, again.body) == (200, first.body)
    (await till.capture(redemption_id)).assert_problem(409, "hold_ended")
    assert (await till.redeem(order(stall.code()))).status == 201
    # What the release was told stays as it was, whatever became of the voucher since.
    assert (await till.release(redemption_id, number)).body == first.body


async def test_a_held_voucher_is_nobody_elses(market: Market) -> None:
    stall = await market.open()
    till, other = await stall.till(), await stall.till()
    _, request_no = await hold(till, stall.code(steps=-1))
    own = (await till.redeem(order(stall.code()))).assert_problem(409, "held_elsewhere")
    assert (own["by"], own["request_no"]) == ("this_terminal", request_no)
    foreign = (await other.redeem(order(stall.code()))).assert_problem(409, "held_elsewhere")
    assert foreign["by"] == "other_terminal"
    assert "request_no" not in foreign


async def test_what_is_no_hold_cannot_be_finished(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    captured = await till.redeem(order(stall.code()))
    (await till.capture(captured.body["redemption_id"])).assert_problem(409, "hold_ended")
    for redemption_id in ("nonsense", str(stall.claims[0]), "0" * 36, "1" * 64):
        (await till.capture(redemption_id)).assert_problem(404, "not_found")
        (await till.release(redemption_id)).assert_problem(404, "not_found")


async def test_ten_captures_and_releases_at_once_are_one_end(market: Market) -> None:
    stall = await market.open()
    till = await stall.till()
    redemption_id, _ = await hold(till, stall.code())
    answers = await asyncio.gather(
        *(till.capture(redemption_id) for _ in range(5)),
        *(till.release(redemption_id) for _ in range(5)),
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 9


async def test_a_hold_times_out_by_itself(later: Market) -> None:
    stall = await later.open()
    till = await stall.till()
    redemption_id, request_no = await hold(till, stall.code(steps=-1))
    await tills.advance(later.owner, timedelta(minutes=14, seconds=50))
    await asyncio.sleep(0.7)
    assert (await till.read_back(request_no)).body["state"] == "held"
    await tills.advance(later.owner, timedelta(seconds=20))

    async def is_over() -> bool:
        return bool((await till.read_back(request_no)).body["state"] == "released")

    await eventually(is_over)
    assert (await till.read_back(request_no)).body["voucher_state"] == "open"
    (await till.capture(redemption_id)).assert_problem(409, "hold_ended")
    assert (await till.redeem(order(stall.code()))).status == 201


async def test_an_overdue_hold_is_over_before_anybody_has_looked(later: Market) -> None:
    stall = await later.open()
    till = await stall.till()
    redemption_id, _ = await hold(till, stall.code())
    await tills.advance(later.owner, timedelta(minutes=16))
    (await till.capture(redemption_id)).assert_problem(409, "hold_ended")


async def test_a_hold_ends_with_its_voucher(later: Market) -> None:
    """Vouchers expire within about a second of the clock that passes their end."""
    stall = await later.open()
    till = await stall.till()
    redemption_id, request_no = await hold(till, stall.code())
    await tills.advance(later.owner, timedelta(days=8))

    async def is_expired() -> bool:
        counted: int = await later.owner.fetchval("SELECT count(*) FROM redeem.expiries")
        return counted == 2

    await eventually(is_expired)
    told = (await till.read_back(request_no)).body
    assert told["state"] == "released"
    (await till.capture(redemption_id)).assert_problem(409, "hold_ended")
    (await till.redeem(order(stall.code(steps=1)))).assert_problem(410, "expired")


@pytest.mark.parametrize("whose", ["terminal", "merchant"])
async def test_a_suspended_till_may_only_give_back(market: Market, whose: str) -> None:
    stall = await market.open()
    till = await stall.till()
    first, _ = await hold(till, stall.code())
    second, request_no = await hold(till, stall.code(0, 1))
    await tills.suspend(market.owner, till.till, whose=whose)
    code = {"terminal": "terminal_suspended", "merchant": "merchant_not_enrolled"}[whose]
    (await till.capture(first)).assert_problem(403, code)
    (await till.redeem(order(stall.code(0, 2)))).assert_problem(403, code)
    assert (await till.release(first)).status == 200
    assert (await till.reverse(request_no)).body["outcome"] == "reversed"
    assert (await till.read_back(request_no)).body["state"] == "reversed"
    assert second != first
