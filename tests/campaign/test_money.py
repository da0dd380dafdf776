"""What each step of a programme books, account by account."""

from uuid import UUID

from tests import builders
from tests.campaign.desk import Desk
from tests.campaign.terms import (
    CITY,
    CITY_PACK_FEN,
    PACK_FEN,
    PLATFORM_PACK_FEN,
    drop_terms,
    fund,
    funder,
    make_drop,
    make_live_drop,
    make_programme,
    moment,
    programme_terms,
)


async def test_a_programme_from_funding_to_close(desk: Desk) -> None:
    operator = desk.operator(CITY)
    created = await operator.post("/v1/programmes", programme_terms())
    assert created.status == 201
    assert created.body == {
        **programme_terms(),
        "programme_id": created.body["programme_id"],
        "created_at": created.body["created_at"],
        "created_by": "operator-1",
    }
    programme_id = created.body["programme_id"]
    assert await desk.balances(programme_id) == {}

    cash = await operator.post(
        f"/v1/programmes/{programme_id}/funding",
        {"funder_id": "city", "amount_fen": 100_000, "reference": "treasury 1"},
    )
    assert cash.status == 201
    assert cash.body == {
        "funding_id": cash.body["funding_id"],
        "programme_id": programme_id,
        "funder_id": "city",
        "amount_fen": 100_000,
        "reference": "treasury 1",
        "settles_pledge": False,
        "journal_kind": "J1",
        "created_at": cash.body["created_at"],
        "created_by": "operator-1",
    }
    booked = {"bank:main": 100_000, "available:city": 100_000}
    assert await desk.balances(programme_id) == booked

    pledge = {"funder_id": "platform", "amount_fen": 50_000, "reference": "letter 1"}
    promised = await operator.post(f"/v1/programmes/{programme_id}/funding", pledge)
    assert (promised.status, promised.body["journal_kind"]) == (201, "J2")
    booked |= {"pledge:platform": 50_000, "available:platform": 50_000}
    assert await desk.balances(programme_id) == booked

    payment = {**pledge, "amount_fen": 20_000, "settles_pledge": True}
    paid = await operator.post(f"/v1/programmes/{programme_id}/funding", payment)
    assert (paid.status, paid.body["journal_kind"]) == (201, "J3")
    booked |= {"bank:main": 120_000, "pledge:platform": 30_000}
    assert await desk.balances(programme_id) == booked

    drop_id = await make_drop(operator, programme_id, quota=10)
    assert await desk.balances(programme_id) == booked

    published = await operator.post(f"/v1/drops/{drop_id}/publish")
    assert (published.status, published.body["state"], published.body["version"]) == (
        200,
        "live",
        1,
    )
    assert published.body["published_at"] is not None
    reserved = {
        "available:city": 100_000 - 10 * CITY_PACK_FEN,
        "available:platform": 50_000 - 10 * PLATFORM_PACK_FEN,
        f"reserved:city:{drop_id}": 10 * CITY_PACK_FEN,
        f"reserved:platform:{drop_id}": 10 * PLATFORM_PACK_FEN,
    }
    assert await desk.balances(programme_id) == booked | reserved

    issued = await builders.issue(desk.owner, UUID(drop_id), 4)
    assert issued.outcomes == ["issued"] * 4
    closed = await operator.post(f"/v1/drops/{drop_id}/close")
    assert closed.status == 200
    assert {name: closed.body[name] for name in ("state", "issued", "live", "quota")} == {
        "state": "closed",
        "issued": 4,
        "live": 4,
        "quota": 10,
    }
    assert await desk.balances(programme_id) == booked | {
        "available:city": 100_000 - 4 * CITY_PACK_FEN,
        "available:platform": 50_000 - 4 * PLATFORM_PACK_FEN,
        f"outstanding:city:{drop_id}": 4 * CITY_PACK_FEN,
        f"outstanding:platform:{drop_id}": 4 * PLATFORM_PACK_FEN,
    }
    await desk.assert_books_are_sound()


