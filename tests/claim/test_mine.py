"""Drops as anybody sees them; claims and vouchers as their holder sees them, and nobody else."""

import asyncio
import base64
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.ids import new_id
from tests import builders
from tests.builders import DropTerms
from tests.callers import Caller
from tests.claim.office import Office, claim

PACK_VOUCHERS = 4


async def pages(caller: Caller, path: str, limit: int) -> list[list[Any]]:
    """Follow a list to its end; return its pages."""
    found: list[list[Any]] = []
    cursor: str | None = ""
    for _ in range(500):
        asked = f"{path}{'&' if '?' in path else '?'}limit={limit}"
        answer = await caller.get(f"{asked}&cursor={cursor}" if cursor else asked)
        assert answer.status == 200, answer.body
        assert answer.body.keys() == {"items", "next_cursor"}
        found.append(answer.body["items"])
        cursor = answer.body["next_cursor"]
        if cursor is None:
            return found
    raise AssertionError("the list does not end")


async def test_a_drop_field_by_field(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    await claim(office.resident(), drop_id)
    shown = await office.bearer(None).get(f"/v1/drops/{drop_id}")
    assert shown.status == 200
    drop = shown.body
    assert drop.keys() >= {
        *("drop_id", "name", "state", "mode", "admission", "opens_at", "closes_at"),
        *("server_time", "quota", "remaining", "pack"),
    }
    assert (drop["drop_id"], drop["state"], drop["mode"]) == (drop_id, "live", "grab")
    assert (drop["admission"], drop["quota"], drop["remaining"]) == ("open", 5, 4)
    moments = [datetime.fromisoformat(drop[name]) for name in ("opens_at", "closes_at")]
    assert moments[0] < datetime.fromisoformat(drop["server_time"]) < moments[1]
    assert all(drop[name].endswith("Z") for name in ("opens_at", "closes_at", "server_time"))
    assert [(kind["kind_id"], kind["count"]) for kind in drop["pack"]] == [("meal", 3), ("book", 1)]


async def test_what_remains_is_never_overstated_for_longer_than_a_second(office: Office) -> None:
    """A process that serves no claims of the drop still follows the ledger."""
    drop_id = await office.open_drop(DropTerms(quota=5))
    reader = office.documented_to(office.bearer(None))
    assert (await reader.get(f"/v1/drops/{drop_id}")).body["remaining"] == 5
    await builders.issue(office.owner, UUID(drop_id), 3)
    await asyncio.sleep(1.05)
    assert (await reader.get(f"/v1/drops/{drop_id}")).body["remaining"] == 2
    await office.change(drop_id, "pause")
    await asyncio.sleep(1.05)
    assert (await reader.get(f"/v1/drops/{drop_id}")).body["state"] == "paused"


async def test_drafts_are_shown_to_nobody(office: Office) -> None:
    programme = await builders.make_programme(office.owner)
    draft = await builders.make_drop(office.owner, programme)
    for caller in (office.bearer(None), office.resident(), office.staff()):
        (await caller.get(f"/v1/drops/{draft}")).assert_problem(404, "not_found")
    listed = await pages(office.bearer(None), "/v1/drops", 500)
    assert str(draft) not in {drop["drop_id"] for page in listed for drop in page}


async def test_drops_are_listed_in_pages_latest_opening_first(later: Office) -> None:
    opened = [
        await later.open_drop(DropTerms(opens_in=timedelta(minutes=-minutes)))
        for minutes in (5, 1, 3, 4, 2)
    ]
    expected = [opened[at] for at in (1, 4, 2, 3, 0)]
    nobody = later.bearer(None)
    for limit in (1, 2, 5, 500):
        listed = await pages(nobody, "/v1/drops", limit)
        assert [drop["drop_id"] for page in listed for drop in page] == expected
        assert all(len(page) == limit for page in listed[:-1])
    city = await pages(nobody, "/v1/drops?city_code=330100", 500)
    assert len(city[0]) == 5
    assert (await nobody.get("/v1/drops?city_code=310000")).body["items"] == []


async def test_vouchers_of_several_drops_in_pages(office: Office) -> None:
    resident = office.resident()
    claims = []
    for _ in range(4):
        won = await claim(resident, await office.open_drop(DropTerms(quota=5)))
        assert won.status == 201
        claims.append(won.body)
    await claim(office.resident(), claims[0]["drop_id"])  # somebody else's are not shown
    expected = [
        {
            **voucher,
            "claim_id": won["claim_id"],
            "drop_id": won["drop_id"],
            "remaining_fen": voucher["face_fen"],
        }
        for won in reversed(claims)
        for voucher in won["vouchers"]
    ]
    for limit in (1, 3, 4, 5, 16, 500):
        listed = await pages(resident, "/v1/vouchers", limit)
        assert [voucher for page in listed for voucher in page] == expected
        assert [len(page) for page in listed[:-1]] == [limit] * (len(listed) - 1)
        assert listed[-1]
    for voucher in expected:
        read = await resident.get(f"/v1/vouchers/{voucher['voucher_id']}")
        assert (read.status, read.body) == (200, voucher)


async def test_whoever_has_nothing_has_an_empty_list(office: Office) -> None:
    answer = await office.resident().get("/v1/vouchers")
    assert (answer.status, answer.body) == (200, {"items": [], "next_cursor": None})


async def test_what_is_not_mine_is_not_there(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    mine = await claim(office.resident(), drop_id)
    stranger = office.resident()
    assert (await claim(stranger, drop_id)).status == 201
    voucher_id = mine.body["vouchers"][0]["voucher_id"]
    not_mine = [
        f"/v1/claims/{mine.body['claim_id']}",
        f"/v1/claims/{new_id(1)}",
        "/v1/claims/nonsense",
        f"/v1/vouchers/{voucher_id}",
        f"/v1/vouchers/{voucher_id[:-1]}0",
        f"/v1/vouchers/{voucher_id.upper()}x",
        f"/v1/vouchers/{'1' + 'f' * 32}",
        f"/v1/vouchers/{mine.body['claim_id']}",
    ]
    # What exists and what does not are told apart by nothing but the id.
    problems = [(await stranger.get(path)).assert_problem(404, "not_found") for path in not_mine]
    assert len({problem["detail"] for problem in problems[:3]}) == 1
    assert len({problem["detail"] for problem in problems[3:]}) == 1
    for path in not_mine[:4:3]:
        (await office.staff().get(path)).assert_problem(403, "forbidden")
        (await office.bearer(None).get(path)).assert_problem(401, "unauthenticated")


async def test_the_same_subject_in_two_cities(office: Office) -> None:
    """The hashes differ from city to city, the list is one."""
    resident = office.resident()
    claims = []
    for city_code in ("330100", "320500"):
        programme = await builders.make_programme(office.owner, city_code=city_code)
        drop_id = await builders.make_drop(office.owner, programme)
        await builders.publish(office.owner, drop_id)
        won = await claim(resident, str(drop_id))
        assert won.status == 201
        claims.append(won.body["claim_id"])
    [page] = await pages(resident, "/v1/vouchers", 100)
    assert {voucher["claim_id"] for voucher in page} == set(claims)
    hashes = await office.owner.fetch(
        "SELECT DISTINCT i.identity_hash FROM claim.person_identities AS i"
        " JOIN claim.claims AS c USING (city_id, person_id) WHERE c.claim_id = ANY ($1)",
        claims,
    )
    assert len(hashes) == 2


async def test_a_released_claim_stays_visible_as_released(office: Office) -> None:
    resident = office.resident()
    released, kept = [
        (await claim(resident, await office.open_drop(DropTerms(quota=5)))).body for _ in range(2)
    ]
    outcome = await builders.release(office.owner, UUID(released["claim_id"]), reopen=False)
    assert outcome == "released"
    [page] = await pages(resident, "/v1/vouchers", 100)
    states = {(voucher["claim_id"], voucher["state"]) for voucher in page}
    assert states == {(released["claim_id"], "released"), (kept["claim_id"], "active")}
    read = await resident.get(f"/v1/claims/{released['claim_id']}")
    assert {voucher["state"] for voucher in read.body["vouchers"]} == {"released"}
    voucher_id = released["vouchers"][0]["voucher_id"]
    assert (await resident.get(f"/v1/vouchers/{voucher_id}")).body["state"] == "released"


async def test_vouchers_expire_when_the_clock_says_so(later: Office) -> None:
    terms = DropTerms(
        quota=5,
        pack=(builders.Kind("long", 100, 1, valid_days=30), builders.Kind("short", 100, 1)),
        closes_in=timedelta(days=60),
    )
    drop_id = await later.open_drop(terms)
    resident = later.resident()
    won = await claim(resident, drop_id)
    await later.owner.execute("SELECT campaign.advance_clock(8 * 86400 * 1000000::bigint)")
    await asyncio.sleep(0.7)  # the process asks for the offset twice a second
    read = await resident.get(f"/v1/claims/{won.body['claim_id']}")
    assert [(v["kind_id"], v["state"]) for v in read.body["vouchers"]] == [
        ("long", "active"),
        ("short", "expired"),
    ]
    # The claim was made then, and its bytes stay what they were.
    again = await claim(resident, drop_id)
    assert (again.status, again.raw) == (200, won.raw)
    tomorrow = await claim(later.resident(), drop_id)
    moved = datetime.fromisoformat(tomorrow.body["claimed_at"])
    assert moved - datetime.fromisoformat(won.body["claimed_at"]) >= timedelta(days=8)


def cursor_of(position: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "position",
    [
        ["0001-01-01T00:00:00", str(new_id(1))],
        ["0001-01-01T00:00:00+14:00", str(new_id(1))],
        ["9999-12-31T23:59:59-14:00", str(new_id(1))],
        ["2026-05-01T00:00:00", str(new_id(1))],
        [1e300, str(new_id(1))],
        [2**70, str(new_id(1))],
        ["2026-05-01T00:00:00Z", "nonsense"],
        ["2026-05-01T00:00:00Z"],
        {},
        None,
        "x" * 300,
    ],
)
async def test_a_forged_cursor_of_drops(office: Office, position: object) -> None:
    answer = await office.bearer(None).get(f"/v1/drops?cursor={cursor_of(position)}")
    answer.assert_problem(422, "invalid_request")


@pytest.mark.parametrize(
    ("position", "accepted"),
    [
        ([str(new_id(1)), 10**40], {200, 422}),
        ([str(new_id(1)), -(10**40)], {200, 422}),
        ([str(UUID(int=0)), 0], {200}),
        ([str(UUID(int=2**128 - 1)), 0], {200}),
        (["nonsense", 0], {422}),
        ([str(new_id(1)), "x"], {422}),
        ([0, 0], {422}),
        ([[]], {422}),
    ],
)
async def test_a_forged_cursor_of_vouchers(
    office: Office, position: object, accepted: set[int]
) -> None:
    """A cursor never widens what is seen: it only says where to begin in one's own."""
    resident = office.resident()
    won = await claim(resident, await office.open_drop(DropTerms(quota=5)))
    answer = await resident.get(f"/v1/vouchers?cursor={cursor_of(position)}")
    assert answer.status in accepted, answer.body
    if answer.status == 200:
        seen = {voucher["claim_id"] for voucher in answer.body["items"]}
        assert seen <= {won.body["claim_id"]}
    else:
        answer.assert_problem(422, "invalid_request")


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "limit=1e3", "more=1"])
async def test_the_query_of_a_list_is_strict(office: Office, query: str) -> None:
    for caller, path in ((office.bearer(None), "/v1/drops"), (office.resident(), "/v1/vouchers")):
        answer = await caller.get(f"{path}?{query}")
        if query == "more=1":
            assert answer.status in {200, 422}
        else:
            answer.assert_problem(422, "invalid_request")
