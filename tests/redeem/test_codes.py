"""Rotating codes: one voucher for half a minute, and nobody can make one up."""

import os
import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import new_id
from shared.secrets import Secrets
from shared.voucher_codes import STEP_S, CodeFault, Read, VoucherCodes
from shared.voucher_ids import PACK_VOUCHERS_MAX, VoucherIds

STEP = 59_000_000
NOW_S = float(STEP * STEP_S)
CODES = VoucherCodes(Secrets(b"k" * 32))
URL_SAFE = string.ascii_letters + string.digits + "-_"

positions = st.integers(0, PACK_VOUCHERS_MAX - 1)


@given(st.integers(1, 4095), positions, st.floats(0, 2**32 * 1.0))
def test_a_code_leads_to_its_voucher(city_id: int, position: int, now_s: float) -> None:
    claim_id = new_id(city_id)
    issued = CODES.issue(claim_id, position, now_s=now_s)
    assert CODES.read(issued.code, now_s=now_s) == Read(claim_id, position, int(now_s // STEP_S))
    assert now_s < issued.expires_at_s <= now_s + STEP_S


def test_a_voucher_has_one_code_in_a_step_and_another_in_the_next() -> None:
    claim_id = new_id(1)
    first = CODES.issue(claim_id, 3, now_s=NOW_S)
    assert CODES.issue(claim_id, 3, now_s=NOW_S + 29.999) == first
    assert first.expires_at_s == NOW_S + 30
    following = CODES.issue(claim_id, 3, now_s=NOW_S + 30)
    assert following.code != first.code
    assert following.expires_at_s == NOW_S + 60


def test_vouchers_have_codes_of_their_own() -> None:
    claims = [new_id(1) for _ in range(3)]
    codes = {
        CODES.issue(claim_id, position, now_s=NOW_S).code
        for claim_id in claims
        for position in range(PACK_VOUCHERS_MAX)
    }
    assert len(codes) == 3 * PACK_VOUCHERS_MAX


@pytest.mark.parametrize(
    ("later_s", "good"),
    [(-30.001, False), (-30, True), (0, True), (59.999, True), (60, False), (86_400, False)],
)
def test_a_code_is_good_for_a_step_either_way(later_s: float, good: bool) -> None:  # noqa: FBT001 - a row of the table
    claim_id = new_id(1)
    code = CODES.issue(claim_id, 0, now_s=NOW_S).code
    expected = Read(claim_id, 0, STEP) if good else CodeFault.STALE
    assert CODES.read(code, now_s=NOW_S + later_s) == expected


@pytest.mark.parametrize("position", [-1, PACK_VOUCHERS_MAX])
def test_a_position_lies_in_a_pack(position: int) -> None:
    with pytest.raises(ValueError, match=r"0\.\.63"):
        CODES.issue(new_id(1), position, now_s=NOW_S)


def test_no_other_character_in_any_place_is_a_code() -> None:
    """Also the other spellings of the same bytes: the last character has bits to spare."""
    code = CODES.issue(new_id(1), 63, now_s=NOW_S).code
    for at in range(len(code)):
        for other in URL_SAFE + "+/=é":
            if other != code[at]:
                forged = code[:at] + other + code[at + 1 :]
                assert CODES.read(forged, now_s=NOW_S) is CodeFault.NOT_OURS, forged


def test_another_length_or_spelling_is_no_code() -> None:
    code = CODES.issue(new_id(1), 0, now_s=NOW_S).code
    for forged in (code[:-1], code + "A", code + "=", code + "\n", " " + code, code[1:], code * 2):
        assert CODES.read(forged, now_s=NOW_S) is CodeFault.NOT_OURS, forged


def test_a_code_of_another_deployment_is_not_ours() -> None:
    code = VoucherCodes(Secrets(b"y" * 32)).issue(new_id(1), 0, now_s=NOW_S).code
    assert CODES.read(code, now_s=NOW_S) is CodeFault.NOT_OURS


def test_a_voucher_id_is_no_code_and_a_code_no_voucher_id() -> None:
    secrets = Secrets(os.urandom(32))
    codes, ids = VoucherCodes(secrets), VoucherIds(secrets)
    claim_id = UUID("0190a000-0000-7001-8000-000000000001")
    [voucher_id] = ids.of_claim(claim_id, 1)
    code = codes.issue(claim_id, 0, now_s=NOW_S).code
    assert codes.read(voucher_id, now_s=NOW_S) is CodeFault.NOT_OURS
    assert ids.decode(code) is None
    assert ids.decode(code[:33]) is None


@given(
    st.text(max_size=60)
    | st.text(URL_SAFE, min_size=50, max_size=50).map(lambda text: "1" + text)
    | st.text("\ud800\0é٣1", min_size=51, max_size=51)
)
def test_no_text_disturbs_the_reader(text: str) -> None:
    assert CODES.read(text, now_s=NOW_S) is CodeFault.NOT_OURS
