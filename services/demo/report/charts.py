"""The charts of a programme: the drop by seconds, the redemptions by days, leverage."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from services.demo.report.drawing import SHEETS, Box, Drawing, Scale, Sheet, steps, ticks
from services.demo.report.figures import count, day_name, ratio, seconds, weekday, whole_yuan, yuan
from services.demo.report.story import DayLine, Leverage, ProgrammeStory, Second
from services.demo.report.wording import Wording

_LEGEND_Y = 14.0
_TOP = 40.0
_AXIS_TEXT_DY = 18.0
_KEY_SIZE = 11.0
_GRIDLINES = 4
_LABEL_ROOM = 38.0
_CHARACTER_WIDTH = 7.2
_WIDE_CHARACTER_WIDTH = 13.5
_LAST_ASCII = 0x7F


@dataclass(frozen=True, slots=True)
class Frame:
    """Where in a drawing the values are plotted."""

    left: float
    right: float
    top: float
    bottom: float


def text_width(text: str) -> float:
    """Return about how wide a label is: a Chinese character takes twice a Latin one."""
    wide = sum(character > chr(_LAST_ASCII) for character in text)
    return (len(text) - wide) * _CHARACTER_WIDTH + wide * _WIDE_CHARACTER_WIDTH


def drop_chart(programme: ProgrammeStory, words: Wording, name: str) -> str:
    """Draw claims per second, and below them the packs left, over the same seconds."""
    return "".join(_drop_chart(programme, words, name, sheet) for sheet in SHEETS)


def _drop_chart(programme: ProgrammeStory, words: Wording, name: str, sheet: Sheet) -> str:
    lines = programme.claims_per_second
    drawing = Drawing(
        sheet,
        450 if sheet.is_narrow else 430,
        name=name,
        title=words("drop_chart"),
        says=words(
            "drop_chart_desc",
            won=count(sum(line.won for line in lines)),
            busiest=count(max(line.won + line.refused for line in lines)),
            end=_end_of_drop(programme, words),
        ),
    )
    left, right = _margins(sheet)
    first_s = min(0, *(line.t_s for line in lines))
    last_s = max(line.t_s + 1 for line in lines)
    x = Scale(first_s, last_s, left, right)
    _legend(drawing, left, [("won", words("won")), ("refused", words("refused"))])
    _per_second(drawing, lines, x, Frame(left, right, _TOP, 240), words)
    _stock(drawing, programme, x, Frame(left, right, 292, 392), words)
    _sold_out(drawing, programme, x, words)
    _seconds_axis(drawing, x, 392, words, at_most=5 if sheet.is_narrow else 12)
    return drawing.svg()


def _margins(sheet: Sheet) -> tuple[float, float]:
    return (46.0 if sheet.is_narrow else 64.0, sheet.width - (6.0 if sheet.is_narrow else 12.0))


def _end_of_drop(programme: ProgrammeStory, words: Wording) -> str:
    if programme.sold_out_after_s is None:
        return words("not_sold_out")
    return words("sold_out_at", at=seconds(programme.sold_out_after_s))


def _legend(drawing: Drawing, left: float, keys: list[tuple[str, str]]) -> None:
    x = left
    for css_class, label in keys:
        drawing.mark(
            "rect", x=x, y=_LEGEND_Y - 9, width=_KEY_SIZE, height=_KEY_SIZE, rx=2, class_=css_class
        )
        drawing.mark("text", label, x=x + 17, y=_LEGEND_Y, class_="label")
        x += 17 + text_width(label) + 20


def _per_second(
    drawing: Drawing,
    lines: Sequence[Second],
    x: Scale,
    frame: Frame,
    words: Wording,
) -> None:
    marks = ticks(max(_GRIDLINES, *(line.won + line.refused for line in lines)), _GRIDLINES)
    y = Scale(0, marks[-1], frame.bottom, frame.top)
    for mark in marks:
        _gridline(drawing, frame, y(mark), count(mark))
    gap = min(2.0, (x(1) - x(0)) * 0.15)
    for line in lines:
        left, width = x(line.t_s) + gap / 2, x(1) - x(0) - gap
        tip = (
            f"{line.t_s} s: {count(line.won)} {words('won')},"
            f" {count(line.refused)} {words('refused')}"
        )
        below = 0
        for css_class, value in (("won", line.won), ("refused", line.refused)):
            if value:
                top, bottom = y(below + value), y(below)
                drawing.bar(css_class, Box(left, top, width, bottom - top), tip)
            below += value


def _stock(
    drawing: Drawing, programme: ProgrammeStory, x: Scale, frame: Frame, words: Wording
) -> None:
    y = Scale(0, max(1, programme.packs), frame.bottom, frame.top)
    drawing.mark("text", words("stock_left"), x=frame.left, y=frame.top - 14, class_="label")
    for mark in (0, programme.packs):
        _gridline(drawing, frame, y(mark), count(mark))
    shown = [point for point in programme.stock if x.low <= point.t_s <= x.high]
    if not shown:
        return
    # Before the first reading nothing was sold; after the last one nothing changed.
    points = [(frame.left, y(programme.packs))]
    points += [(x(point.t_s), y(point.remaining)) for point in shown]
    points.append((frame.right, y(shown[-1].remaining)))
    line = "".join(steps(points))
    area = f"{line}V{frame.bottom:.2f}H{frame.left:.2f}Z"
    drawing.mark("path", d=area, class_="stock-area")
    drawing.mark("path", d=line, class_="stock-line")


def _sold_out(drawing: Drawing, programme: ProgrammeStory, x: Scale, words: Wording) -> None:
    at_s = programme.sold_out_after_s
    if at_s is None or not x.low <= at_s <= x.high:
        return
    drawing.mark("line", x1=x(at_s), x2=x(at_s), y1=_TOP - 4, y2=392, class_="event")
    is_right = x(at_s) > (x.start + x.end) / 2
    drawing.mark(
        "text",
        words("sold_out_at", at=seconds(at_s)),
        x=x(at_s) + (-8 if is_right else 8),
        y=270,
        text_anchor="end" if is_right else "start",
        class_="label strong halo",
    )


def _seconds_axis(drawing: Drawing, x: Scale, y: float, words: Wording, *, at_most: int) -> None:
    marks = ticks(x.high, at_most)
    step = marks[1] - marks[0]
    for mark in (0, *(m for m in marks[1:] if m <= x.high)):
        if step < 1 and mark != int(mark):
            continue
        drawing.mark("line", x1=x(mark), x2=x(mark), y1=y, y2=y + 5, class_="axis")
        drawing.mark(
            "text",
            count(mark),
            x=x(mark),
            y=y + _AXIS_TEXT_DY + 2,
            text_anchor="middle",
            class_="tick",
        )
    middle = (x.start + x.end) / 2
    drawing.mark(
        "text", words("second_axis"), x=middle, y=y + 42, text_anchor="middle", class_="tick"
    )


def _gridline(drawing: Drawing, frame: Frame, y: float, label: str) -> None:
    css_class = "axis" if y == frame.bottom else "grid"
    drawing.mark("line", x1=frame.left, x2=frame.right, y1=y, y2=y, class_=css_class)
    drawing.mark("text", label, x=frame.left - 8, y=y + 4, text_anchor="end", class_="tick")


def days_chart(programme: ProgrammeStory, words: Wording, name: str) -> str:
    """Draw each day's orders, the part that vouchers gave at the foot of them."""
    return "".join(_days_chart(programme, words, name, sheet) for sheet in SHEETS)


