"""The code that a resident shows a till: for their own voucher, while a till would take it."""

import base64
import os
import time
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import new_id
from shared.secrets import Secrets
from shared.voucher_codes import STEP_S, CodeFault, Read, VoucherCodes
from shared.voucher_ids import PACK_VOUCHERS_MAX, VoucherIds
from tests import builders, tills
from tests.builders import DropTerms
from tests.claim.office import ClaimAnswer, Office, claim
from tests.tills import Till


async def _won(office: Office, subject: str) -> ClaimAnswer:
    won = await claim(office.resident(subject), await office.open_drop(DropTerms(quota=5)))
    assert won.status in {200, 201}
    return won


def _paths(won: ClaimAnswer) -> list[str]:
    return [f"/v1/vouchers/{voucher['voucher_id']}/code" for voucher in won.body["vouchers"]]


async def _till(office: Office, won: ClaimAnswer) -> Till:
    programme_id = await office.owner.fetchval(
        "SELECT programme_id FROM campaign.drops WHERE drop_id = $1", UUID(won.body["drop_id"])
    )
    return await tills.enrol_till(office.owner, programme_id)


async def test_a_code_names_its_voucher_for_half_a_minute(office: Office) -> None:
    won = await _won(office, "alice")
    resident = office.resident("alice")
    codes = office.resources.voucher_codes
    claim_id = UUID(won.body["claim_id"])
    shown = set()
    for position, path in enumerate(_paths(won)):
        asked_s = time.time_ns() / 1e9
        answer = await resident.get(path)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.body.keys() == {"code", "expires_at"}
        assert answer.body["expires_at"].endswith("Z")
        expires_s = datetime.fromisoformat(answer.body["expires_at"]).timestamp()
        assert expires_s % STEP_S == 0
        assert 0 < expires_s - asked_s <= STEP_S + 5
        step = int(expires_s) // STEP_S - 1
        code = answer.body["code"]
        assert codes.read(code, now_s=expires_s - 1) == Read(claim_id, position, step)
        # It says nothing of what it names.
        voucher_id = won.body["vouchers"][position]["voucher_id"]
        for known in (voucher_id, claim_id.hex, str(claim_id)):
            assert known not in code
        assert codes.read(voucher_id, now_s=expires_s - 1) is CodeFault.NOT_OURS
        shown.add(code)
        for nonsense in (code, code[:33]):
            (await resident.get(f"/v1/vouchers/{nonsense}")).assert_problem(404, "not_found")
    assert len(shown) == 4


@given(st.integers(1, 4095), st.integers(0, PACK_VOUCHERS_MAX - 1), st.floats(0, 2.0**32))
def test_neither_an_id_nor_a_code_leads_to_the_other(
    city_id: int, position: int, now_s: float
) -> None:
    """Both come from one secret of the deployment, and have nothing in common but that."""
    secrets = Secrets(os.urandom(32))
    ids, codes = VoucherIds(secrets), VoucherCodes(secrets)
    claim_id = new_id(city_id)
    voucher_id = ids.of_claim(claim_id, position + 1)[position]
    code = codes.issue(claim_id, position, now_s=now_s).code
    assert codes.read(voucher_id, now_s=now_s) is CodeFault.NOT_OURS
    assert ids.decode(code) is None
    sealed, block = base64.urlsafe_b64decode(code[1:] + "=="), bytes.fromhex(voucher_id[1:])
    for raw in (block, claim_id.bytes):
        assert not any(raw[at : at + 6] in sealed for at in range(len(raw) - 5))
    for at in range(len(sealed) - 15):
        named = ids.decode(f"1{sealed[at : at + 16].hex()}")
        assert named is None or named[0] != claim_id


async def test_a_code_lasts_its_step_and_no_longer(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    won = await _won(office, "brian")
    resident = office.resident("brian")
    [path, *_] = _paths(won)
    begins_ns = (time.time_ns() // (STEP_S * 10**9)) * STEP_S * 10**9
    told = []
    for after_ms in (0, 29_999, 30_000, 59_999):
        now_ns = begins_ns + after_ms * 1_000_000
        monkeypatch.setattr("services.claim.mine.time.time_ns", lambda now=now_ns: now)
        told.append((await resident.get(path)).body)
    assert told[0] == told[1] != told[2] == told[3]
    begins, ends = (datetime.fromisoformat(body["expires_at"]) for body in told[::2])
    assert ends - begins == timedelta(seconds=STEP_S)


async def test_what_is_not_mine_has_no_code_for_me(office: Office) -> None:
    won = await _won(office, "carol")
    stranger = office.resident("dave")
    await _won(office, "dave")
    [path, *_] = _paths(won)
    for absent in (
        *(path, "/v1/vouchers/nonsense/code", f"/v1/vouchers/{'1' + 'f' * 32}/code"),
        *(f"/v1/vouchers/{won.body['claim_id']}/code", f"/v1/vouchers/{new_id(1)}/code"),
    ):
        (await stranger.get(absent)).assert_problem(404, "not_found")
    (await office.staff().get(path)).assert_problem(403, "forbidden")
    (await office.bearer(None).get(path)).assert_problem(401, "unauthenticated")


async def test_what_no_till_would_take_has_no_code(office: Office) -> None:
    won = await _won(office, "erin")
    resident = office.resident("erin")
    claim_id = UUID(won.body["claim_id"])
    till = await _till(office, won)
    held = await tills.redeem(office.owner, till, claim_id, 0, capture=False)
    await tills.redeem(office.owner, till, claim_id, 1)
    paths = _paths(won)
    # A hold may end any moment, and the voucher is good again.
    assert (await resident.get(paths[0])).status == 200
    (await resident.get(paths[1])).assert_problem(409, "already_redeemed")
    assert (await resident.get(paths[2])).status == 200
    assert await tills.finish_hold(office.owner, held, "release") == "released"
    assert (await resident.get(paths[0])).status == 200

    other = await _won(office, "erin")
    released = await builders.release(office.owner, UUID(other.body["claim_id"]), reopen=False)
    assert released == "released"
    for path in _paths(other):
        (await resident.get(path)).assert_problem(410, "voided")


async def test_what_has_expired_has_no_code(later: Office) -> None:
    won = await _won(later, "frank")
    resident = later.resident("frank")
    real = (await resident.get(_paths(won)[0])).body
    await tills.advance(later.owner, timedelta(days=6))
    await _follow(later)
    # The day that is played is not the code's: it is read in real time.
    shown = (await resident.get(_paths(won)[0])).body
    until = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(real["expires_at"])
    assert until <= timedelta(seconds=STEP_S)
    await tills.advance(later.owner, timedelta(days=2))
    await _follow(later)
    for path in _paths(won):
        (await resident.get(path)).assert_problem(410, "expired")


async def _follow(office: Office) -> None:
    """Have the process take the clock's offset, as it does twice a second."""
    office.resources.clock.offset_us = await office.owner.fetchval(
        "SELECT offset_us FROM campaign.clock"
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [("offline=false", 200), ("offline=true", 422), ("offline=1", 422), ("offline=perhaps", 422)],
)
async def test_certificates_are_not_built(office: Office, query: str, status: int) -> None:
    won = await _won(office, "grace")
    answer = await office.resident("grace").get(f"{_paths(won)[0]}?{query}")
    assert answer.status == status
    if status == 422:
        problem = answer.assert_problem(422, "invalid_request")
        assert problem["fields"][0]["loc"] == ["query", "offline"]
