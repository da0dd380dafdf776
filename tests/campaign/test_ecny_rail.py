"""Drops on the e-CNY rail: the cash lies in the wallet, the merchants' own share is taken off."""

from uuid import UUID

from tests import builders
from tests.campaign.desk import Desk
from tests.campaign.terms import (
    CITY,
    VOID,
    drop_terms,
    fund,
    funder,
    make_drop,
    make_programme,
)

# Of a pack's 3503 fen: 1001 at 7000 : 3000 is 701 + 300 and 500 is 350 + 150.
CITY_FEN = 3 * 701 + 350
SHOPS_FEN = 3 * 300 + 150
FUNDED = 100_000


async def _programme(desk: Desk, *, pool: str = "merchant_pool", pledged: int = FUNDED) -> str:
    """Make a programme of a city that pays, and of a second funder who pledges."""
    operator = desk.operator(CITY)
    funders = [funder("city", 7000), funder("shops", 3000, kind=pool, mode="pledge")]
    programme_id = await make_programme(operator, funders=funders)
    await fund(operator, programme_id, "city", FUNDED)
    await fund(operator, programme_id, "shops", pledged)
    return programme_id


async def test_the_citys_cash_is_in_the_wallet_from_publishing_on(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await _programme(desk)
    drop_id = await make_drop(operator, programme_id, rail="ecny")
    path = f"/v1/drops/{drop_id}"
    assert (await operator.get(path)).body["absorbs"] is False
    published = await operator.post(f"{path}/publish")
    assert (published.status, published.body["rail"], published.body["absorbs"]) == (
        *(200, "ecny", True),
    )

    async def lies(packs: int) -> dict[str, int]:
        balances = await desk.balances(programme_id)
        cash = {name: balances.get(name, 0) for name in ("bank:main", "wallet:main")}
        assert cash == {
            "bank:main": FUNDED - packs * CITY_FEN,
            "wallet:main": packs * CITY_FEN,
        }
        assert balances["pledge:shops"] == FUNDED
        return balances

    balances = await lies(10)
    assert balances[f"reserved:shops:{drop_id}"] == 10 * SHOPS_FEN
    for quota in (15, 8):
        assert (await operator.patch(path, {"quota": quota})).status == 200
        await lies(quota)
    claims = (await builders.issue(desk.owner, UUID(drop_id), 3)).won
    voided = await operator.post(f"/v1/claims/{claims[0]}/void", {**VOID, "reopen": False})
    assert voided.body["journal_kind"] == "J7b"
    await lies(7)
    assert (await operator.post(f"/v1/claims/{claims[1]}/void", VOID)).status == 200
    await lies(7)
    closed = await operator.post(f"{path}/close")
    assert (closed.status, closed.body["live"]) == (200, 1)
    await lies(1)
    await desk.assert_books_are_sound()


async def test_a_platforms_promise_is_no_cash(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await _programme(desk, pool="platform")
    drop_id = await make_drop(operator, programme_id, rail="ecny")
    refused = await operator.post(f"/v1/drops/{drop_id}/publish")
    problem = refused.assert_problem(409, "insufficient_funds")
    assert (problem["funder_id"], problem["needed_fen"]) == ("shops", 10 * SHOPS_FEN)
    assert "only cash counts" in problem["detail"]
    # On the bank rail it is good: it is paid before the merchants are.
    bank = await operator.post("/v1/drops", drop_terms(programme_id))
    published = await operator.post(f"/v1/drops/{bank.body['drop_id']}/publish")
    assert (published.status, published.body["absorbs"]) == (200, False)
    # Once it was paid, it is cash.
    paid = {"funder_id": "shops", "amount_fen": 10 * SHOPS_FEN, "reference": "paid"}
    funding = f"/v1/programmes/{programme_id}/funding"
    assert (await operator.post(funding, {**paid, "settles_pledge": True})).status == 201
    assert (await operator.post(f"/v1/drops/{drop_id}/publish")).status == 409
    rest = FUNDED - 10 * SHOPS_FEN
    more = {**paid, "amount_fen": rest, "settles_pledge": True}
    assert (await operator.post(funding, more)).status == 201
    published = await operator.post(f"/v1/drops/{drop_id}/publish")
    assert (published.status, published.body["absorbs"]) == (200, False)
    balances = await desk.balances(programme_id)
    assert balances["wallet:main"] == 10 * (CITY_FEN + SHOPS_FEN)


async def test_who_is_short_is_named(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await _programme(desk)
    before = await desk.balances(programme_id)
    packs = FUNDED // CITY_FEN
    too_many = await make_drop(operator, programme_id, rail="ecny", quota=packs + 1)
    refused = await operator.post(f"/v1/drops/{too_many}/publish")
    problem = refused.assert_problem(409, "insufficient_funds")
    assert (problem["funder_id"], problem["needed_fen"]) == ("city", (packs + 1) * CITY_FEN)
    assert await desk.balances(programme_id) == before

    drop_id = await make_drop(operator, programme_id, rail="ecny", quota=packs)
    assert (await operator.post(f"/v1/drops/{drop_id}/publish")).status == 200
    refused = await operator.patch(f"/v1/drops/{drop_id}", {"quota": packs + 2})
    problem = refused.assert_problem(409, "insufficient_funds")
    assert (problem["funder_id"], problem["needed_fen"]) == ("city", 2 * CITY_FEN)


async def test_a_promise_that_is_taken_off_is_not_paid_as_well(desk: Desk) -> None:
    operator = desk.operator(CITY)
    committed = 10 * SHOPS_FEN
    programme_id = await _programme(desk, pledged=committed + 5)
    drop_id = await make_drop(operator, programme_id, rail="ecny")
    assert (await operator.post(f"/v1/drops/{drop_id}/publish")).body["absorbs"] is True
    funding = f"/v1/programmes/{programme_id}/funding"
    payment = {"funder_id": "shops", "reference": "paid", "settles_pledge": True}
    refused = await operator.post(funding, {**payment, "amount_fen": 6})
    assert "shops" in refused.assert_problem(409, "pledge_absorbed")["detail"]
    refused = await operator.post(funding, {**payment, "amount_fen": committed + 6})
    refused.assert_problem(409, "pledge_exceeded")
    assert (await operator.post(funding, {**payment, "amount_fen": 5})).status == 201
    refused = await operator.post(funding, {**payment, "amount_fen": 1})
    refused.assert_problem(409, "pledge_absorbed")
    # What the drop gives back is free to be paid.
    assert (await operator.post(f"/v1/drops/{drop_id}/close")).status == 200
    assert (await operator.post(funding, {**payment, "amount_fen": committed})).status == 201
    assert "pledge:shops" not in await desk.balances(programme_id)


async def test_a_promise_that_is_too_small_is_not_taken_off(desk: Desk) -> None:
    """On the bank rail the drop runs and the merchants' share is paid in; on e-CNY it is short."""
    operator = desk.operator(CITY)
    programme_id = await _programme(desk, pledged=10 * SHOPS_FEN - 1)
    cash = {"funder_id": "shops", "amount_fen": 1, "reference": "paid", "settles_pledge": True}
    funding = f"/v1/programmes/{programme_id}/funding"
    for rail, status in (("ecny", 409), ("bank", 409)):
        drop_id = await make_drop(operator, programme_id, rail=rail)
        refused = await operator.post(f"/v1/drops/{drop_id}/publish")
        assert (refused.status, refused.body["funder_id"]) == (status, "shops"), rail
    await fund(operator, programme_id, "shops", 1)
    assert (await operator.post(funding, cash)).status == 201
    # The money is there, but a fen of it is no promise any more.
    ecny = await make_drop(operator, programme_id, rail="ecny")
    refused = await operator.post(f"/v1/drops/{ecny}/publish")
    assert refused.assert_problem(409, "insufficient_funds")["funder_id"] == "shops"
    bank = await make_drop(operator, programme_id)
    published = await operator.post(f"/v1/drops/{bank}/publish")
    assert (published.status, published.body["absorbs"]) == (200, False)