def _days_chart(programme: ProgrammeStory, words: Wording, name: str, sheet: Sheet) -> str:
    lines = programme.redemptions_by_day
    drawing = Drawing(
        sheet,
        318,
        name=name,
        title=words("days_chart"),
        says=words(
            "days_chart_desc",
            count=count(programme.redemptions),
            days=len(lines),
            voucher=yuan(sum(line.voucher_fen for line in lines)),
            order=yuan(sum(line.order_fen for line in lines)),
        ),
    )
    left, right = _margins(sheet)
    left += 22
    frame = Frame(left, right, _TOP + 22, 278)
    keys = [("won", words("voucher_part")), ("paid", words("resident_part"))]
    _legend(drawing, left, keys)
    marks = ticks(max(1, *(line.order_fen for line in lines)), _GRIDLINES)
    y = Scale(0, marks[-1], frame.bottom, frame.top)
    for mark in marks:
        _gridline(drawing, frame, y(mark), whole_yuan(mark))
    pitch = (right - left) / len(lines)
    for number, line in enumerate(lines):
        _day(drawing, line, y, (left + number * pitch, pitch), words)
    # Where days stand close together, only some of them are labelled.
    every = math.ceil(_LABEL_ROOM / pitch)
    for number, line in enumerate(lines[::every]):
        middle = left + (number * every + 0.5) * pitch
        _day_labels(drawing, line, y, middle, _day_text(line.day, sheet, words))
    return drawing.svg()


