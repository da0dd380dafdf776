"""What a body may hold, field by field; a refusal names what offends."""

from typing import Any
from uuid import UUID

import pytest

from tests import builders
from tests.campaign.desk import Desk
from tests.campaign.terms import (
    CITY,
    VOID,
    Body,
    drop_terms,
    funder,
    kind,
    make_live_drop,
    make_merchant,
    make_programme,
    merchant_terms,
    moment,
    programme_terms,
)

UNSET = object()


def _twenty_one() -> list[Body]:
    return [funder(f"f{n}", 476) for n in range(20)] + [funder("last", 480)]


PROGRAMMES: list[tuple[Body, str]] = [
    ({"name": UNSET}, "name"),
    ({"name": ""}, "name"),
    ({"name": " "}, "name"),
    ({"name": "x" * 121}, "name"),
    ({"name": "a\x00b"}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "\u202egnp"}, "name"),
    ({"city_code": ""}, "city_code"),
    ({"city_code": "x" * 33}, "city_code"),
    ({"city_code": "a b"}, "city_code"),
    ({"city_code": "杭州"}, "city_code"),
    ({"city_code": 330100}, "city_code"),
    ({"colour": "red"}, "colour"),
    ({"funders": []}, "funders"),
    ({"funders": {}}, "funders"),
    ({"funders": _twenty_one()}, "funders"),
    ({"funders": [funder("a", 5000), funder("b", 4999)]}, "share_bp"),
    ({"funders": [funder("a", 5000), funder("b", 5001)]}, "share_bp"),
    ({"funders": [funder("a", 5000), funder("a", 5000)]}, "funder_id"),
    ({"funders": [funder("a", 10_000), funder("b", 0)]}, "share_bp"),
    ({"funders": [funder("a", 10_001), funder("b", -1)]}, "share_bp"),
    ({"funders": [funder("a", 10_000.0)]}, "share_bp"),
    ({"funders": [funder("a", "10000")]}, "share_bp"),
    ({"funders": [funder("a:b", 10_000)]}, "funder_id"),
    ({"funders": [funder("a\n", 10_000)]}, "funder_id"),
    ({"funders": [funder("x" * 65, 10_000)]}, "funder_id"),
    ({"funders": [funder("a", 10_000, kind="charity")]}, "kind"),
    ({"funders": [funder("a", 10_000, mode="credit")]}, "mode"),
    ({"funders": [funder("a", 10_000, extra=1)]}, "extra"),
]

FUNDINGS: list[tuple[Body, str]] = [
    ({"amount_fen": 0}, "amount_fen"),
    ({"amount_fen": -1}, "amount_fen"),
    ({"amount_fen": 1.5}, "amount_fen"),
    ({"amount_fen": True}, "amount_fen"),
    ({"amount_fen": "100"}, "amount_fen"),
    ({"amount_fen": 10**13 + 1}, "amount_fen"),
    ({"amount_fen": 10**400}, "amount_fen"),
    ({"amount_fen": UNSET}, "amount_fen"),
    ({"funder_id": None}, "funder_id"),
    ({"reference": UNSET}, "reference"),
    ({"reference": "a\tb"}, "reference"),
    ({"settles_pledge": "yes"}, "settles_pledge"),
    ({"currency": "CNY"}, "currency"),
]

