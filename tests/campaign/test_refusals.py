"""Every problem code of the control plane, through HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from shared.ids import new_id
from tests import builders
from tests.callers import Caller
from tests.campaign.desk import Desk
from tests.campaign.terms import (
    CITY,
    VOID,
    drop_terms,
    fund,
    funder,
    make_drop,
    make_live_drop,
    make_merchant,
    make_programme,
    merchant_terms,
    moment,
    programme_terms,
)

CHANGES = ("publish", "pause", "resume", "close")


@asynccontextmanager
async def locked(desk: Desk, drop_id: str) -> AsyncIterator[None]:
    """Hold the drop's row, as a long batch of claims would."""
    async with desk.owner.transaction():
        await desk.owner.execute(
            "SELECT FROM campaign.drops WHERE drop_id = $1 FOR UPDATE", UUID(drop_id)
        )
        yield


async def _bring_to(operator: Caller, state: str) -> str:
    if state == "draft":
        return await make_drop(operator, await make_programme(operator))
    _, drop_id = await make_live_drop(operator)
    change = {"paused": "pause", "closed": "close"}.get(state)
    if change is not None:
        assert (await operator.post(f"/v1/drops/{drop_id}/{change}")).status == 200
    return drop_id


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        # A funded draft would publish; this one has no money, which is another test's subject.
        ("draft", {"close": "closed"}),
        ("live", {"publish": "live", "pause": "paused", "resume": "live", "close": "closed"}),
        ("paused", {"pause": "paused", "resume": "live", "close": "closed"}),
        ("closed", {"close": "closed"}),
    ],
)
async def test_changes_by_state(desk: Desk, state: str, allowed: dict[str, str]) -> None:
    operator = desk.operator(CITY)
    for change in CHANGES:
        if (state, change) == ("draft", "publish"):
            continue
        drop_id = await _bring_to(operator, state)
        answer = await operator.post(f"/v1/drops/{drop_id}/{change}")
        if change in allowed:
            assert (answer.status, answer.body["state"]) == (200, allowed[change]), (state, change)
        else:
            assert answer.assert_problem(409, "wrong_state")["state"] == state
            assert (await operator.get(f"/v1/drops/{drop_id}")).body["state"] == state


@pytest.mark.parametrize("state", ["draft", "closed"])
async def test_the_quota_changes_only_while_the_drop_runs(desk: Desk, state: str) -> None:
    operator = desk.operator(CITY)
    drop_id = await _bring_to(operator, state)
    answer = await operator.patch(f"/v1/drops/{drop_id}", {"quota": 11})
    assert answer.assert_problem(409, "wrong_state")["state"] == state


