"""Voiding a claim: what happens to its pack, its money and its vouchers."""

import asyncio
from uuid import UUID

import pytest

from tests import builders, tills
from tests.callers import Answer, Caller
from tests.campaign.desk import Desk
from tests.campaign.terms import (
    CITY,
    CITY_PACK_FEN,
    PLATFORM_PACK_FEN,
    VOID,
    drop_terms,
    kind,
    make_live_drop,
    make_merchant,
    make_terminal,
    moment,
)
from tests.redeem_races.lending import Lent
from tests.tills import Till


async def _void(operator: Caller, claim_id: UUID, **other: object) -> Answer:
    return await operator.post(f"/v1/claims/{claim_id}/void", {**VOID, **other})


async def _till(desk: Desk, programme_id: str) -> Till:
    operator = desk.operator(CITY)
    merchant_id = await make_merchant(operator, programme_id)
    await desk.approver(CITY).post(f"/v1/merchants/{merchant_id}/approve")
    made = await make_terminal(operator, merchant_id)
    return Till(UUID(merchant_id), UUID(made["terminal_id"]), made["key_id"])


async def test_a_pack_that_reopens(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id, drop_id = await make_live_drop(operator)
    claims = (await builders.issue(desk.owner, UUID(drop_id), 10)).won
    voided = await _void(operator, claims[3])
    assert voided.status == 200
    assert voided.body == {
        "claim_id": str(claims[3]),
        "drop_id": drop_id,
        "serial": 4,
        "state": "released",
        "reopened": True,
        "journal_kind": "J7a",
        "reason": VOID["reason"],
        "released_at": voided.body["released_at"],
        "released_by": "operator-1",
    }
    drop = (await operator.get(f"/v1/drops/{drop_id}")).body
    assert drop.items() >= {"quota": 10, "live": 9, "issued": 10}.items()
    # The gate knows of the pack that came back.
    assert await desk.gate_of(drop_id) == (drop["version"], 1, "live")
    balances = await desk.balances(programme_id)
    assert balances[f"outstanding:city:{drop_id}"] == 9 * CITY_PACK_FEN
    assert balances[f"reserved:city:{drop_id}"] == CITY_PACK_FEN


async def test_a_pack_that_is_withdrawn(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id, drop_id = await make_live_drop(operator)
    claims = (await builders.issue(desk.owner, UUID(drop_id), 10)).won
    voided = await _void(operator, claims[0], reopen=False)
    assert (voided.body["reopened"], voided.body["journal_kind"]) == (False, "J7b")
    drop = (await operator.get(f"/v1/drops/{drop_id}")).body
    assert drop.items() >= {"quota": 9, "live": 9, "issued": 10}.items()
    assert await desk.gate_of(drop_id) == (drop["version"], 0, "live")
    balances = await desk.balances(programme_id)
    assert balances["available:platform"] == 100_000 - 9 * PLATFORM_PACK_FEN
    assert f"reserved:city:{drop_id}" not in balances


async def test_a_closed_drop_takes_no_pack_back(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    claims = (await builders.issue(desk.owner, UUID(drop_id), 2)).won
    assert (await operator.post(f"/v1/drops/{drop_id}/close")).status == 200
    voided = await _void(operator, claims[0], reopen=True)
    assert (voided.body["reopened"], voided.body["journal_kind"]) == (False, "J7b")


async def test_a_claim_is_voided_once(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    claims = (await builders.issue(desk.owner, UUID(drop_id), 2)).won
    answers = await asyncio.gather(
        *(_void(operator, claims[0], reopen=n % 2 == 0, reason=f"reason {n}") for n in range(20))
    )
    assert [answer.status for answer in answers] == [200] * 20
    first = answers[0].body
    assert all(answer.body == first for answer in answers)
    assert (await operator.get(f"/v1/drops/{drop_id}")).body["live"] == 1
    # Asking again also mends a gate that missed it.
    await desk.redis.flushall()
    again = await desk.staff("operator", CITY, subject="operator-2").post(
        f"/v1/claims/{claims[0]}/void", {"reason": "late", "reopen": not first["reopened"]}
    )
    assert (again.status, again.body) == (200, first)
    gate = await desk.gate_of(drop_id)
    assert gate is not None
    assert gate[1] == (9 if first["reopened"] else 8)


async def test_what_a_till_holds_or_took_is_not_voided(desk: Desk, tills_pool: Lent) -> None:
    operator = desk.operator(CITY)
    programme_id, drop_id = await make_live_drop(operator)
    held_claim, taken_claim = (await builders.issue(desk.owner, UUID(drop_id), 2)).won
    till = await _till(desk, programme_id)
    before = await desk.balances(programme_id)
    async with tills_pool.acquire() as connection:
        held = await tills.redeem(connection, till, held_claim, 1, capture=False)
        taken = await tills.redeem(connection, till, taken_claim, 3)
        for claim_id in (held_claim, taken_claim):
            (await _void(operator, claim_id)).assert_problem(409, "in_use")
        assert (await operator.get(f"/v1/drops/{drop_id}")).body["live"] == 2
        # What was given back is void with the rest of its pack.
        assert await tills.finish_hold(connection, held, "release") == "released"
        assert await tills.reverse(connection, taken) == "reversed"
        assert await desk.balances(programme_id) == before
        for claim_id, position in ((held_claim, 1), (taken_claim, 3), (taken_claim, 0)):
            assert (await _void(operator, claim_id)).status == 200
            [told] = await tills.decide(connection, [tills.ask(till, claim_id, position)])
            assert told.outcome == "voided"
    await desk.assert_books_are_sound()


async def test_what_has_expired_is_not_voided(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id, _ = await make_live_drop(operator)
    terms = drop_terms(
        programme_id,
        closes_at=moment(seconds=0.3),
        pack=[
            kind("short", valid_days=None, valid_until=moment(seconds=0.6)),
            kind("long", valid_days=9),
        ],
        quota=1,
    )
    created = await operator.post("/v1/drops", terms)
    drop_id = created.body["drop_id"]
    assert (await operator.post(f"/v1/drops/{drop_id}/publish")).status == 200
    [claim_id] = (await builders.issue(desk.owner, UUID(drop_id), 1)).won
    await asyncio.sleep(0.6)
    (await _void(operator, claim_id)).assert_problem(410, "expired")
    assert (await operator.get(f"/v1/drops/{drop_id}")).body["live"] == 1


@pytest.mark.parametrize("reopen", [True, False])
async def test_a_void_and_a_capture_at_once_are_one_of_them(
    desk: Desk,
    tills_pool: Lent,
    reopen: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    operator = desk.operator(CITY)
    programme_id, drop_id = await make_live_drop(operator, quota=20)
    claims = (await builders.issue(desk.owner, UUID(drop_id), 20)).won
    till = await _till(desk, programme_id)

    async def capture(claim_id: UUID) -> str:
        async with tills_pool.acquire() as connection:
            return (await tills.decide(connection, [tills.ask(till, claim_id)]))[0].outcome

    for claim_id in claims:
        told, voided = await asyncio.gather(
            capture(claim_id), _void(operator, claim_id, reopen=reopen)
        )
        assert (told, voided.status) in {("captured", 409), ("voided", 200)}
    await desk.assert_books_are_sound()