DROPS: list[tuple[Body, str]] = [
    ({"mode": "lottery"}, "mode"),
    ({"mode": "auction"}, "mode"),
    ({"admission": "secret"}, "admission"),
    ({"rail": "cash"}, "rail"),
    ({"rail": UNSET}, "rail"),
    ({"eligibility": {"cities": ["330100"]}}, "eligibility"),
    ({"eligibility": "everyone"}, "eligibility"),
    ({"limits": [{"scope": "round", "max": 1}]}, "limits"),
    ({"limits": 1}, "limits"),
    ({"reserve_mode": "full"}, "reserve_mode"),
    ({"opens_at": "tomorrow"}, "opens_at"),
    ({"opens_at": "2026-05-01T10:00:00"}, "opens_at"),
    ({"opens_at": 1_777_777_777}, "opens_at"),
    ({"opens_at": "9999-12-31T23:59:59-12:00"}, "opens_at"),
    ({"opens_at": "2031-01-01T00:00:01Z", "closes_at": "2031-01-01T00:00:00Z"}, "opens_at"),
    ({"opens_at": "2030-01-01T00:00:00Z", "closes_at": "2030-01-01T00:00:00Z"}, "opens_at"),
    ({"closes_at": None}, "closes_at"),
    ({"quota": 0}, "quota"),
    ({"quota": 100_000_001}, "quota"),
    ({"quota": 10.0}, "quota"),
    ({"limit_per_holder": 0}, "limit_per_holder"),
    ({"limit_per_holder": 101}, "limit_per_holder"),
    ({"round": ""}, "round"),
    ({"round": 5}, "round"),
    ({"reclaim_after_release": 1}, "reclaim_after_release"),
    ({"programme_id": 7}, "programme_id"),
    ({"pack": []}, "pack"),
    ({"pack": [kind(f"k{n}", count=1) for n in range(17)]}, "pack"),
    ({"pack": [kind("a"), kind("a")]}, "kind_id"),
    ({"pack": [kind("a", count=64), kind("b", count=1)]}, "vouchers"),
    ({"pack": [kind("a", count=65)]}, "count"),
    ({"pack": [kind("a", count=0)]}, "count"),
    ({"pack": [kind("a b")]}, "kind_id"),
    ({"pack": [kind("a", name="")]}, "name"),
    ({"pack": [kind("a", category="")]}, "category"),
    ({"pack": [kind("a", face_fen=0)]}, "face_fen"),
    ({"pack": [kind("a", face_fen=10**9 + 1)]}, "face_fen"),
    ({"pack": [kind("a", min_spend_fen=-1)]}, "min_spend_fen"),
    ({"pack": [kind("a", min_spend_fen=10**13 + 1)]}, "min_spend_fen"),
    ({"pack": [kind("a", valid_days=None)]}, "valid_days"),
    ({"pack": [kind("a", valid_until=moment(days=9))]}, "valid_days"),
    ({"pack": [kind("a", valid_days=0)]}, "valid_days"),
    ({"pack": [kind("a", valid_days=3651)]}, "valid_days"),
    (
        {
            "closes_at": "2031-01-01T00:00:00Z",
            "pack": [kind("a", valid_days=None, valid_until="2031-01-01T08:00:00+08:00")],
        },
        "valid_until",
    ),
    ({"pack": [kind("a", refund_policy="never")]}, "refund_policy"),
    ({"pack": [kind("a", percent_bp=100)]}, "percent_bp"),
    ({"quota": 100_000_000, "pack": [kind("a", face_fen=10_000_001, count=1)]}, "quota"),
]

QUOTAS: list[tuple[Body, str]] = [
    ({"quota": -1}, "quota"),
    ({"quota": 100_000_001}, "quota"),
    ({"quota": "12"}, "quota"),
    ({"quota": None}, "quota"),
    ({"quota": 12, "state": "live"}, "state"),
    ({"quota": UNSET}, "quota"),
]


MERCHANTS: list[tuple[Body, str]] = [
    ({"name": UNSET}, "name"),
    ({"name": " "}, "name"),
    ({"name": "x" * 121}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"city_code": "杭州"}, "city_code"),
    ({"categories": []}, "categories"),
    ({"categories": "catering"}, "categories"),
    ({"categories": ["catering", "catering"]}, "categories"),
    ({"categories": ["catering", ""]}, "categories"),
    ({"categories": [f"c{n}" for n in range(51)]}, "categories"),
    ({"programmes": UNSET}, "programmes"),
    ({"programmes": "all"}, "programmes"),
    ({"programmes": [7]}, "programmes"),
    ({"programmes": [f"p{n}" for n in range(101)]}, "programmes"),
    ({"mcc": "581"}, "mcc"),
    ({"mcc": "5812\n"}, "mcc"),
    ({"mcc": "٥٨١٢"}, "mcc"),
    ({"mcc": 5812}, "mcc"),
    ({"region_code": "33010"}, "region_code"),
    ({"payout_account": ""}, "payout_account"),
    ({"payout_account": "=1+1"}, "payout_account"),
    ({"payout_account": "x" * 65}, "payout_account"),
    ({"wallet_id": "a|b"}, "wallet_id"),
    ({"state": "active"}, "state"),
    ({"approved_by": "me"}, "approved_by"),
]

VOIDS: list[tuple[Body, str]] = [
    ({"reason": UNSET}, "reason"),
    ({"reason": ""}, "reason"),
    ({"reason": "a\tb"}, "reason"),
    ({"reason": "x" * 121}, "reason"),
    ({"reopen": UNSET}, "reopen"),
    ({"reopen": "yes"}, "reopen"),
    ({"reopen": 1}, "reopen"),
    ({"force": True}, "force"),
]


def _with(body: Body, changes: Body) -> Body:
    return {name: value for name, value in (body | changes).items() if value is not UNSET}


def _assert_names(problem: dict[str, Any], field: str) -> None:
    named = " ".join(f"{part}" for found in problem["fields"] for part in found["loc"])
    told = " ".join(found["msg"] for found in problem["fields"])
    assert field in f"{named} {told}", problem


@pytest.mark.parametrize(("changes", "field"), PROGRAMMES)
async def test_programmes(desk: Desk, changes: Body, field: str) -> None:
    answer = await desk.operator("*").post("/v1/programmes", _with(programme_terms(), changes))
    _assert_names(answer.assert_problem(422, "invalid_request"), field)


