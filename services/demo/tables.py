"""What happened to a programme, as tables on the console; the report tells the same."""

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from services.demo.report.flow import place_name
from services.demo.report.story import Funder, MoneyFlow, ProgrammeStory, Stop
from services.demo.report.wording import Wording
from services.demo.reporting import yuan

_ENGLISH = Wording("en")


def print_programme(story: ProgrammeStory, to: Console) -> None:
    """Print the latencies, the days, the money, the leverage and the statements of a programme."""
    to.print(_latencies(story))
    if story.redemptions_by_day:
        to.print(_days(story))
    to.print(_money(story.money))
    if story.leverage is not None:
        leverage = story.leverage
        to.print(
            f"Leverage: floor {leverage.floor:.2f}, gross {leverage.gross:.2f},"
            f" out of pocket {leverage.out_of_pocket:.2f}; none of them is the programme's effect.",
            highlight=False,
        )
    to.print(_statements(story))


def _table(title: str, first: str, *numbers: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _latencies(story: ProgrammeStory) -> Table:
    table = _table("Time to an answer, ms", "the answer", "answers", "p50", "p99", "max")
    for line in story.latency:
        times = (line.p50_ms, line.p99_ms, line.max_ms)
        name = _ENGLISH.coded("answer", line.answer)
        table.add_row(name, f"{line.count:,}", *(f"{ms:,.1f}" for ms in times))
    return table


def _days(story: ProgrammeStory) -> Table:
    table = _table("Redeemed, yuan", "day", "redemptions", "by vouchers", "orders")
    for line in story.redemptions_by_day:
        amounts = (yuan(line.voucher_fen), yuan(line.order_fen))
        table.add_row(line.day.isoformat(), f"{line.redemptions:,}", *amounts)
    sums = [
        sum(line.voucher_fen for line in story.redemptions_by_day),
        sum(line.order_fen for line in story.redemptions_by_day),
    ]
    table.add_section()
    table.add_row("sum", f"{story.redemptions:,}", *(yuan(fen) for fen in sums))
    return table


def _money(money: MoneyFlow) -> Table:
    """One line for each way, a column for each funder; what is nobody's alone stands in the sum."""
    funders = list(dict.fromkeys(e.source for e in money.edges if isinstance(e.source, Funder)))
    names = [place_name(funder, _ENGLISH) for funder in funders]
    table = Table(title="Where each yuan went", title_justify="left")
    table.add_column("from")
    table.add_column("to")
    for column in (*names, "sum"):
        table.add_column(column, justify="right")
    sums: dict[tuple[str, Stop], Counter[Funder | None]] = {}
    for edge in money.edges:
        is_funder = isinstance(edge.source, Funder)
        source = "the funders" if is_funder else place_name(edge.source, _ENGLISH)
        whose = edge.source if isinstance(edge.source, Funder) else edge.funder
        sums.setdefault((source, edge.target), Counter())[whose] += edge.amount_fen
    for (source, target), by_funder in sums.items():
        parts = [yuan(by_funder[funder]) if by_funder[funder] else "" for funder in funders]
        table.add_row(source, place_name(target, _ENGLISH), *parts, yuan(sum(by_funder.values())))
    return table


def _statements(story: ProgrammeStory) -> Table:
    table = _table(
        "Statements reconciled", "statement", "day", "rows", "matched", "planted", "found"
    )
    table.add_column("differences, yuan")
    for line in story.reconciliation:
        counts = (
            sum(one.planted for one in line.breaks),
            sum(one.found for one in line.breaks),
        )
        table.add_row(
            _ENGLISH.coded("format", line.format),
            line.day.isoformat(),
            f"{line.rows:,}",
            f"{line.matched:,}",
            *(str(count) for count in counts),
            _listed(f"{one.type} {yuan(one.diff_fen)} {one.resolved}" for one in line.breaks),
        )
    return table


def _listed(texts: Iterable[str]) -> str:
    return "\n".join(texts)