def _day(
    drawing: Drawing, line: DayLine, y: Scale, slot: tuple[float, float], words: Wording
) -> None:
    start, pitch = slot
    width = min(64.0, pitch * 0.62)
    left = start + (pitch - width) / 2
    tip = (
        f"{words.of(day_name(line.day))} {words.of(weekday(line.day))}:"
        f" {words('redemptions_of', count=count(line.redemptions))},"
        f" {words('voucher_part')} {yuan(line.voucher_fen)},"
        f" {words('orders')} {yuan(line.order_fen)}"
    )
    parts = (("won", 0, line.voucher_fen), ("paid", line.voucher_fen, line.order_fen))
    for css_class, low_fen, high_fen in parts:
        box = Box(left, y(high_fen), width, y(low_fen) - y(high_fen))
        drawing.bar(css_class, box, tip)


def _day_text(day: date, sheet: Sheet, words: Wording) -> tuple[str, str]:
    """Return the two lines below a bar; on a phone the days stand too close for their month."""
    return words.of(weekday(day)), str(day.day) if sheet.is_narrow else words.of(day_name(day))


def _day_labels(
    drawing: Drawing, line: DayLine, y: Scale, middle: float, below: tuple[str, str]
) -> None:
    labels = (
        (count(line.redemptions), y(line.order_fen) - 7, "label strong halo dense"),
        (below[0], y.start + _AXIS_TEXT_DY, "tick"),
        (below[1], y.start + 2 * _AXIS_TEXT_DY - 3, "tick"),
    )
    for text, baseline, css_class in labels:
        drawing.mark("text", text, x=middle, y=baseline, text_anchor="middle", class_=css_class)


def leverage_chart(leverage: Leverage, words: Wording, name: str) -> str:
    """Draw floor, gross and out-of-pocket on one scale, yuan per yuan of voucher."""
    return "".join(_leverage_chart(leverage, words, name, sheet) for sheet in SHEETS)


def _leverage_chart(leverage: Leverage, words: Wording, name: str, sheet: Sheet) -> str:
    row_height = 54.0
    drawing = Drawing(
        sheet,
        3 * row_height + 4,
        name=name,
        title=words("leverage_chart"),
        says=words(
            "leverage_chart_desc",
            floor=ratio(leverage.floor),
            gross=ratio(leverage.gross),
            pocket=ratio(leverage.out_of_pocket),
        ),
    )
    rows = (
        ("floor", leverage.floor),
        ("gross", leverage.gross),
        ("pocket", leverage.out_of_pocket),
    )
    x = Scale(0, max(value for _, value in rows) or 1, 0, sheet.width - 64)
    for number, (key, value) in enumerate(rows):
        y = number * row_height
        drawing.mark("text", words(key), x=0, y=y + 14, class_="label strong")
        if not sheet.is_narrow:
            # On a phone the arithmetic below the chart says the same.
            after = text_width(words(key)) + 16
            drawing.mark("text", words(f"{key}_says"), x=after, y=y + 14, class_="tick")
        width = max(1.0, x(value))
        drawing.mark("rect", x=0, y=y + 22, width=width, height=20, rx=3, class_=f"bar-{key}")
        drawing.mark("text", ratio(value), x=width + 10, y=y + 37, class_="label strong")
    return drawing.svg()
