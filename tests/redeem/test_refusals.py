"""Every way in which a till can be refused, with the contract's codes, at both doors."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from shared.ids import new_id
from tests import builders, tills
from tests.redeem.market import Market, Stall
from tests.tills import Till
from tests.tills_http import TillCaller, fresh_no, order, real_time_s

MEMBERS = {"type", "title", "status", "detail", "code", "retryable", "request_id"}


@dataclass(frozen=True, slots=True)
class Scene:
    """A stall with two tills of two merchants, and how they are reached."""

    market: Market
    stall: Stall
    till: TillCaller
    other: TillCaller

    async def refused(self, status: int, code: str, /, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
        """Redeem; check the refusal, that the request is told it again, and that no money moved."""
        body = order(self.stall.code(), **changes)
        problem = (await self.till.redeem(body)).assert_problem(status, code)
        again = (await self.till.redeem(body)).assert_problem(status, code)
        kept = {**again, "request_id": problem["request_id"]}
        assert kept == problem
        back = await self.till.read_back(body["request_no"])
        if code == "bad_code":
            back.assert_problem(404, "not_found")
        else:
            read = back.assert_problem(status, code)
            assert {**read, "request_id": problem["request_id"]} == problem
        return problem


@pytest.fixture(params=["served", "documented"])
async def scene(request: pytest.FixtureRequest, market: Market) -> Scene:
    stall = await market.open()
    till, other = await stall.till(), await stall.till()
    if request.param == "documented":
        till, other = market.documented_to(till), market.documented_to(other)
    return Scene(market, stall, till, other)


class TestTheVoucher:
    async def test_redeemed_by_this_terminal(self, scene: Scene) -> None:
        mine = order(scene.stall.code())
        assert (await scene.till.redeem(mine)).status == 201
        problem = await scene.refused(409, "already_redeemed")
        assert problem.keys() == MEMBERS | {"by", "at", "request_no"}
        assert (problem["by"], problem["request_no"]) == ("this_terminal", mine["request_no"])
        captured_at = await scene.market.owner.fetchval(
            "SELECT captured_at FROM redeem.redemptions WHERE claim_id = $1", scene.stall.claims[0]
        )
        assert problem["at"] == f"{captured_at:%Y-%m-%dT%H:%M:%S.%fZ}"

    async def test_redeemed_by_another_terminal(self, scene: Scene) -> None:
        """Which one, and under which number, is not for this one to know."""
        assert (await scene.other.redeem(order(scene.stall.code()))).status == 201
        problem = await scene.refused(409, "already_redeemed")
        assert problem.keys() == MEMBERS | {"by", "at"}
        assert problem["by"] == "other_terminal"

    async def test_held(self, scene: Scene) -> None:
        body = order(scene.stall.code(), capture=False)
        assert (await scene.other.redeem(body)).status == 201
        problem = await scene.refused(409, "held_elsewhere")
        assert problem.keys() == MEMBERS | {"by", "at"}
        assert problem["by"] == "other_terminal"

    async def test_taken_back(self, scene: Scene) -> None:
        await builders.release(scene.market.owner, scene.stall.claims[0], reopen=False)
        await scene.refused(410, "voided")

    async def test_below_min_spend(self, scene: Scene) -> None:
        await scene.refused(422, "below_min_spend", order_amount_fen=3999)
        assert (await scene.till.redeem(order(scene.stall.code(), order_amount_fen=4000))).status

    async def test_wrong_category(self, scene: Scene) -> None:
        await scene.refused(422, "wrong_category", category="books")

    async def test_a_category_that_the_merchant_does_not_have(self, scene: Scene) -> None:
        books = await scene.stall.till(categories=["books"])
        answer = await books.redeem(order(scene.stall.code()))
        answer.assert_problem(422, "wrong_category")


class TestTheCode:
    async def test_what_is_no_code(self, scene: Scene) -> None:
        problem = await scene.refused(400, "bad_code", code="nonsense")
        assert problem["detail"] == "This is no code of a voucher."

    @pytest.mark.parametrize("steps", [-2, -1000, 3])
    async def test_a_code_of_another_time(self, scene: Scene, steps: int) -> None:
        code = scene.stall.code(steps=steps)
        problem = await scene.refused(400, "bad_code", code=code)
        assert "scan the one that is shown now" in problem["detail"]

    async def test_a_claim_that_does_not_exist(self, scene: Scene) -> None:
        claim_id = new_id(scene.stall.programme.city_id)
        code = scene.market.codes.issue(claim_id, 0, now_s=real_time_s()).code
        await scene.refused(400, "bad_code", code=code)

    async def test_a_voucher_that_the_pack_does_not_have(self, scene: Scene) -> None:
        await scene.refused(400, "bad_code", code=scene.stall.code(0, 4))


class TestTheTill:
    async def test_suspended(self, scene: Scene) -> None:
        """At once: the service remembers that it exists, never that it may."""
        assert (await scene.till.redeem(order(scene.stall.code()))).status == 201
        await tills.suspend(scene.market.owner, scene.till.till)
        await scene.refused(403, "terminal_suspended")

    async def test_of_a_suspended_merchant(self, scene: Scene) -> None:
        neighbour = await scene.stall.till(merchant_id=scene.till.till.merchant_id)
        await tills.suspend(scene.market.owner, scene.till.till, whose="merchant")
        await scene.refused(403, "merchant_not_enrolled")
        answer = await neighbour.redeem(order(scene.stall.code()))
        answer.assert_problem(403, "merchant_not_enrolled")
        assert (await scene.other.redeem(order(scene.stall.code()))).status == 201

    async def test_of_a_merchant_that_takes_no_part(self, scene: Scene) -> None:
        elsewhere = await scene.market.open()
        await scene.refused(403, "merchant_not_enrolled", code=elsewhere.code())

    async def test_that_nobody_enrolled(self, scene: Scene) -> None:
        """Its signature would be right, if only there were such a terminal."""
        terminal_id = new_id(scene.stall.programme.city_id)
        stranger = scene.market.caller(
            Till(scene.till.till.merchant_id, terminal_id, f"{terminal_id}.1")
        )
        problem = (await stranger.redeem(order(scene.stall.code()))).assert_problem(
            401, "bad_signature"
        )
        wrong_key = TillCaller(scene.till.http, scene.till.till, b"x" * 32)
        known = (await wrong_key.redeem(order(scene.stall.code()))).assert_problem(
            401, "bad_signature"
        )
        assert {**known, "request_id": ""} == {**problem, "request_id": ""}


async def test_expired(later: Market) -> None:
    stall = await later.open()
    till = await stall.till()
    await tills.advance(later.owner, timedelta(days=8))
    body = order(stall.code())
    for _ in range(2):
        (await till.redeem(body)).assert_problem(410, "expired")
    (await till.read_back(body["request_no"])).assert_problem(410, "expired")


async def test_expired_for_a_till_that_asks_a_moment_before_and_after(later: Market) -> None:
    """The ledger's clock decides, whether the cohort was expired already or not."""
    stall = await later.open()
    till = await stall.till()
    ends_at = await later.owner.fetchval(
        "SELECT max(valid_until) - campaign.now() FROM claim.expiry_cohorts"
    )
    await tills.advance(later.owner, ends_at - timedelta(seconds=30))
    assert (await till.redeem(order(stall.code()))).status == 201
    await tills.advance(later.owner, timedelta(seconds=31))
    (await till.redeem(order(stall.code(0, 1)))).assert_problem(410, "expired")


@pytest.mark.parametrize(
    "field", [{"refund_amount_fen": 1}, {"amount_fen": 1}, {"offline": True}, {"stan": "1"}]
)
async def test_a_field_of_what_is_not_built_is_refused(
    market: Market, field: dict[str, Any]
) -> None:
    stall = await market.open()
    till = await stall.till()
    held = await till.redeem(order(stall.code(), capture=False))
    path = f"/v1/redemptions/{held.body['redemption_id']}"
    for answer in (
        await till.redeem({**order(stall.code(0, 1)), **field}),
        await till.post(f"{path}/capture", {"request_no": fresh_no(), **field}),
        await till.post(f"{path}/release", {"request_no": fresh_no(), **field}),
    ):
        answer.assert_problem(422, "invalid_request")
    for absent in (f"{path}/refunds", "/v1/redemption-batches"):
        (await till.post(absent, {"request_no": fresh_no(), **field})).assert_problem(
            404, "not_found"
        )