async def test_quota_moves_exactly_its_reserve(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id, drop_id = await make_live_drop(operator)
    await builders.issue(desk.owner, UUID(drop_id), 4)

    for quota in (12, 7, 4):
        answer = await operator.patch(f"/v1/drops/{drop_id}", {"quota": quota})
        assert (answer.status, answer.body["quota"], answer.body["live"]) == (200, quota, 4)
        balances = await desk.balances(programme_id)
        unclaimed = quota - 4
        assert balances.get(f"reserved:city:{drop_id}", 0) == unclaimed * CITY_PACK_FEN
        assert balances.get(f"reserved:platform:{drop_id}", 0) == unclaimed * PLATFORM_PACK_FEN
        assert balances["available:city"] == 100_000 - quota * CITY_PACK_FEN
        assert balances["available:platform"] == 100_000 - quota * PLATFORM_PACK_FEN

    version = answer.body["version"]
    again = await operator.patch(f"/v1/drops/{drop_id}", {"quota": 4})
    assert (again.status, again.body["version"]) == (200, version)
    await desk.assert_books_are_sound()


async def test_publish_takes_no_more_than_is_available(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    await fund(operator, programme_id, "city", 10 * CITY_PACK_FEN)
    await fund(operator, programme_id, "platform", 10 * PLATFORM_PACK_FEN - 1)
    drop_id = await make_drop(operator, programme_id, quota=10)
    before = await desk.balances(programme_id)

    refused = await operator.post(f"/v1/drops/{drop_id}/publish")
    problem = refused.assert_problem(409, "insufficient_funds")
    assert problem["funder_id"] == "platform"
    assert problem["needed_fen"] == 10 * PLATFORM_PACK_FEN
    assert await desk.balances(programme_id) == before
    assert (await operator.get(f"/v1/drops/{drop_id}")).body["state"] == "draft"

    await fund(operator, programme_id, "platform", 1)
    assert (await operator.post(f"/v1/drops/{drop_id}/publish")).status == 200
    raised = await operator.patch(f"/v1/drops/{drop_id}", {"quota": 11})
    problem = raised.assert_problem(409, "insufficient_funds")
    assert (problem["funder_id"], problem["needed_fen"]) == ("city", CITY_PACK_FEN)
    assert (await operator.get(f"/v1/drops/{drop_id}")).body["quota"] == 10


async def test_on_the_ecny_rail_only_cash_counts(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    await fund(operator, programme_id, "city", 100_000)
    await fund(operator, programme_id, "platform", 10 * PLATFORM_PACK_FEN)
    drop_id = await make_drop(operator, programme_id, rail="ecny", quota=10)

    async def publish() -> int:
        return (await operator.post(f"/v1/drops/{drop_id}/publish")).status

    refused = await operator.post(f"/v1/drops/{drop_id}/publish")
    assert refused.assert_problem(409, "insufficient_funds")["funder_id"] == "platform"
    payment = {"funder_id": "platform", "reference": "paid", "settles_pledge": True}
    funding = f"/v1/programmes/{programme_id}/funding"
    await operator.post(funding, {**payment, "amount_fen": 10 * PLATFORM_PACK_FEN - 1})
    assert await publish() == 409
    await operator.post(funding, {**payment, "amount_fen": 1})
    assert await publish() == 200


async def test_on_the_ecny_rail_the_merchants_own_share_may_be_a_promise(desk: Desk) -> None:
    operator = desk.operator(CITY)
    merchants = funder("merchants", 2500, kind="merchant_pool", mode="pledge")
    programme_id = await make_programme(operator, funders=[funder("city", 7500), merchants])
    await fund(operator, programme_id, "city", 100_000)
    await fund(operator, programme_id, "merchants", 100_000)
    drop_id = await make_drop(operator, programme_id, rail="ecny", quota=10)

    assert (await operator.post(f"/v1/drops/{drop_id}/publish")).status == 200
    balances = await desk.balances(programme_id)
    # 1001 at 3 : 1 is 751 + 250, and 500 is 375 + 125.
    assert balances[f"reserved:merchants:{drop_id}"] == 10 * (3 * 250 + 125)
    assert balances[f"reserved:city:{drop_id}"] == 10 * (3 * 751 + 375)


async def test_two_drops_draw_on_one_budget(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator, funders=[funder("city", 10_000)])
    await fund(operator, programme_id, "city", 15 * PACK_FEN)
    first = await make_drop(operator, programme_id, quota=10)
    second = await make_drop(operator, programme_id, quota=10)

    assert (await operator.post(f"/v1/drops/{first}/publish")).status == 200
    refused = await operator.post(f"/v1/drops/{second}/publish")
    refused.assert_problem(409, "insufficient_funds")
    assert (await operator.post(f"/v1/drops/{first}/close")).status == 200
    assert (await operator.post(f"/v1/drops/{second}/publish")).status == 200


async def test_the_draft_is_shown_as_it_was_sent(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    terms = drop_terms(
        programme_id, round="5", limit_per_holder=2, admission="pass", reclaim_after_release=True
    )
    terms["pack"][1] |= {"valid_days": None, "valid_until": moment(days=3)}

    created = await operator.post("/v1/drops", terms)
    assert created.status == 201
    shown = await operator.get(f"/v1/drops/{created.body['drop_id']}")
    assert shown.body == created.body
    terms["pack"][0] |= {"valid_until": None}
    assert shown.body == {
        **terms,
        "drop_id": created.body["drop_id"],
        "state": "draft",
        "version": 0,
        "issued": 0,
        "live": 0,
        "pack_face_fen": PACK_FEN,
        "absorbs": False,
        "created_at": created.body["created_at"],
        "created_by": "operator-1",
        "published_at": None,
    }


async def test_times_come_from_the_development_clock(desk: Desk) -> None:
    operator = desk.operator(CITY)
    await desk.owner.execute("SELECT campaign.advance_clock(8 * 86400 * 1000000::bigint)")
    try:
        created = await operator.post("/v1/programmes", programme_terms())
        assert moment(days=7.9) < created.body["created_at"] < moment(days=8.1)
        drop_id = await make_drop(operator, created.body["programme_id"])
        refused = await operator.post(f"/v1/drops/{drop_id}/publish")
        assert refused.assert_problem(409, "wrong_state")["state"] == "draft"
    finally:
        await desk.owner.execute("UPDATE campaign.clock SET offset_us = 0")
