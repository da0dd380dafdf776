"""What the crowd met and what happened at the tills, as a table."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from services.demo.claim_log import SOLD_OUT, WON, WON_BEFORE

if TYPE_CHECKING:
    from services.demo.played import Played
    from services.programme_file import ProgrammeFile

_FEN_PER_YUAN = 100


def yuan(amount_fen: int) -> str:
    """Return an amount as people read it, exact to the fen."""
    sign = "-" if amount_fen < 0 else ""
    whole, rest = divmod(abs(amount_fen), _FEN_PER_YUAN)
    return f"{sign}{whole:,}.{rest:02d}"


def print_results(played: "Played", to: Console) -> None:
    """Print what the crowd met at the drop and the tills in the week after it."""
    log, packs, visits = played.claims, played.drop.quota, played.plan.visits
    bots = {visit.holder for visit in visits if visit.is_bot}
    bots_won = len({yes.claim_id for yes in log.yeses if yes.holder in bots})
    refused = len({holder for holder, code in log.noes if code == SOLD_OUT})
    table = Table(title=played.file.programme.name, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("residents", f"{len(visits):,}, of them {len(bots):,} bots")
    table.add_row("packs", f"{packs:,}: {_pack_text(played.file)}")
    table.add_row("packs won", f"{len(log.claims):,}, of them {bots_won:,} by bots")
    table.add_row("residents told sold out", f"{refused:,}")
    for code, count in sorted(log.answers.items()):
        if code not in {WON, WON_BEFORE, SOLD_OUT}:
            table.add_row(f"told {code}", f"{count:,}")
    table.add_row("asked again after winning", f"{log.answers[WON_BEFORE]:,}, same claim each time")
    table.add_row("retries", f"{log.retries:,}")
    busiest = max(log.asked_in_second.values(), default=0)
    table.add_row("claim requests", f"{log.requests:,}; {busiest:,} in the busiest second")
    table.add_row("page views before T-0", f"{log.page_views:,}")
    table.add_row("sold out after", _sold_out_text(played))
    table.add_section()
    vouchers = sum(len(pack) for pack in log.packs.values())
    redeemed = len(played.tills.redeemed)
    share = f"{redeemed / vouchers:.1%}" if vouchers else "none"
    table.add_row("vouchers redeemed", f"{redeemed:,} of {vouchers:,}, {share}")
    for what, count in sorted(played.tills.told.items()):
        table.add_row(f"at the tills: {what}", f"{count:,}")
    to.print(table)


def _pack_text(file: "ProgrammeFile") -> str:
    drop = file.drops[0]
    kinds = ", ".join(f"{kind.count} of {kind.name}" for kind in drop.pack)
    return f"{kinds} = {yuan(drop.pack_face_fen)} yuan each"


def _sold_out_text(played: "Played") -> str:
    log, real = played.claims, played.plan.real
    if len(log.claims) < played.drop.quota or not log.last_win_s:
        return "not sold out"
    text = f"{log.last_win_s:.2f} s; {log.asked_until_last_win / log.last_win_s:,.0f} requests/s"
    if real.source.sold_out_after_s is not None:
        text += f" (in reality {real.drops[0].quota:,} packs in {real.source.sold_out_after_s} s)"
    return text


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
