"""What the tills met, as a table, and what was wrong with it."""

from rich.table import Table

from loadtests.percentiles import percentile, summary
from loadtests.tills.record import Record

_SHOWN_MAX = 3


def table(record: Record, *, tills: int, customers: int, customers_per_s: int) -> Table:
    """Show the answers by code, and how long customers waited."""
    title = f"{customers:,} vouchers at {tills} tills, {customers_per_s} customers a second"
    shown = Table(title=title, title_justify="left")
    shown.add_column("what")
    shown.add_column("", justify="right")
    for word, count in sorted(record.answers.items()):
        shown.add_row(f"answered {word}", f"{count:,}")
    for percent in (50, 95, 99):
        waited_ms = percentile(record.answered_ms, percent)
        shown.add_row(f"answer after the customer came, p{percent}", f"{waited_ms:,.0f} ms")
    late_ms = percentile(record.late_ms, 99)
    shown.add_row("of which the generator was late, p99", f"{late_ms:,.0f} ms")
    return shown


def figures(record: Record) -> dict[str, object]:
    """Return what is worth keeping of a crowd."""
    return {
        "customers": record.served,
        "answers": dict(record.answers.most_common()),
        "answer_after_customer_came_ms": summary(record.answered_ms),
        "generator_late_ms": summary(record.late_ms),
    }


def faults_of_crowd(record: Record, *, customers: int) -> list[str]:
    """Return what the tills met that cannot be right when everybody asks to the end."""
    faults = []
    if record.served != customers:
        faults.append(f"only {record.served} of {customers} customers were served")
    if record.undecided:
        faults.append(f"{record.undecided} customers never had a final answer")
    if record.contradictions:
        shown = "; ".join(record.contradictions[:_SHOWN_MAX])
        faults.append(f"{len(record.contradictions)} contradictions: {shown}")
    return faults
