"""Drawing SVG that stands in a page, and the scales to draw by."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

_TICK_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Sheet:
    """The paper of a picture. A phone gets a drawing of its own, so that its text stays legible."""

    name: str
    width: float
    is_narrow: bool


WIDE = Sheet("wide", 920, is_narrow=False)
NARROW = Sheet("narrow", 360, is_narrow=True)
SHEETS = (WIDE, NARROW)


class Box(NamedTuple):
    x: float
    y: float
    width: float
    height: float


class Drawing:
    """One picture. Its title and description are what a screen reader says of it.

    Colours are classes of style.css, so that a picture follows the page from light to dark.
    """

    def __init__(self, sheet: Sheet, height: float, *, name: str, title: str, says: str) -> None:
        self._ids = (f"{name}-{sheet.name}-title", f"{name}-{sheet.name}-desc")
        self._root = Element(
            "svg",
            {
                "viewBox": f"0 0 {_number(sheet.width)} {_number(height)}",
                "class": f"sheet-{sheet.name}",
                "role": "img",
                "aria-labelledby": self._ids[0],
                "aria-describedby": self._ids[1],
            },
        )
        for tag, identity, text in zip(("title", "desc"), self._ids, (title, says), strict=True):
            SubElement(self._root, tag, {"id": identity}).text = text

    def mark(
        self, tag: str, text: str | None = None, *, tip: str | None = None, **at: float | str
    ) -> None:
        """Draw an element; `tip` is shown to who points at it. `text_anchor` is text-anchor."""
        attributes = {
            name.strip("_").replace("_", "-"): value if isinstance(value, str) else _number(value)
            for name, value in at.items()
        }
        element = SubElement(self._root, tag, attributes)
        element.text = text
        if tip is not None:
            SubElement(element, "title").text = tip

    def bar(self, css_class: str, box: Box, tip: str | None = None) -> None:
        x, y, width, height = box
        self.mark("rect", tip=tip, x=x, y=y, width=width, height=height, class_=css_class)

    def svg(self) -> str:
        """Return the picture; whatever a text contains is escaped."""
        return tostring(self._root, encoding="unicode")


def _number(value: float) -> str:
    return f"{round(value, 2):g}" if abs(value) < 1 else f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Scale:
    """Takes values from one range to places in another."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(high: float, at_most: int) -> list[float]:
    """Return round values from 0 to the first that is not below `high`, `at_most` steps of them."""
    step = _round_step(high / at_most)
    return [step * number for number in range(math.ceil(round(high / step, 9)) + 1)]


def _round_step(least: float) -> float:
    if least <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in _TICK_STEPS if power * factor >= least * (1 - 1e-9))


def steps(points: list[tuple[float, float]]) -> Iterator[str]:
    """Return the path of a value that stays until it changes."""
    for number, (x, y) in enumerate(points):
        yield f"M{_number(x)} {_number(y)}" if number == 0 else f"H{_number(x)}V{_number(y)}"