async def test_the_quota_never_falls_below_live_claims(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    await builders.issue(desk.owner, UUID(drop_id), 4)

    answer = await operator.patch(f"/v1/drops/{drop_id}", {"quota": 3})
    assert answer.assert_problem(409, "quota_below_claims")["live"] == 4
    assert (await operator.patch(f"/v1/drops/{drop_id}", {"quota": 4})).status == 200


async def test_a_drop_that_ended_is_not_published(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    drop_id = await make_drop(
        operator, programme_id, opens_at=moment(hours=-2), closes_at=moment(hours=-1)
    )
    answer = await operator.post(f"/v1/drops/{drop_id}/publish")
    assert answer.assert_problem(409, "wrong_state")["detail"] == "Its closing time has passed."


async def test_no_more_is_paid_than_was_pledged(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    await fund(operator, programme_id, "platform", 100)
    path = f"/v1/programmes/{programme_id}/funding"
    payment = {"reference": "paid", "settles_pledge": True}

    too_much = await operator.post(path, {**payment, "funder_id": "platform", "amount_fen": 101})
    too_much.assert_problem(409, "pledge_exceeded")
    never_pledged = await operator.post(path, {**payment, "funder_id": "city", "amount_fen": 1})
    never_pledged.assert_problem(409, "pledge_exceeded")
    assert await desk.balances(programme_id) == {"available:platform": 100, "pledge:platform": 100}


async def test_unknown_things(desk: Desk) -> None:
    operator = desk.operator("*")
    programme_id = await make_programme(operator)
    funding = {"funder_id": "nobody", "amount_fen": 1, "reference": "x"}
    answer = await operator.post(f"/v1/programmes/{programme_id}/funding", funding)
    answer.assert_problem(404, "not_found")

    merchant_id = await make_merchant(operator, programme_id)
    unknown = str(new_id(1))
    elsewhere = str(new_id(4095))
    for absent in (unknown, elsewhere, "nonsense", "%00", "0" * 36, unknown.upper(), "{" + unknown):
        for method, path, body in (
            ("GET", "/v1/programmes/{}", None),
            ("POST", "/v1/programmes/{}/funding", {**funding, "funder_id": "city"}),
            ("GET", "/v1/drops/{}", None),
            *(("POST", f"/v1/drops/{{}}/{change}", None) for change in CHANGES),
            ("PATCH", "/v1/drops/{}", {"quota": 1}),
            ("POST", "/v1/claims/{}/void", VOID),
            ("GET", "/v1/merchants/{}", None),
            ("POST", "/v1/merchants/{}/suspend", None),
            ("POST", "/v1/merchants/{}/programmes", {"programme_id": programme_id}),
            ("POST", "/v1/merchants/{}/terminals", {}),
            ("GET", "/v1/merchants/{}/terminals", None),
            ("POST", f"/v1/merchants/{merchant_id}/terminals/{{}}/suspend", None),
        ):
            answer = await operator.send_json(method, path.format(absent), body)
            if absent == "%00":
                answer.assert_problem(422, "invalid_request")
            else:
                answer.assert_problem(404, "not_found")
        if absent != "%00":
            for post, body in (
                ("/v1/drops", drop_terms(absent)),
                ("/v1/merchants", merchant_terms(programme_id, absent)),
                (f"/v1/merchants/{merchant_id}/programmes", {"programme_id": absent}),
            ):
                (await operator.post(post, body)).assert_problem(404, "not_found")
            assert (await operator.get(f"/v1/drops?programme_id={absent}")).body["items"] == []
    for absent_path in ("/v1/claims", "/v1/nothing"):
        (await operator.post(absent_path, {})).assert_problem(404, "not_found")
    (await operator.patch("/v1/programmes", {})).assert_problem(405, "method_not_allowed")


async def test_only_operators_write_and_only_staff_read(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    await fund(operator, programme_id, "city", 100_000)
    await fund(operator, programme_id, "platform", 100_000)
    drop_id = await make_drop(operator, programme_id)
    merchant = f"/v1/merchants/{await make_merchant(operator, programme_id)}"
    reads = [
        "/v1/programmes",
        f"/v1/programmes/{programme_id}",
        "/v1/drops",
        f"/v1/drops/{drop_id}",
        "/v1/merchants",
        merchant,
        f"{merchant}/terminals",
    ]
    writes = [
        ("POST", "/v1/programmes", programme_terms()),
        (
            "POST",
            f"/v1/programmes/{programme_id}/funding",
            {"funder_id": "city", "amount_fen": 1, "reference": "x"},
        ),
        ("POST", "/v1/drops", drop_terms(programme_id)),
        *(("POST", f"/v1/drops/{drop_id}/{change}", None) for change in CHANGES),
        ("PATCH", f"/v1/drops/{drop_id}", {"quota": 11}),
        ("POST", f"/v1/claims/{new_id(1)}/void", VOID),
        ("POST", "/v1/merchants", merchant_terms(programme_id)),
        ("POST", f"{merchant}/suspend", None),
        ("POST", f"{merchant}/programmes", {"programme_id": programme_id}),
        ("POST", f"{merchant}/terminals", {}),
        ("POST", f"{merchant}/terminals/{new_id(1)}/suspend", None),
    ]
    before = await desk.balances(programme_id)
    for role in ("approver", "finance", "auditor", "resident"):
        caller = desk.staff(role, CITY)
        for method, path, body in writes:
            refused = await caller.send_json(method, path, body)
            refused.assert_problem(403, "forbidden")
        for path in reads:
            answer = await caller.get(path)
            assert answer.status == (403 if role == "resident" else 200), (role, path)
    for role in ("operator", "finance", "auditor", "resident"):
        refused = await desk.staff(role, CITY).post(f"{merchant}/approve")
        refused.assert_problem(403, "forbidden")
    for method, path, body in [*writes, *(("GET", path, None) for path in reads)]:
        refused = await desk.nobody().send_json(method, path, body)
        refused.assert_problem(401, "unauthenticated")
        assert refused.headers["www-authenticate"] == "Bearer"
    assert await desk.balances(programme_id) == before
    assert (await operator.get(f"/v1/drops/{drop_id}")).body["version"] == 0


async def test_a_locked_drop_answers_busy(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    _, other = await make_live_drop(operator)
    async with locked(desk, drop_id):
        waiting = operator.post(f"/v1/drops/{drop_id}/pause")
        free = operator.post(f"/v1/drops/{other}/pause")
        busy, passed = await asyncio.gather(waiting, free)
    problem = busy.assert_problem(503, "busy")
    assert problem["retryable"]
    assert int(busy.headers["retry-after"]) * 1000 >= problem["retry_after_ms"] > 0
    assert passed.status == 200
    assert (await operator.get(f"/v1/drops/{drop_id}")).body["state"] == "live"


async def test_a_lost_connection_answers_unavailable(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    async with locked(desk, drop_id):
        pause = asyncio.ensure_future(operator.post(f"/v1/drops/{drop_id}/pause"))
        ended = False
        while not ended:
            await asyncio.sleep(0.01)
            ended = await desk.owner.fetchval(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'fairdrop_campaign' AND wait_event_type = 'Lock'"
            )
        (await pause).assert_problem(503, "unavailable")
    # Every pooled connection dies: the next requests open new ones by themselves.
    await desk.owner.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fairdrop_campaign'"
    )
    assert (await operator.post(f"/v1/drops/{drop_id}/pause")).body["state"] == "paused"


async def test_there_is_room_for_4095_cities(desk: Desk) -> None:
    operator = desk.operator("*")
    await make_programme(operator)
    async with desk.owner.transaction():
        await desk.owner.execute(
            "INSERT INTO campaign.cities VALUES (4095, 'the-last-city', campaign.now())"
        )
    terms = programme_terms(city_code="one-city-too-many", funders=[funder("city", 10_000)])
    refused = await operator.post("/v1/programmes", terms)
    problem = refused.assert_problem(422, "invalid_request")
    assert problem["fields"][0]["loc"] == ["body", "city_code"]
    await desk.owner.execute("DELETE FROM campaign.cities WHERE city_id = 4095")
