"""Quotes: what a till was told, sealed, and good for two minutes."""

import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.redeem.quoting import (
    CATEGORY_BYTES_MAX,
    QUOTE_TTL_S,
    Quote,
    QuoteFault,
    Quotes,
)
from shared.ids import new_id
from shared.secrets import Secrets
from shared.voucher_codes import VoucherCodes

NOW_S = 1_770_000_000.25
QUOTES = Quotes(Secrets(b"k" * 32))
QUOTE = Quote(
    terminal_id=new_id(1),
    claim_id=new_id(1),
    position=2,
    code_step=59_000_000,
    order_amount_fen=12_000,
    category="餐饮",
)
URL_SAFE = string.ascii_letters + string.digits + "-_"

quotes = st.builds(
    Quote,
    terminal_id=st.uuids(),
    claim_id=st.uuids(),
    position=st.integers(0, 63),
    code_step=st.integers(0, 2**32 - 1),
    order_amount_fen=st.integers(1, 10**13),
    category=st.text(st.characters(codec="utf-8"), max_size=120),
)


@given(quotes)
def test_a_quote_comes_back_whole(quote: Quote) -> None:
    quote_id, _ = QUOTES.issue(quote, now_s=NOW_S)
    assert QUOTES.read(quote_id, now_s=NOW_S) == quote


def test_a_quote_lives_two_minutes() -> None:
    quote_id, expires_at_s = QUOTES.issue(QUOTE, now_s=NOW_S)
    assert expires_at_s == NOW_S + QUOTE_TTL_S == NOW_S + 120
    assert QUOTES.read(quote_id, now_s=expires_at_s - 0.001) == QUOTE
    assert QUOTES.read(quote_id, now_s=expires_at_s) is QuoteFault.EXPIRED


def test_another_till_amount_or_step_is_another_quote() -> None:
    others = [
        QUOTE,
        replace(QUOTE, terminal_id=new_id(1)),
        replace(QUOTE, claim_id=new_id(1)),
        replace(QUOTE, position=3),
        replace(QUOTE, code_step=QUOTE.code_step + 1),
        replace(QUOTE, order_amount_fen=12_001),
        replace(QUOTE, category="餐"),
    ]
    assert len({QUOTES.issue(quote, now_s=NOW_S)[0] for quote in others}) == len(others)


def test_the_longest_category_fits_and_a_longer_one_is_a_fault() -> None:
    longest = replace(QUOTE, category="𠮷" * 120)
    assert len(longest.category.encode()) == CATEGORY_BYTES_MAX
    quote_id, _ = QUOTES.issue(longest, now_s=NOW_S)
    assert QUOTES.read(quote_id, now_s=NOW_S) == longest
    with pytest.raises(ValueError, match="480 bytes"):
        QUOTES.issue(replace(QUOTE, category="a" * 481), now_s=NOW_S)
    assert QUOTES.read(quote_id + "AAAA", now_s=NOW_S) is QuoteFault.NOT_OURS
    assert QUOTES.read("1" + "A" * 1_000_000, now_s=NOW_S) is QuoteFault.NOT_OURS


@pytest.mark.parametrize("category", ["", "a", "ab"])
def test_no_other_character_in_any_place_is_a_quote(category: str) -> None:
    """In all three lengths of a last group, since two of them leave bits to spare."""
    quote_id, _ = QUOTES.issue(replace(QUOTE, category=category), now_s=NOW_S)
    for at in range(len(quote_id)):
        for other in URL_SAFE + "+/=é":
            if other != quote_id[at]:
                forged = quote_id[:at] + other + quote_id[at + 1 :]
                assert QUOTES.read(forged, now_s=NOW_S) is QuoteFault.NOT_OURS, forged
    for forged in (quote_id[:-1], quote_id + "A", quote_id + "=", quote_id + "\n", quote_id[1:]):
        assert QUOTES.read(forged, now_s=NOW_S) is QuoteFault.NOT_OURS, forged


def test_what_was_sealed_for_another_purpose_is_no_quote() -> None:
    elsewhere, _ = Quotes(Secrets(b"y" * 32)).issue(QUOTE, now_s=NOW_S)
    code = VoucherCodes(Secrets(b"k" * 32)).issue(QUOTE.claim_id, 2, now_s=NOW_S).code
    assert QUOTES.read(elsewhere, now_s=NOW_S) is QuoteFault.NOT_OURS
    assert QUOTES.read(code, now_s=NOW_S) is QuoteFault.NOT_OURS


@given(st.text(max_size=900) | st.text(URL_SAFE, max_size=900).map(lambda text: "1" + text))
def test_no_text_disturbs_the_reader(text: str) -> None:
    assert QUOTES.read(text, now_s=NOW_S) is QuoteFault.NOT_OURS


def test_a_lone_surrogate_is_no_quote() -> None:
    assert QUOTES.read("1\ud800AAA", now_s=NOW_S) is QuoteFault.NOT_OURS
