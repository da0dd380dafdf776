"""The pass: what it grants to whom, and that only we can sign one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.claim.holders import Holder
from services.claim.passes import PREFIX, Pass, Passes
from shared.ids import new_id
from shared.secrets import Secrets

OURS = Passes(Secrets(b"p" * 32))
GRANTED = Pass(
    new_id(7), Holder(b"h" * 32, new_id(7)), 1_700_000_000_000_001, 1_800_000_000_000_002
)
TEXT = OURS.sign(GRANTED)


def test_a_pass_says_what_was_granted() -> None:
    assert OURS.check(TEXT) == GRANTED
    assert TEXT.startswith(PREFIX)


def test_a_pass_needs_a_person() -> None:
    with pytest.raises(ValueError, match="resolved person"):
        OURS.sign(Pass(GRANTED.drop_id, Holder(b"h" * 32), 0, 0))


def test_one_changed_bit_anywhere_is_noticed() -> None:
    raw = base64.urlsafe_b64decode(TEXT.removeprefix(PREFIX))
    for bit in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        assert OURS.check(PREFIX + base64.urlsafe_b64encode(changed).decode()) is None, bit


def test_parts_and_extensions_of_a_pass_are_none() -> None:
    for length in range(len(TEXT)):
        assert OURS.check(TEXT[:length]) is None
    for more in ("A", "AAAA", "=", "==", ".", "\0", TEXT):
        assert OURS.check(TEXT + more) is None


def test_a_pass_of_another_deployment() -> None:
    assert OURS.check(Passes(Secrets(b"q" * 32)).sign(GRANTED)) is None


@given(st.text(max_size=300))
def test_garbage(text: str) -> None:
    assert OURS.check(text) is None
    assert OURS.check(PREFIX + text) is None
