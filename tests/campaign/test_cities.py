"""A token acts in its cities; elsewhere there is nothing."""

from uuid import UUID

from tests import builders
from tests.callers import Caller
from tests.campaign.desk import Desk
from tests.campaign.terms import (
    VOID,
    drop_terms,
    fund,
    make_drop,
    make_live_drop,
    make_merchant,
    make_programme,
    make_terminal,
    merchant_terms,
    programme_terms,
)

HERE, THERE = "here-city", "there-city"


async def test_other_cities_do_not_exist_on_any_route(desk: Desk) -> None:
    everywhere = desk.operator("*")
    programme_id = await make_programme(everywhere, city_code=THERE)
    await fund(everywhere, programme_id, "city", 100_000)
    await fund(everywhere, programme_id, "platform", 100_000)
    drop_id = await make_drop(everywhere, programme_id)
    merchant_id = await make_merchant(everywhere, programme_id, city_code=THERE)
    terminal = await make_terminal(everywhere, merchant_id)
    claim_id = await _claim_of_another_drop(desk, everywhere, programme_id)
    merchant = f"/v1/merchants/{merchant_id}"
    terminal_id = terminal["terminal_id"]
    before = await desk.balances(programme_id)

    for stranger in (desk.operator(HERE), desk.operator(), desk.operator("no-such-city")):
        for method, path, body in (
            ("GET", f"/v1/programmes/{programme_id}", None),
            (
                "POST",
                f"/v1/programmes/{programme_id}/funding",
                {"funder_id": "city", "amount_fen": 1, "reference": "x"},
            ),
            ("POST", "/v1/drops", drop_terms(programme_id)),
            ("GET", f"/v1/drops/{drop_id}", None),
            ("POST", f"/v1/drops/{drop_id}/publish", None),
            ("POST", f"/v1/drops/{drop_id}/pause", None),
            ("POST", f"/v1/drops/{drop_id}/resume", None),
            ("POST", f"/v1/drops/{drop_id}/close", None),
            ("PATCH", f"/v1/drops/{drop_id}", {"quota": 1}),
            ("POST", f"/v1/claims/{claim_id}/void", VOID),
            ("GET", merchant, None),
            ("POST", f"{merchant}/suspend", None),
            ("POST", f"{merchant}/programmes", {"programme_id": programme_id}),
            ("POST", f"{merchant}/terminals", {}),
            ("GET", f"{merchant}/terminals", None),
            ("POST", f"{merchant}/terminals/{terminal_id}/suspend", None),
        ):
            answer = await stranger.send_json(method, path, body)
            answer.assert_problem(404, "not_found")
        refused = await stranger.post("/v1/merchants", merchant_terms(city_code=THERE))
        refused.assert_problem(403, "forbidden")
        refused = await stranger.post("/v1/programmes", programme_terms(city_code=THERE))
        refused.assert_problem(403, "forbidden")
        for path in (
            *("/v1/programmes", "/v1/drops", "/v1/merchants"),
            f"/v1/drops?programme_id={programme_id}",
        ):
            assert (await stranger.get(path)).body == {"items": [], "next_cursor": None}

    approver = desk.approver(HERE)
    (await approver.post(f"{merchant}/approve")).assert_problem(404, "not_found")

    assert await desk.balances(programme_id) == before
    assert (await everywhere.get(merchant)).body["state"] == "pending"
    there = desk.operator("no-such-city", THERE)
    assert (await there.get(f"/v1/drops/{drop_id}")).body["version"] == 0
    assert (await there.post(f"/v1/drops/{drop_id}/publish")).status == 200
    assert (await there.post(f"/v1/claims/{claim_id}/void", VOID)).status == 200
    assert (await desk.approver(THERE).post(f"{merchant}/approve")).status == 200


async def _claim_of_another_drop(desk: Desk, operator: Caller, programme_id: str) -> str:
    drop_id = await make_drop(operator, programme_id, quota=1)
    assert (await operator.post(f"/v1/drops/{drop_id}/publish")).status == 200
    return str((await builders.issue(desk.owner, UUID(drop_id), 1)).won[0])


async def test_a_refused_city_gets_no_number(desk: Desk) -> None:
    refused = await desk.operator(HERE).post(
        "/v1/programmes", programme_terms(city_code="never-seen")
    )
    refused.assert_problem(403, "forbidden")
    row = await desk.owner.fetchrow("SELECT 1 FROM campaign.cities WHERE city_code = 'never-seen'")
    assert row is None


async def test_lists_show_each_city_page_by_page(desk: Desk) -> None:
    everywhere = desk.operator("*")
    made: dict[str, list[str]] = {"page-a": [], "page-b": []}
    for n in range(5):
        city = ("page-a", "page-b")[n % 2]
        made[city].append(await make_programme(everywhere, city_code=city))

    both = desk.staff("auditor", "page-a", "page-b")
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = (await both.get(f"/v1/programmes?limit=2{cursor}")).body
        seen += [programme["programme_id"] for programme in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert seen == sorted(made["page-a"] + made["page-b"], key=UUID, reverse=True)
    only = await desk.staff("finance", "page-a").get("/v1/programmes")
    assert [p["programme_id"] for p in only.body["items"]] == made["page-a"][::-1]
    assert {p["city_code"] for p in only.body["items"]} == {"page-a"}


async def test_drops_are_listed_by_programme(desk: Desk) -> None:
    operator = desk.operator("*")
    programme_id, first = await make_live_drop(operator)
    second = await make_drop(operator, programme_id)
    _, other = await make_live_drop(operator)

    listed = await operator.get(f"/v1/drops?programme_id={programme_id}")
    assert [drop["drop_id"] for drop in listed.body["items"]] == [second, first]
    assert listed.body["items"][1] == (await operator.get(f"/v1/drops/{first}")).body
    newest = await operator.get("/v1/drops?limit=1")
    assert [drop["drop_id"] for drop in newest.body["items"]] == [other]
    assert newest.body["next_cursor"] is not None
    one = await operator.get(f"/v1/drops?limit=1&programme_id={programme_id}")
    rest = await operator.get(
        f"/v1/drops?programme_id={programme_id}&cursor={one.body['next_cursor']}"
    )
    assert [drop["drop_id"] for drop in rest.body["items"]] == [first]


async def test_cursors_and_limits_are_checked(desk: Desk) -> None:
    reader = desk.staff("finance", "*")
    merchant_id = await make_merchant(desk.operator("*"))
    terminals = f"/v1/merchants/{merchant_id}/terminals"
    for path in ("/v1/programmes", "/v1/drops", "/v1/merchants", terminals):
        for query in ("cursor=x", "cursor=%FF", "cursor=MTIz", "limit=0", "limit=501", "limit=x"):
            answer = await reader.get(f"{path}?{query}")
            answer.assert_problem(422, "invalid_request")
