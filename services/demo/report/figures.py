"""How figures are written: exact where they are money, short where they are measurements."""

from datetime import date, datetime
from typing import Final

from services.demo.report.story import Phrase
from services.demo.reporting import yuan as plain_yuan
from shared.clock import CITY_TIME

NONE: Final = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"
_FEN_PER_YUAN = 100
_WHOLE_MS_FROM = 100
_WEEKDAYS = (
    Phrase("Mon", "周一"),
    Phrase("Tue", "周二"),
    Phrase("Wed", "周三"),
    Phrase("Thu", "周四"),
    Phrase("Fri", "周五"),
    Phrase("Sat", "周六"),
    Phrase("Sun", "周日"),
)


def yuan(amount_fen: int) -> str:
    """Return an amount exact to the fen: ¥1,234.50."""
    sign = _MINUS if amount_fen < 0 else ""
    return f"{sign}¥{plain_yuan(abs(amount_fen))}"


def difference(amount_fen: int) -> str:
    return f"+{yuan(amount_fen)}" if amount_fen > 0 else yuan(amount_fen)


def whole_yuan(amount_fen: float) -> str:
    """Return an amount for an axis, where the fen would only be noise."""
    return f"¥{amount_fen / _FEN_PER_YUAN:,.0f}"


def count(number: float) -> str:
    return f"{number:,.0f}"


def ratio(value: float) -> str:
    return f"{value:.2f}"


def percent(part: float, whole: float) -> str:
    """Return a share; 100 % is said only of the whole."""
    if not whole:
        return NONE
    share = part / whole * 100
    if part != whole:
        share = min(share, 99.9)
    return f"{share:.1f} %"


def seconds(value_s: float) -> str:
    return f"{value_s:,.2f} s"


def milliseconds(value_ms: float) -> str:
    return f"{value_ms:,.0f}" if value_ms >= _WHOLE_MS_FROM else f"{value_ms:.1f}"


def day_name(day: date) -> Phrase:
    """Return a day as an axis names it."""
    return Phrase(f"{day.day} {day:%b}", f"{day.month}月{day.day}日")


def weekday(day: date) -> Phrase:
    return _WEEKDAYS[day.weekday()]


def city_minute(moment: datetime) -> str:
    return f"{moment.astimezone(CITY_TIME):%Y-%m-%d %H:%M}"