async def test_fundings(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    sound = {"funder_id": "city", "amount_fen": 1, "reference": "receipt"}
    for changes, field in FUNDINGS:
        answer = await operator.post(
            f"/v1/programmes/{programme_id}/funding", _with(sound, changes)
        )
        _assert_names(answer.assert_problem(422, "invalid_request"), field)
    assert await desk.balances(programme_id) == {}


async def test_drops(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    for changes, field in DROPS:
        answer = await operator.post("/v1/drops", _with(drop_terms(programme_id), changes))
        _assert_names(answer.assert_problem(422, "invalid_request"), field)
    listed = await operator.get(f"/v1/drops?programme_id={programme_id}")
    assert listed.body["items"] == []


async def test_quotas(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    for changes, field in QUOTAS:
        answer = await operator.patch(f"/v1/drops/{drop_id}", _with({}, changes))
        _assert_names(answer.assert_problem(422, "invalid_request"), field)
    assert (await operator.get(f"/v1/drops/{drop_id}")).body["quota"] == 10


async def test_merchants(desk: Desk) -> None:
    operator = desk.operator("merchant-city")
    programme_id = await make_programme(operator, city_code="merchant-city")
    sound = merchant_terms(programme_id, city_code="merchant-city")
    for changes, field in MERCHANTS:
        answer = await operator.post("/v1/merchants", _with(sound, changes))
        _assert_names(answer.assert_problem(422, "invalid_request"), field)
    assert (await operator.get("/v1/merchants")).body["items"] == []
    merchant_id = await make_merchant(operator, city_code="merchant-city")
    for body, field in (({"secret": "mine"}, "secret"), ([], "body"), (None, "body")):
        answer = await operator.post(f"/v1/merchants/{merchant_id}/terminals", body)
        _assert_names(answer.assert_problem(422, "invalid_request"), field)
    assert (await operator.get(f"/v1/merchants/{merchant_id}/terminals")).body["items"] == []


async def test_voids(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    claim_id = (await builders.issue(desk.owner, UUID(drop_id), 1)).won[0]
    for changes, field in VOIDS:
        answer = await operator.post(f"/v1/claims/{claim_id}/void", _with(VOID, changes))
        _assert_names(answer.assert_problem(422, "invalid_request"), field)
    assert (await operator.get(f"/v1/drops/{drop_id}")).body["live"] == 1


async def test_a_raised_quota_is_bounded_by_the_packs_face(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    pack = [kind("gold", face_fen=10**9, count=1)]
    created = await operator.post("/v1/drops", drop_terms(programme_id, pack=pack, quota=10**6))
    path = f"/v1/drops/{created.body['drop_id']}"
    answer = await operator.patch(path, {"quota": 10**6 + 1})
    _assert_names(answer.assert_problem(422, "invalid_request"), "quota")


@pytest.mark.parametrize(
    "changes",
    [
        {"eligibility": None, "limits": None},
        {"eligibility": {}, "limits": []},
        {"quota": 100_000_000, "pack": [kind("a", face_fen=10_000_000, count=1)]},
        {"quota": 1, "pack": [kind(f"k{n}", count=4, face_fen=10**9) for n in range(16)]},
        {"limit_per_holder": 100, "pack": [kind("a", count=64, min_spend_fen=0, face_fen=1)]},
        {"opens_at": "2026-05-01T10:00:00.123456789+08:00", "closes_at": "2027-01-01T00:00:00Z"},
        {"pack": [kind("a", valid_days=3650, refund_policy="restore_until_delivery")]},
        {
            "closes_at": "2031-01-01T00:00:00Z",
            "pack": [kind("-_", valid_days=None, valid_until="2031-01-01T08:00:00.000001+08:00")],
        },
    ],
)
async def test_the_edges_of_what_a_drop_may_be(desk: Desk, changes: Body) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    answer = await operator.post("/v1/drops", _with(drop_terms(programme_id), changes))
    assert answer.status == 201, answer.body


async def test_the_edges_of_what_a_programme_may_be(desk: Desk) -> None:
    operator = desk.operator("*")
    twenty = [funder(f"{n:_<64}", 500, name="Ä" * 120) for n in range(20)]
    for changes in ({"funders": twenty}, {"city_code": "Z" * 32}):
        answer = await operator.post("/v1/programmes", _with(programme_terms(), changes))
        assert answer.status == 201, answer.body


async def test_the_edges_of_what_a_merchant_may_be(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programmes = [await make_programme(operator) for _ in range(2)]
    edges: list[Body] = [
        {"programmes": []},
        {"programmes": [programmes[0], programmes[0].upper(), programmes[1]]},
        {"categories": [f"{n:_<120}" for n in range(50)]},
        {"mcc": None, "region_code": None, "payout_account": None, "wallet_id": None},
        {"mcc": "0000", "region_code": "999999", "payout_account": "0" * 64, "wallet_id": "a"},
    ]
    for changes in edges:
        answer = await operator.post("/v1/merchants", merchant_terms(**changes))
        assert answer.status == 201, answer.body
    shown = await operator.get("/v1/merchants?limit=4")
    assert shown.body["items"][3]["programmes"] == programmes
