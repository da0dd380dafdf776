"""Quotes over HTTP: what a till is told before anything changes, and what a quote is good for."""

from datetime import UTC, datetime, timedelta

import pytest

from services.redeem.quoting import QUOTE_TTL_S, Quote
from tests import builders, tills
from tests.redeem.market import Market, Stall
from tests.tills_http import TillCaller, order, real_time_s


def by_quote(quote_id: str, **changes: object) -> dict[str, object]:
    body = order("", **changes)
    del body["code"]
    return {**body, "quote_id": quote_id}


async def nothing_is_written(market: Market, stall: Stall) -> bool:
    return not await market.owner.fetchval(
        "SELECT EXISTS (SELECT 1 FROM redeem.vouchers WHERE claim_id = $1)", stall.claims[0]
    )


class TestWhatIsTold:
    async def test_an_applicable_voucher(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        before = datetime.now(UTC)
        answer = await till.quote(stall.code())
        assert answer.status == 200
        [voucher_id] = market.resources.voucher_ids.of_claim(stall.claims[0], 1)
        told = dict(answer.body)
        assert told.pop("quote_id")
        expires_at = datetime.fromisoformat(told.pop("expires_at"))
        assert timedelta(0) < expires_at - before - timedelta(seconds=119) < timedelta(seconds=9)
        assert told == {
            "voucher_id": voucher_id,
            "applicable": True,
            "reason": None,
            "discount_fen": 1001,
            "payable_by_customer_fen": 8999,
            "explanation": "The voucher takes ¥10.01 off.",
        }
        assert await nothing_is_written(market, stall)

    @pytest.mark.parametrize(
        ("order_fen", "category", "reason", "explained"),
        [
            (3999, "catering", "below_min_spend", "needs an order of at least ¥40.00"),
            (10_000, "books", "wrong_category", "is for catering"),
        ],
    )
    async def test_one_that_does_not_apply(
        self, market: Market, order_fen: int, category: str, reason: str, explained: str
    ) -> None:
        stall = await market.open()
        till = await stall.till()
        answer = await till.quote(stall.code(), order_fen=order_fen, category=category)
        assert answer.status == 200
        told = answer.body
        assert (told["applicable"], told["reason"]) == (False, reason)
        assert (told["discount_fen"], told["payable_by_customer_fen"]) == (0, order_fen)
        assert explained in told["explanation"]
        refused = await till.redeem(
            by_quote(told["quote_id"], order_amount_fen=order_fen, category=category)
        )
        assert refused.body["code"] == reason

    async def test_one_that_is_used(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        held = await till.redeem(order(stall.code(), capture=False))
        told = (await till.quote(stall.code(steps=1))).body
        assert (told["applicable"], told["reason"]) == (False, "held_elsewhere")
        await till.capture(held.body["redemption_id"])
        told = (await till.quote(stall.code())).body
        assert (told["applicable"], told["reason"]) == (False, "already_redeemed")
        assert "was redeemed at 20" in told["explanation"]

    async def test_one_whose_claim_was_taken_back(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        assert await builders.release(market.owner, stall.claims[0], reopen=True) == "released"
        told = (await till.quote(stall.code())).body
        assert (told["applicable"], told["reason"]) == (False, "voided")

    async def test_one_that_expired(self, later: Market) -> None:
        stall = await later.open()
        till = await stall.till()
        await tills.advance(later.owner, timedelta(days=8))
        told = (await till.quote(stall.code())).body
        assert (told["applicable"], told["reason"]) == (False, "expired")
        assert "was good until 20" in told["explanation"]

    async def test_a_code_that_names_nothing(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        for code in ("nonsense", stall.code(steps=-2), stall.code(0, 63)):
            (await till.quote(code)).assert_problem(400, "bad_code")

    async def test_a_suspended_till_is_told_nothing(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        await tills.suspend(market.owner, till.till)
        (await till.quote(stall.code())).assert_problem(403, "terminal_suspended")


class TestWhatAQuoteIsGoodFor:
    async def test_one_redemption_after_the_code_is_gone(self, market: Market) -> None:
        """The quote stands for the code, which need not be shown again."""
        stall = await market.open()
        till = await stall.till()
        quote_id = (await till.quote(stall.code(steps=-1))).body["quote_id"]
        first = await till.redeem(by_quote(quote_id, capture=False))
        assert (first.status, first.body["discount_fen"]) == (201, 1001)
        assert (await till.release(first.body["redemption_id"])).status == 200
        again = (await till.redeem(by_quote(quote_id))).assert_problem(400, "bad_code")
        assert "next code" in again["title"]
        assert (await till.redeem(order(stall.code()))).status == 201

    async def test_no_step_is_used_up_by_quotes(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        quotes = [await till.quote(stall.code()) for _ in range(3)]
        assert {quote.body["applicable"] for quote in quotes} == {True}
        assert await nothing_is_written(market, stall)
        assert (await till.redeem(order(stall.code()))).status == 201

    async def test_it_is_bound_to_terminal_amount_and_category(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        neighbour = await stall.till(merchant_id=till.till.merchant_id)
        quote_id = (await till.quote(stall.code())).body["quote_id"]
        for caller, changes, why in (
            (neighbour, {}, "another terminal"),
            (till, {"order_amount_fen": 10_001}, "another amount or category"),
            (till, {"category": "books"}, "another amount or category"),
        ):
            refused = await caller.redeem(by_quote(quote_id, **changes))
            assert why in refused.assert_problem(400, "bad_code")["detail"]
        assert await nothing_is_written(market, stall)
        assert (await till.redeem(by_quote(quote_id))).status == 201

    async def test_it_expires(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        sealed = Quote(
            terminal_id=till.terminal_id,
            claim_id=stall.claims[0],
            position=0,
            code_step=int(real_time_s() // 30),
            order_amount_fen=10_000,
            category=tills.CATEGORY,
        )
        quotes = market.resources.quotes
        old, _ = quotes.issue(sealed, now_s=real_time_s() - QUOTE_TTL_S - 0.1)
        young, _ = quotes.issue(sealed, now_s=real_time_s() - QUOTE_TTL_S + 20)
        refused = await till.redeem(by_quote(old))
        assert "has expired" in refused.assert_problem(400, "bad_code")["detail"]
        assert (await till.redeem(by_quote(young))).status == 201

    async def test_a_code_or_a_quote_is_given_not_both(self, market: Market) -> None:
        stall = await market.open()
        till = await stall.till()
        quote_id = (await till.quote(stall.code())).body["quote_id"]
        both = {**order(stall.code()), "quote_id": quote_id}
        for body in (both, {**by_quote(quote_id), "quote_id": None}):
            problem = (await till.redeem(body)).assert_problem(422, "invalid_request")
            assert "either code or quote_id" in str(problem["fields"])


async def test_neither_id_nor_quote_is_a_code(market: Market) -> None:
    """What is printed on receipts, or told to a till, does not spend."""
    stall = await market.open()
    till: TillCaller = await stall.till()
    told = (await till.quote(stall.code())).body
    for text in (told["voucher_id"], told["quote_id"][:100], str(stall.claims[0])):
        (await till.redeem(order(text))).assert_problem(400, "bad_code")
    (await till.redeem(by_quote(stall.code()))).assert_problem(400, "bad_code")
