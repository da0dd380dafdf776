"""The pass: asked for before T-0, used instead of the JWT, for this drop and this holder alone."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from services.claim.holders import Holder
from services.claim.passes import PREFIX, Pass, Passes
from services.claim.routes import PASS_OUTLIVES_DROP
from shared.clock import rfc3339
from shared.ids import new_id
from shared.secrets import Secrets
from tests import builders
from tests.builders import DropTerms
from tests.callers import Caller
from tests.claim.office import Office, claim

EARLY = DropTerms(quota=5, opens_in=timedelta(hours=1), closes_in=timedelta(hours=2))


async def pass_of(office: Office, resident: Caller, drop_id: str) -> Caller:
    """Trade the JWT for a pass and return the same resident with it."""
    granted = await resident.post(f"/v1/drops/{drop_id}/passes", {})
    assert granted.status == 201, granted.body
    return office.bearer(granted.body["pass"])


async def test_a_pass_field_by_field(office: Office) -> None:
    drop_id = await office.open_drop(EARLY, admission="pass")
    granted = await office.resident().post(f"/v1/drops/{drop_id}/passes", {})
    assert granted.status == 201
    assert granted.body.keys() == {"pass", "admits_at", "expires_at"}
    row = await office.owner.fetchrow(
        "SELECT opens_at, closes_at FROM campaign.drops WHERE drop_id = $1", drop_id
    )
    assert row is not None
    assert datetime.fromisoformat(granted.body["admits_at"]) == row["opens_at"]
    assert datetime.fromisoformat(granted.body["expires_at"]) == (
        row["closes_at"] + PASS_OUTLIVES_DROP
    )
    early = await claim(office.bearer(granted.body["pass"]), drop_id)
    assert early.assert_problem(425, "not_open")["opens_at"] == rfc3339(row["opens_at"])


@pytest.mark.parametrize("admission", ["open", "pass"])
async def test_a_pass_claims_and_claims_the_same_again(office: Office, admission: str) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5), admission=admission)
    resident = office.resident()
    bearer = await pass_of(office, resident, drop_id)
    another = await pass_of(office, resident, drop_id)
    won = await claim(bearer, drop_id)
    assert won.status == 201
    for asking in (bearer, another, office.documented_to(another)):
        again = await claim(asking, drop_id)
        assert (again.status, again.raw) == (200, won.raw)
    mine = await resident.get(f"/v1/claims/{won.body['claim_id']}")
    assert mine.body == won.body


async def test_pass_and_token_are_the_same_holder(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    resident = office.resident()
    bearer = await pass_of(office, resident, drop_id)
    answers = await asyncio.gather(claim(resident, drop_id), claim(bearer, drop_id))
    assert sorted(answer.status for answer in answers) == [200, 201]
    assert len({answer.raw for answer in answers}) == 1


async def test_pass_required(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5), admission="pass")
    for caller in (office.resident(), office.documented_to(office.resident())):
        (await claim(caller, drop_id)).assert_problem(403, "pass_required")
    (await claim(office.staff(), drop_id)).assert_problem(403, "forbidden")
    (await claim(office.bearer(None), drop_id)).assert_problem(401, "unauthenticated")


async def test_bad_pass(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5), admission="pass")
    other_id = await office.open_drop(DropTerms(quota=5), admission="pass")
    resident = office.resident()
    genuine = (await pass_of(office, resident, drop_id)).token
    assert genuine is not None
    of_another_drop = (await pass_of(office, resident, other_id)).token
    made_up = Passes(Secrets(b"m" * 32)).sign(
        Pass(UUID(drop_id), Holder(b"h" * 32, new_id(1)), 0, 2**60)
    )
    changed = genuine[:40] + ("A" if genuine[40] != "A" else "B") + genuine[41:]
    for forged in (of_another_drop, made_up, changed, genuine[:-1], genuine + "A", PREFIX + "AAAA"):
        for caller in (office.bearer(forged), office.documented_to(office.bearer(forged))):
            (await claim(caller, drop_id)).assert_problem(403, "bad_pass")
    assert await office.issued_of(drop_id) == 0
    assert (await claim(office.bearer(genuine), drop_id)).status == 201


async def test_a_pass_is_no_token(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    bearer = await pass_of(office, office.resident(), drop_id)
    for path in ("/v1/vouchers", f"/v1/claims/{new_id(1)}"):
        (await bearer.get(path)).assert_problem(401, "unauthenticated")
    answer = await bearer.post(f"/v1/drops/{drop_id}/passes", {})
    answer.assert_problem(401, "unauthenticated")


async def test_a_pass_outlives_its_drop_but_not_for_long(later: Office) -> None:
    """A winner who asks again at the end is given the claim, a loser hears `closed`."""
    drop_id = await later.open_drop(DropTerms(quota=5), admission="pass")
    winner = await pass_of(later, later.resident(), drop_id)
    loser = await pass_of(later, later.resident(), drop_id)
    won = await claim(winner, drop_id)
    await _advance(later, hours=1.5)
    again = await claim(winner, drop_id)
    assert (again.status, again.raw) == (200, won.raw)
    (await claim(loser, drop_id)).assert_problem(410, "closed")
    refused = await later.resident().post(f"/v1/drops/{drop_id}/passes", {})
    refused.assert_problem(410, "closed")
    await _advance(later, hours=1)
    for caller in (winner, later.documented_to(loser)):
        problem = (await claim(caller, drop_id)).assert_problem(403, "bad_pass")
        assert problem["detail"] == "The pass has expired."


async def _advance(office: Office, *, hours: float) -> None:
    by_us = int(hours * 3_600_000_000)
    await office.owner.execute("SELECT campaign.advance_clock($1)", by_us)
    await asyncio.sleep(1.2)  # the process asks for the offset twice a second


async def test_who_gets_no_pass(office: Office) -> None:
    drop_id = await office.open_drop(EARLY, admission="pass")
    path = f"/v1/drops/{drop_id}/passes"
    (await office.staff().post(path, {})).assert_problem(403, "forbidden")
    (await office.bearer(None).post(path, {})).assert_problem(401, "unauthenticated")
    programme = await builders.make_programme(office.owner)
    draft = await builders.make_drop(office.owner, programme)
    for unknown in (str(draft), str(new_id(1)), "nonsense"):
        answer = await office.resident().post(f"/v1/drops/{unknown}/passes", {})
        answer.assert_problem(404, "not_found")
    unknown_bodies: tuple[object, ...] = ({"device": "d-1"}, {"lane": "x"}, [], "text", 7)
    for body in unknown_bodies:
        answer = await office.resident().post(path, body)
        answer.assert_problem(422, "invalid_request")
    answer = await office.resident().send(
        "POST", path, data=b"{}", headers={"Content-Type": "text/plain"}
    )
    answer.assert_problem(415, "unsupported_media_type")


async def test_fifty_residents_claim_with_passes(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=10), admission="pass")
    bearers = await asyncio.gather(
        *(pass_of(office, office.resident(), drop_id) for _ in range(50))
    )
    answers = await asyncio.gather(*(claim(bearer, drop_id) for bearer in bearers))
    won = [answer for answer in answers if answer.status == 201]
    assert sorted(answer.body["serial"] for answer in won) == list(range(1, 11))
    assert {answer.body["code"] for answer in answers if answer.status != 201} <= {
        "busy",
        "sold_out",
    }
