"""The picture of the money: bands from the funders to where each yuan is now."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import wrap

from services.demo.report.drawing import SHEETS, Drawing, Sheet
from services.demo.report.figures import yuan
from services.demo.report.story import THROUGH, Edge, Funder, MoneyFlow, Stop
from services.demo.report.wording import Wording

Place = Funder | Stop

_LAST_COLUMN = 4
_NODE_WIDTH = 12.0
_TOP = 26.0
_THINNEST = 1.5
_LABEL_LINE = 16.0
# Lines of label stand beside every node on a wide sheet, a number on a narrow one.
_SLOT_WIDE = 50.0
_SLOT_NARROW = 30.0
_FLOW_HEIGHT = 250.0
_LABEL_ROOM = 190.0
_BADGE = 9.0
_LINE_MAX = 20
_LINE_MAX_WIDE = 11
_GOES_BACK = {
    Stop.EXPIRED,
    Stop.UNCLAIMED,
    Stop.UNUSED,
    Stop.RETURNED,
    Stop.UNDRAWN,
    Stop.BUDGET,
}
_STAYS_WITH_SHOPS = {Stop.ABSORBED, Stop.UNPAID}


@dataclass(slots=True)
class Node:
    """A place in the picture; `sent` and `got` are how much of its height bands have used."""

    place: Place
    number: int
    amount_fen: int
    x: float = 0.0
    y: float = 0.0
    height: float = 0.0
    sent: float = field(default=0.0)
    got: float = field(default=0.0)


def place_name(place: Place, words: Wording) -> str:
    if isinstance(place, Funder):
        return words.of(place.name)
    return words(f"stop_{place}")


def _lines(name: str) -> list[str]:
    """Return a name in lines that end before the next column; the table has it whole."""
    is_wide = not name.isascii()
    return wrap(name, _LINE_MAX_WIDE if is_wide else _LINE_MAX, max_lines=2, placeholder="…")


def places(money: MoneyFlow) -> list[tuple[Place, int]]:
    """Return where money came by, funders first, with how much it was."""
    funders = list(dict.fromkeys(e.source for e in money.edges if isinstance(e.source, Funder)))
    found: list[tuple[Place, int]] = [(funder, money.went_fen(funder)) for funder in funders]
    found += [(stop, money.came_fen(stop)) for stop in Stop]
    return [(place, amount_fen) for place, amount_fen in found if amount_fen]


def flow_chart(money: MoneyFlow, words: Wording, name: str) -> str:
    """Draw the flow, once with labels beside its nodes and once with numbers in their place."""
    return "".join(_flow_chart(money, words, name, sheet) for sheet in SHEETS)


def _flow_chart(money: MoneyFlow, words: Wording, name: str, sheet: Sheet) -> str:
    nodes = [
        Node(place, number, amount_fen)
        for number, (place, amount_fen) in enumerate(places(money), start=1)
    ]
    height = _lay_out(nodes, money.put_in_fen, sheet)
    ends = (
        f"{yuan(node.amount_fen)} {place_name(node.place, words)}"
        for node in nodes
        if _column(node.place) == _LAST_COLUMN
    )
    drawing = Drawing(
        sheet,
        height,
        name=name,
        title=words("money_chart"),
        says=words(
            "money_chart_desc",
            put_in=yuan(money.put_in_fen),
            ends=words("list_comma").join(ends),
        ),
    )
    by_place = {node.place: node for node in nodes}
    for edge in _merged(money.edges):
        _band(drawing, edge, by_place, words)
    for node in nodes:
        drawing.mark(
            "rect",
            tip=f"{place_name(node.place, words)} {yuan(node.amount_fen)}",
            x=node.x,
            y=node.y,
            width=_NODE_WIDTH,
            height=node.height,
            rx=2,
            class_=f"node {_fate(node.place)}",
        )
        if sheet.is_narrow:
            _badge(drawing, node)
        else:
            _label(drawing, node, words)
    return drawing.svg()


def _column(place: Place) -> int:
    return 0 if isinstance(place, Funder) else THROUGH.get(place, _LAST_COLUMN)


def _lay_out(nodes: Sequence[Node], put_in_fen: int, sheet: Sheet) -> float:
    """Give each node its place, columns from the top down; return the height of the picture."""
    slot = _SLOT_NARROW if sheet.is_narrow else _SLOT_WIDE
    room = 2 * _BADGE + 8 if sheet.is_narrow else _LABEL_ROOM
    pitch = (sheet.width - room - _NODE_WIDTH) / _LAST_COLUMN
    bottom = 0.0
    for column in range(_LAST_COLUMN + 1):
        y = _TOP
        for node in nodes:
            if _column(node.place) == column:
                node.height = max(_THINNEST, node.amount_fen / put_in_fen * _FLOW_HEIGHT)
                node.x = column * pitch
                # A small node stands in the middle of its slot, beside its label.
                node.y = y + max(0.0, (slot - node.height) / 2)
                y += max(node.height + slot / 3, slot)
        bottom = max(bottom, y)
    return bottom + 4


def _merged(edges: Sequence[Edge]) -> list[Edge]:
    """Return one edge for each pair of places, in the order in which their bands leave a node."""
    sums: dict[tuple[Place, Stop], int] = {}
    for edge in edges:
        pair = (edge.source, edge.target)
        sums[pair] = sums.get(pair, 0) + edge.amount_fen
    order = list(Stop)
    merged = [Edge(*pair, amount_fen) for pair, amount_fen in sums.items() if amount_fen]
    return sorted(
        merged,
        key=lambda edge: (_column(edge.source), _rank(edge.source), order.index(edge.target)),
    )


def _rank(place: Place) -> int:
    return -1 if isinstance(place, Funder) else list(Stop).index(place)


def _band(drawing: Drawing, edge: Edge, nodes: dict[Place, Node], words: Wording) -> None:
    source, target = nodes[edge.source], nodes[edge.target]
    # A node that is drawn thicker than its money gives its bands their shares of what is drawn.
    leaves = source.height * edge.amount_fen / source.amount_fen
    arrives = target.height * edge.amount_fen / target.amount_fen
    x1, x2 = source.x + _NODE_WIDTH, target.x
    y1, y2 = source.y + source.sent, target.y + target.got
    source.sent += leaves
    target.got += arrives
    middle = (x1 + x2) / 2
    top = f"M{x1:.1f} {y1:.1f}C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    y1, y2 = y1 + leaves, y2 + arrives
    bottom = f"V{y2:.1f}C{middle:.1f} {y2:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}Z"
    ends = f"{place_name(edge.source, words)} → {place_name(edge.target, words)}"
    tip = f"{ends}: {yuan(edge.amount_fen)}"
    drawing.mark("path", tip=tip, d=top + bottom, class_=f"band {_fate(edge.target)}")


def _fate(place: Place) -> str:
    """Return the class of what is spent, borne by the shops, or on its way back."""
    if place in _GOES_BACK:
        return "goes-back"
    return "with-shops" if place in _STAYS_WITH_SHOPS else "goes-on"


def _label(drawing: Drawing, node: Node, words: Wording) -> None:
    lines = [(line, "label strong halo") for line in _lines(place_name(node.place, words))]
    lines.append((yuan(node.amount_fen), "label halo"))
    x = node.x + _NODE_WIDTH + 8
    y = node.y + node.height / 2 - (len(lines) - 1) * _LABEL_LINE / 2 + 5
    for number, (text, css_class) in enumerate(lines):
        drawing.mark("text", text, x=x, y=y + number * _LABEL_LINE, class_=css_class)


def _badge(drawing: Drawing, node: Node) -> None:
    """Put the node's number beside it; the list below the picture says what it means."""
    x, y = node.x + _NODE_WIDTH + _BADGE + 3, node.y + node.height / 2
    drawing.mark("circle", cx=x, cy=y, r=_BADGE, class_="badge")
    drawing.mark("text", str(node.number), x=x, y=y + 4, text_anchor="middle", class_="badge-text")
