"""Public ids: what they carry, and that nobody can make one up."""

import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ids import CITY_ID_MAX, city_of, new_id, parse_id
from shared.secrets import Secrets
from shared.voucher_ids import PACK_VOUCHERS_MAX, VoucherIds

cities = st.integers(1, CITY_ID_MAX)


@given(cities)
def test_an_id_carries_its_city(city_id: int) -> None:
    public_id = new_id(city_id)
    assert city_of(public_id) == city_id
    assert (public_id.version, public_id.variant) == (7, "specified in RFC 4122")
    assert parse_id(str(public_id)) == public_id


@pytest.mark.parametrize("city_id", [-1, 0, CITY_ID_MAX + 1])
def test_no_id_is_made_for_a_city_that_cannot_be(city_id: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        new_id(city_id)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 36,
        "00000000-0000-4000-8000-000000000000",
        "00000000-0000-7000-8000-000000000000",
        "{0190a000-0000-7001-8000-00000000000}",
        "0190a0000000700180000000000000001234",
        "0190a000-0000-7001-0000-000000000000",
        "\uff10190a000-0000-7001-8000-000000000000",
        "0190a000-0000-7001-8000-00000000000_",
    ],
)
def test_only_the_canonical_text_of_an_id_is_one(text: str) -> None:
    assert parse_id(text) is None


@given(cities)
def test_every_position_of_a_pack_comes_back(city_id: int) -> None:
    ids = VoucherIds(Secrets(os.urandom(32)))
    claim_id = new_id(city_id)
    voucher_ids = ids.of_claim(claim_id, PACK_VOUCHERS_MAX)
    assert [ids.decode(text) for text in voucher_ids] == [
        (claim_id, position) for position in range(PACK_VOUCHERS_MAX)
    ]
    assert len(set(voucher_ids)) == PACK_VOUCHERS_MAX
    assert ids.of_claim(claim_id, 3) == voucher_ids[:3]


@pytest.mark.parametrize("vouchers", [0, PACK_VOUCHERS_MAX + 1])
def test_a_pack_is_bounded(secrets: Secrets, vouchers: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.64"):
        VoucherIds(secrets).of_claim(new_id(1), vouchers)


def test_forged_ids_lead_to_no_claim(secrets: Secrets) -> None:
    """Every other hexadecimal digit in every place, and ids of another deployment."""
    ids = VoucherIds(secrets)
    claim_id = new_id(7)
    [genuine] = ids.of_claim(claim_id, 1)
    forged = [
        genuine[:at] + digit + genuine[at + 1 :]
        for at in range(len(genuine))
        for digit in "0123456789abcdef"
        if digit != genuine[at]
    ]
    forged += VoucherIds(Secrets(b"y" * 32)).of_claim(claim_id, PACK_VOUCHERS_MAX)
    for text in forged:
        decoded = ids.decode(text)
        assert decoded is None or decoded[0] != claim_id, text


@given(st.text(alphabet=string.printable + "é٣\0\ud800", max_size=40))
def test_text_that_is_no_voucher_id(text: str) -> None:
    assert VoucherIds(Secrets(b"z" * 32)).decode(text) is None


def test_a_voucher_has_one_id(secrets: Secrets) -> None:
    ids = VoucherIds(secrets)
    spelled = next(text for text in ids.of_claim(new_id(1), 64) if text != text.upper())
    assert ids.decode(spelled) is not None
    assert ids.decode(spelled.upper()) is None
