"""What the crowd met, as a table, and what was wrong with it."""

from rich.table import Table

from loadtests.drop.record import Record
from loadtests.percentiles import percentile, summary


def table(record: Record, *, residents: int, packs: int) -> Table:
    """Show the answers by code, and how long after T-0 residents knew where they stood."""
    shown = Table(title=f"{residents:,} residents for {packs:,} packs", title_justify="left")
    shown.add_column("what")
    shown.add_column("", justify="right")
    shown.add_row("waiting at T-0", f"{record.waiting_at_opening:,}")
    for code, count in record.answers.most_common():
        shown.add_row(f"claims answered {code}", f"{count:,}")
    for percent in (50, 95, 99):
        after_ms = percentile(record.final_answer_ms, percent)
        shown.add_row(f"final answer after T-0, p{percent}", f"{after_ms:,.0f} ms")
    slowest_ms = max(record.final_answer_ms, default=float("nan"))
    shown.add_row("final answer after T-0, the last", f"{slowest_ms:,.0f} ms")
    return shown


def figures(record: Record) -> dict[str, object]:
    """Return what is worth keeping of a crowd."""
    return {
        "waiting_at_opening": record.waiting_at_opening,
        "answers": dict(record.answers.most_common()),
        "final_answer_after_opening_ms": summary(record.final_answer_ms),
    }


def faults_of_crowd(record: Record, *, residents: int, packs: int) -> list[str]:
    """Return what the crowd met that cannot be right when everybody asks to the end."""
    faults = []
    if record.finished != residents:
        faults.append(f"only {record.finished} of {residents} residents finished")
    if record.undecided:
        faults.append(f"{record.undecided} residents never had a final answer")
    if record.changed_claims:
        faults.append(f"{record.changed_claims} winners were later shown another claim")
    wins = len(record.acknowledged)
    if wins != min(residents, packs):
        faults.append(f"{wins} wins where {min(residents, packs)} had to be")
    serials = sorted(serial for _, serial in record.acknowledged)
    if serials != list(range(1, wins + 1)):
        faults.append("the winners' serials are not 1, 2, 3, ... without a gap")
    return faults
