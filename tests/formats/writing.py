"""Rows of every kind, for files that are written, read, and spoilt."""

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from shared.formats.bank_statement import Direction, Movement
from shared.formats.ecny_daily import KINDS, Payment
from shared.formats.payout_file import PayoutLine

DIRECTIONS: tuple[Direction, ...] = ("in", "out")
DAY = date(2026, 5, 1)
AMOUNTS = st.integers(1, 10**13)
NUMBERS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="|"),
    min_size=1,
    max_size=64,
)
# Whatever a name may hold: quotes, commas, what a spreadsheet would take for a formula.
LINES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n"), max_size=40
)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone

payments = st.builds(
    Payment,
    end_to_end_no=NUMBERS,
    operator_txn_no=st.just("") | NUMBERS,
    kind=st.sampled_from(KINDS),
    amount_fen=AMOUNTS,
    payee_wallet=st.just("") | NUMBERS,
    completed_at=MOMENTS,
    payer_wallet_class=st.sampled_from(["", "1", "2", "3", "4"]),
)
payout_lines = st.builds(
    PayoutLine,
    payout_id=LINES,
    end_to_end_no=LINES.filter(bool),
    merchant_id=LINES,
    merchant_name=LINES,
    account_no=LINES,
    amount_fen=AMOUNTS,
    remark=LINES,
)


@st.composite
def movements(draw: st.DrawFn) -> tuple[int, list[Movement]]:
    """Return an opening balance and the movements of a day, each with the balance after it."""
    balance_fen = opening_fen = draw(st.integers(-(10**12), 10**13))
    rows = []
    for _ in range(draw(st.integers(0, 6))):
        direction: Direction = draw(st.sampled_from(DIRECTIONS))
        amount_fen = draw(st.integers(1, 10**12))
        balance_fen += amount_fen if direction == "in" else -amount_fen
        rows.append(
            Movement(
                day=DAY,
                reference=draw(LINES.filter(bool)),
                direction=direction,
                amount_fen=amount_fen,
                balance_fen=balance_fen,
                counterparty=draw(LINES),
                bank_txn_no=draw(LINES),
            )
        )
    return opening_fen, rows


def changed_once(content: bytes, at: int, byte: int) -> bytes:
    """Return a copy of which one byte is another."""
    place = at % len(content)
    other = byte if content[place] != byte else (byte + 1) % 256
    return content[:place] + bytes([other]) + content[place + 1 :]
