"""Redemptions over HTTP: what a till gets, once, and the same again when it asks again."""

import asyncio
from collections import Counter
from datetime import datetime
from uuid import UUID

import pytest

from shared.ids import new_id
from tests import tills
from tests.builders import DropTerms
from tests.redeem.market import Market, Stall
from tests.tills_http import TillCaller, fresh_no, order, real_time_s

FACE_FEN = 1001


@pytest.fixture(params=["served", "documented"])
async def door(request: pytest.FixtureRequest) -> str:
    """Which of the two forms of the operation is asked."""
    return str(request.param)


async def stall_and_till(market: Market, door: str) -> tuple[Stall, TillCaller]:
    stall = await market.open()
    till = await stall.till()
    return stall, till if door == "served" else market.documented_to(till)


async def count_redemptions(market: Market, claim_id: UUID) -> int:
    counted: int = await market.owner.fetchval(
        "SELECT count(*) FROM redeem.redemptions WHERE claim_id = $1", claim_id
    )
    return counted


class TestCaptures:
    async def test_a_voucher_is_redeemed_in_one_step(self, market: Market, door: str) -> None:
        stall, till = await stall_and_till(market, door)
        answer = await till.redeem(order(stall.code()))
        assert answer.status == 201
        assert answer.headers["content-type"] == "application/json"
        assert "idempotent-replayed" not in answer.headers
        [voucher_id] = market.resources.voucher_ids.of_claim(stall.claims[0], 1)
        row = await market.owner.fetchrow(
            "SELECT redemption_id::text, settlement_id::text, state, order_no"
            " FROM redeem.redemptions WHERE claim_id = $1",
            stall.claims[0],
        )
        assert row is not None
        assert (row["state"], row["order_no"]) == ("captured", "order-1")
        assert answer.body == {
            "redemption_id": row["redemption_id"],
            "voucher_id": voucher_id,
            "state": "captured",
            "discount_fen": FACE_FEN,
            "payable_by_customer_fen": 10_000 - FACE_FEN,
            "settlement_id": row["settlement_id"],
        }

    async def test_a_pack_of_two_kinds_is_redeemed_voucher_by_voucher(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        answers = [await till.redeem(order(stall.code(0, position))) for position in range(4)]
        assert [answer.body["discount_fen"] for answer in answers] == [1001, 1001, 1001, 500]
        assert [answer.body["voucher_id"] for answer in answers] == (
            market.resources.voucher_ids.of_claim(stall.claims[0], 4)
        )
        beyond = await till.redeem(order(stall.code(0, 4)))
        beyond.assert_problem(400, "bad_code")

    async def test_a_hold_takes_no_money_yet(self, market: Market, door: str) -> None:
        stall, till = await stall_and_till(market, door)
        answer = await till.redeem(order(stall.code(), capture=False))
        assert answer.status == 201
        assert answer.body["state"] == "held"
        assert "settlement_id" not in answer.body
        left = await market.owner.fetchval(
            "SELECT $1::timestamptz - campaign.now() BETWEEN '14 minutes' AND '15 minutes'",
            datetime.fromisoformat(answer.body["hold_expires_at"]),
        )
        assert left is True

    async def test_on_the_ecny_rail_it_is_pending_until_the_operator_says_so(
        self, market: Market
    ) -> None:
        stall = await market.open(DropTerms(rail="ecny"))
        till = await stall.till()
        body = order(stall.code())
        answer = await till.redeem(body)
        assert (answer.status, answer.body["state"]) == (201, "pending")
        assert "settlement_id" not in answer.body
        asked = tills.ask(till.till, stall.claims[0]).again(
            redemption_id=UUID(answer.body["redemption_id"])
        )
        assert await tills.answer(market.owner, asked, "confirmed") == "captured"
        again = await till.redeem(body)
        assert (again.status, again.body["state"]) == (201, "captured")
        assert again.body["settlement_id"]


class TestAskingAgain:
    async def test_the_same_request_is_told_the_same(self, market: Market, door: str) -> None:
        stall, till = await stall_and_till(market, door)
        body = order(stall.code())
        first = await till.redeem(body)
        again = await till.redeem(body)
        assert (again.status, again.body) == (201, first.body)
        assert again.headers["idempotent-replayed"] == "true"
        assert await count_redemptions(market, stall.claims[0]) == 1

    @pytest.mark.parametrize("steps", [1, -1, -2, -100])
    async def test_whatever_code_it_shows_by_now(self, market: Market, steps: int) -> None:
        """The code has rotated since, or was scanned so long ago that it is good no more."""
        stall = await market.open()
        till = await stall.till()
        body = order(stall.code())
        first = await till.redeem(body)
        again = await till.redeem({**body, "code": stall.code(steps=steps)})
        assert (again.status, again.body) == (201, first.body)

    async def test_even_by_a_quote_or_the_code_of_another_voucher(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        body = order(stall.code())
        first = await till.redeem(body)
        quote_id = (await till.quote(stall.code(0, 1))).body["quote_id"]
        without = {name: value for name, value in body.items() if name != "code"}
        for again in (
            await till.redeem({**body, "code": stall.code(0, 1)}),
            await till.redeem({**body, "code": "nonsense"}),
            await till.redeem({**without, "quote_id": quote_id}),
            await till.redeem({**without, "quote_id": "nonsense"}),
        ):
            assert (again.status, again.body) == (201, first.body)
        assert await count_redemptions(market, stall.claims[0]) == 1

    async def test_spaces_and_the_order_of_fields_are_not_another_body(
        self, market: Market
    ) -> None:
        stall = await market.open()
        till = await stall.till()
        body = order(stall.code())
        first = await till.redeem(body)
        backwards = dict(reversed(body.items()))
        again = await till.redeem(backwards)
        assert (again.status, again.body) == (201, first.body)

    async def test_fifty_copies_at_once_are_one_redemption(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        body = order(stall.code())
        answers = await asyncio.gather(*(till.redeem(body) for _ in range(50)))
        assert {answer.status for answer in answers} == {201}
        assert len({answer.body["redemption_id"] for answer in answers}) == 1
        assert Counter("idempotent-replayed" in a.headers for a in answers) == {True: 49, False: 1}
        assert await count_redemptions(market, stall.claims[0]) == 1

    async def test_a_hold_that_ended_since_is_told_as_it_was(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        body = order(stall.code(), capture=False)
        first = await till.redeem(body)
        assert (await till.capture(first.body["redemption_id"])).body["state"] == "captured"
        again = await till.redeem(body)
        assert (again.status, again.body) == (201, first.body)

    async def test_a_refusal_is_kept(self, market: Market) -> None:
        """Also when what stood in the way is gone."""
        stall = await market.open()
        holder, other = await stall.till(), await stall.till()
        held = await holder.redeem(order(stall.code(steps=-1), capture=False))
        body = order(stall.code())
        refused = await other.redeem(body)
        problem = refused.assert_problem(409, "held_elsewhere")
        assert (await holder.release(held.body["redemption_id"])).status == 200
        again = (await other.redeem(body)).assert_problem(409, "held_elsewhere")
        assert again["at"] == problem["at"]
        assert (await other.redeem({**body, "request_no": fresh_no()})).status == 201

    async def test_a_bad_code_is_not_kept(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        body = order("nonsense")
        (await till.redeem(body)).assert_problem(400, "bad_code")
        assert (await till.redeem({**body, "code": stall.code()})).status == 201

    @pytest.mark.parametrize(
        "change",
        [
            {"order_no": "order-2"},
            {"order_amount_fen": 10_001},
            {"category": "books"},
            {"capture": False},
        ],
        ids=str,
    )
    async def test_another_body_is_another_request(
        self, market: Market, door: str, change: dict[str, object]
    ) -> None:
        stall, till = await stall_and_till(market, door)
        body = order(stall.code())
        first = await till.redeem(body)
        other = await till.redeem({**body, **change, "code": stall.code(0, 1)})
        other.assert_problem(422, "idempotency_key_reused")
        assert (await till.redeem(body)).body == first.body
        assert await count_redemptions(market, stall.claims[0]) == 1

    async def test_a_number_is_used_for_one_operation(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        spent = order(stall.code())
        await till.redeem(spent)
        held = await till.redeem(order(stall.code(0, 1), capture=False))
        redemption_id = held.body["redemption_id"]
        number = spent["request_no"]
        for answer in (
            await till.capture(redemption_id, number),
            await till.release(redemption_id, number),
            await till.reverse(fresh_no(), number),
        ):
            answer.assert_problem(422, "idempotency_key_reused")
        released, reversing = fresh_no(), fresh_no()
        assert (await till.release(redemption_id, released)).status == 200
        assert (await till.reverse(fresh_no(), reversing)).status == 200
        (await till.capture(redemption_id, released)).assert_problem(422, "idempotency_key_reused")
        for used in (released, reversing):
            answer = await till.redeem(order(stall.code(0, 2), request_no=used))
            answer.assert_problem(422, "idempotency_key_reused")

    async def test_two_tills_use_the_same_number(self, market: Market) -> None:
        stall = await market.open()
        one, other = await stall.till(), await stall.till()
        body = order(stall.code())
        assert (await one.redeem(body)).status == 201
        answer = await other.redeem({**body, "code": stall.code(0, 1)})
        assert answer.status == 201


class TestOtherCities:
    async def test_a_till_cannot_redeem_what_another_city_gave(self, market: Market) -> None:
        """Nor learn that there is such a voucher: a made-up claim is answered the same."""
        home, abroad = await market.open(), await market.open(city_code="510100")
        assert home.programme.city_id != abroad.programme.city_id
        till = await home.till()
        madeup = market.codes.issue(new_id(abroad.programme.city_id), 0, now_s=real_time_s()).code
        told = []
        for code in (abroad.code(), madeup):
            for answer in (await till.redeem(order(code)), await till.quote(code)):
                problem = answer.assert_problem(400, "bad_code")
                told.append({**problem, "request_id": ""})
        assert told == [told[0]] * 4
        assert await count_redemptions(market, abroad.claims[0]) == 0

    async def test_another_programme_of_the_same_city_needs_its_own_enrolment(
        self, market: Market
    ) -> None:
        here, there = await market.open(), await market.open()
        till = await here.till()
        for answer in (await till.redeem(order(there.code())), await till.quote(there.code())):
            answer.assert_problem(403, "merchant_not_enrolled")

    async def test_nobody_acts_on_the_redemption_of_another_till(self, market: Market) -> None:
        stall = await market.open()
        till, other = await stall.till(), await stall.till()
        abroad = await (await market.open(city_code="510100")).till()
        body = order(stall.code(), capture=False)
        redemption_id = (await till.redeem(body)).body["redemption_id"]
        for stranger in (other, abroad):
            (await stranger.capture(redemption_id)).assert_problem(404, "not_found")
            (await stranger.release(redemption_id)).assert_problem(404, "not_found")
            (await stranger.read_back(body["request_no"])).assert_problem(404, "not_found")
            reversal = await stranger.reverse(body["request_no"])
            assert reversal.body == {"outcome": "never_happened"}
        assert (await till.read_back(body["request_no"])).body["state"] == "held"
