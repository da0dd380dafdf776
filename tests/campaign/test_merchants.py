"""Merchants: enrolled by one person, approved by another, suspended for good."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from tests.campaign.desk import Desk
from tests.campaign.terms import (
    CITY,
    make_merchant,
    make_programme,
    make_terminal,
    merchant_terms,
)

WHOLE = {
    "mcc": "5812",
    "region_code": "330106",
    "payout_account": "3301040160001234567",
    "wallet_id": "0021000123456789",
}


async def test_a_merchant_from_enrolment_to_suspension(desk: Desk) -> None:
    operator, approver = desk.operator(CITY), desk.approver(CITY)
    programme_id = await make_programme(operator)
    terms = merchant_terms(programme_id, **WHOLE)
    enrolled = await operator.post("/v1/merchants", terms)
    assert enrolled.status == 201
    expected = {
        **terms,
        "merchant_id": enrolled.body["merchant_id"],
        "state": "pending",
        "created_at": enrolled.body["created_at"],
        "created_by": "operator-1",
        "approved_at": None,
        "approved_by": None,
        "suspended_at": None,
        "suspended_by": None,
    }
    assert enrolled.body == expected
    path = f"/v1/merchants/{expected['merchant_id']}"

    approved = await approver.post(f"{path}/approve")
    expected |= {"state": "active", "approved_by": "approver-1"}
    assert approved.body == expected | {"approved_at": approved.body["approved_at"]}
    assert approved.body["approved_at"] > approved.body["created_at"]
    again = await desk.staff("approver", CITY, subject="approver-2").post(f"{path}/approve")
    assert (again.status, again.body) == (200, approved.body)

    suspended = await operator.post(f"{path}/suspend")
    expected = approved.body | {"state": "suspended", "suspended_by": "operator-1"}
    assert suspended.body == expected | {"suspended_at": suspended.body["suspended_at"]}
    assert (await operator.post(f"{path}/suspend")).body == suspended.body
    assert (await operator.get(path)).body == suspended.body


async def test_who_enrolled_a_merchant_does_not_approve_it(desk: Desk) -> None:
    operator = desk.operator(CITY)
    merchant_id = await make_merchant(operator)
    path = f"/v1/merchants/{merchant_id}"
    both = desk.staff("approver", CITY, subject="operator-1")
    problem = (await both.post(f"{path}/approve")).assert_problem(403, "same_person")
    assert "operator-1" in problem["detail"]
    assert (await operator.get(path)).body["state"] == "pending"
    # The database refuses it by itself, whoever writes.
    with pytest.raises(asyncpg.CheckViolationError, match="merchants_need_a_second_person"):
        await desk.owner.execute(
            "UPDATE campaign.merchants SET state = 'active', approved_at = created_at,"
            " approved_by = created_by WHERE merchant_id = $1",
            UUID(merchant_id),
        )


async def test_a_suspended_merchant_gets_nothing_new(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    merchant_id = await make_merchant(operator)
    path = f"/v1/merchants/{merchant_id}"
    assert (await operator.post(f"{path}/suspend")).body["state"] == "suspended"
    for caller, refused, body in (
        (desk.approver(CITY), "approve", None),
        (operator, "terminals", {}),
        (operator, "programmes", {"programme_id": programme_id}),
    ):
        answer = await caller.post(f"{path}/{refused}", body)
        assert answer.assert_problem(409, "wrong_state")["state"] == "suspended"
    shown = (await operator.get(path)).body
    assert (shown["state"], shown["approved_by"], shown["programmes"]) == ("suspended", None, [])


async def test_a_merchant_joins_another_programme(desk: Desk) -> None:
    operator = desk.operator("*")
    programmes = [await make_programme(operator) for _ in range(2)]
    elsewhere = await make_programme(operator, city_code="320100")
    merchant_id = await make_merchant(operator, programmes[0])
    path = f"/v1/merchants/{merchant_id}"
    for _ in range(2):
        joined = await operator.post(f"{path}/programmes", {"programme_id": programmes[1]})
        assert (joined.status, joined.body["programmes"]) == (201, programmes)
        assert (await operator.get(path)).body == joined.body
    # A programme of another city is none of this merchant's, for whoever sees both.
    for post, body in (
        (f"{path}/programmes", {"programme_id": elsewhere}),
        ("/v1/merchants", merchant_terms(programmes[0], elsewhere)),
    ):
        refused = await operator.post(post, body)
        problem = refused.assert_problem(404, "not_found")
        assert "programme" in problem["detail"]
    assert (await operator.get(path)).body["programmes"] == programmes


async def test_programmes_are_approved_with_the_merchant(desk: Desk) -> None:
    """Nobody takes money of another programme without a second person, however soon they ask."""
    operator = desk.operator(CITY)
    programmes = [await make_programme(operator) for _ in range(2)]
    merchant_id = await make_merchant(operator, programmes[0])
    path = f"/v1/merchants/{merchant_id}"
    assert (await desk.approver(CITY).post(f"{path}/approve")).status == 200
    for programme_id in programmes:
        refused = await operator.post(f"{path}/programmes", {"programme_id": programme_id})
        assert refused.assert_problem(409, "wrong_state")["state"] == "active"
    assert (await operator.get(path)).body["programmes"] == programmes[:1]
    for _ in range(5):
        path = f"/v1/merchants/{await make_merchant(operator, programmes[0])}"
        approved, joined = await asyncio.gather(
            desk.approver(CITY).post(f"{path}/approve"),
            operator.post(f"{path}/programmes", {"programme_id": programmes[1]}),
        )
        assert (approved.status, joined.status in {201, 409}) == (200, True), joined.body
        assert len((await operator.get(path)).body["programmes"]) == (joined.status == 201) + 1


async def test_a_city_without_programmes_has_no_merchants(desk: Desk) -> None:
    operator = desk.operator("*")
    refused = await operator.post("/v1/merchants", merchant_terms(city_code="nowhere"))
    assert "nowhere" in refused.assert_problem(404, "not_found")["detail"]
    row = await desk.owner.fetchrow("SELECT 1 FROM campaign.cities WHERE city_code = 'nowhere'")
    assert row is None


async def test_merchants_are_listed_by_state(desk: Desk) -> None:
    city = "listed-city"
    operator, approver = desk.operator(city), desk.approver(city)
    await make_programme(operator, city_code=city)
    made = [await make_merchant(operator, city_code=city) for _ in range(5)]
    for merchant_id in made[:3]:
        assert (await approver.post(f"/v1/merchants/{merchant_id}/approve")).status == 200
    assert (await operator.post(f"/v1/merchants/{made[0]}/suspend")).status == 200

    async def listed(query: str) -> list[str]:
        seen: list[str] = []
        cursor = ""
        for _ in range(5):
            page = (await approver.get(f"/v1/merchants?limit=2{query}{cursor}")).body
            seen += [merchant["merchant_id"] for merchant in page["items"]]
            if page["next_cursor"] is None:
                return seen
            cursor = f"&cursor={page['next_cursor']}"
        raise AssertionError("the list does not end")

    assert await listed("") == made[::-1]
    assert await listed("&state=pending") == [made[4], made[3]]
    assert await listed("&state=active") == [made[2], made[1]]
    assert await listed("&state=suspended") == [made[0]]


async def test_tills_are_listed_without_their_secrets(desk: Desk) -> None:
    operator = desk.operator(CITY)
    merchant_id = await make_merchant(operator)
    other = await make_terminal(operator, await make_merchant(operator))
    made = [await make_terminal(operator, merchant_id) for _ in range(3)]
    path = f"/v1/merchants/{merchant_id}/terminals"
    suspended = await operator.post(f"{path}/{made[1]['terminal_id']}/suspend")
    shown = [{name: till[name] for name in till if name != "secret"} for till in made]
    shown[1] |= {
        "state": "suspended",
        "suspended_at": suspended.body["suspended_at"],
        "suspended_by": "operator-1",
    }
    assert suspended.body == shown[1]
    assert (await operator.post(f"{path}/{made[1]['terminal_id']}/suspend")).body == shown[1]
    for subject in ("finance", "auditor"):
        listed = await desk.staff(subject, CITY).get(path)
        assert listed.body == {"items": shown[::-1], "next_cursor": None}
    page = (await operator.get(f"{path}?limit=2")).body
    rest = (await operator.get(f"{path}?limit=2&cursor={page['next_cursor']}")).body
    assert page["items"] + rest["items"] == shown[::-1]
    # A till of another merchant is not found here.
    foreign = await operator.post(f"{path}/{other['terminal_id']}/suspend")
    foreign.assert_problem(404, "not_found")
