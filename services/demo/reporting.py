"""What happened, as tables."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
from rich.console import Console
from rich.table import Table

from services.demo.claim_log import SOLD_OUT, WON, WON_BEFORE, ClaimLog
from services.demo.crowd import Visit
from services.demo.stack import DemoError
from services.programme_file import ProgrammeFile, Redemption
from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.roles import Role
from shared.bookkeeping.accounts import CHART

if TYPE_CHECKING:
    from array import array

FINANCE = "demo-finance"
_FEN_PER_YUAN = 100
_BP_PER_PERCENT = 100
_REQUEST_TIMEOUT_S = 30


def yuan(amount_fen: int) -> str:
    """Return an amount as people read it, exact to the fen."""
    sign = "-" if amount_fen < 0 else ""
    whole, rest = divmod(abs(amount_fen), _FEN_PER_YUAN)
    return f"{sign}{whole:,}.{rest:02d}"


def print_results(
    log: ClaimLog, visits: Sequence[Visit], file: ProgrammeFile, real: ProgrammeFile, to: Console
) -> None:
    """Print what the crowd met. `file` was played; `real` is the programme at its real size."""
    packs = file.drops[0].quota
    bots = {visit.holder for visit in visits if visit.is_bot}
    bots_won = len({yes.claim_id for yes in log.yeses if yes.holder in bots})
    refused = len({holder for holder, code in log.noes if code == SOLD_OUT})
    table = Table(title="The drop", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("residents", f"{len(visits):,}, of them {len(bots):,} bots")
    table.add_row("packs", f"{packs:,}: {_pack_text(file)}")
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
    table.add_row("sold out after", _sold_out_text(log, packs, real))
    to.print(table)
    to.print(_latencies(log))


def _pack_text(file: ProgrammeFile) -> str:
    drop = file.drops[0]
    kinds = ", ".join(f"{kind.count} of {kind.name}" for kind in drop.pack)
    return f"{kinds} = {yuan(drop.pack_face_fen)} yuan each"


def _sold_out_text(log: ClaimLog, packs: int, real: ProgrammeFile) -> str:
    if len(log.claims) < packs or not log.last_win_s:
        return "not sold out"
    text = f"{log.last_win_s:.2f} s; {log.asked_until_last_win / log.last_win_s:,.0f} requests/s"
    if real.source.sold_out_after_s is not None:
        text += f" (in reality {real.drops[0].quota:,} packs in {real.source.sold_out_after_s} s)"
    return text


def _latencies(log: ClaimLog) -> Table:
    groups = {"a pack": {WON, WON_BEFORE}, "sold out": {SOLD_OUT}}
    known = {code for codes in groups.values() for code in codes}
    groups["ask again and others"] = set(log.answers) - known
    table = Table(title="Time to an answer, ms", title_justify="left")
    table.add_column("the answer")
    for column in ("answers", "p50", "p99", "max", "p99 from the tap"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, codes in groups.items():
        wire = _sorted(log.on_the_wire_ms, codes)
        tap = _sorted(log.from_tap_ms, codes)
        if wire:
            times = (*(percentile(wire, p) for p in (0.5, 0.99, 1.0)), percentile(tap, 0.99))
            table.add_row(name, f"{len(wire):,}", *(f"{ms:,.1f}" for ms in times))
    table.caption = "the tap also counts waiting for one of this machine's connections"
    table.caption_justify = "left"
    return table


def _sorted(times: "Mapping[str, array[float]]", codes: Iterable[str]) -> list[float]:
    return sorted(ms for code in codes if code in times for ms in times[code])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of the values do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


async def fetch_balances(
    ledger_url: str, issuer: DevelopmentIssuer, *, city_code: str, programme_id: str
) -> list[dict[str, Any]]:
    """Return the accounts of the trial balance. Raises DemoError when it is not told."""
    token = issuer.issue(FINANCE, [Role.FINANCE], cities=[city_code])
    async with (
        aiohttp.ClientSession(
            ledger_url, timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S)
        ) as session,
        session.get(
            "/v1/trial-balance",
            params={"programme_id": programme_id},
            headers={"Authorization": f"Bearer {token}"},
        ) as answer,
    ):
        told = await answer.json(content_type=None)
        if answer.status != HTTPStatus.OK:
            raise DemoError(f"The ledger told no trial balance: {answer.status} {told}")
        accounts: list[dict[str, Any]] = told["accounts"]
        return accounts


def print_money(
    accounts: Iterable[Mapping[str, Any]], redemption: Redemption | None, packs: int, to: Console
) -> None:
    """Print the trial balance by account family, and what the packs may cost in the end."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for account in accounts:
        sides = sums[account["code"].partition(":")[0]]
        sides[0] += account["debit_fen"]
        sides[1] += account["credit_fen"]
    table = Table(title="Money, yuan", title_justify="left", show_footer=True)
    debit_fen, credit_fen = (sum(sides[place] for sides in sums.values()) for place in (0, 1))
    table.add_column("accounts", footer="sum")
    table.add_column("meaning")
    table.add_column("debit", justify="right", footer=yuan(debit_fen))
    table.add_column("credit", justify="right", footer=yuan(credit_fen))
    for family in CHART:
        if family.name in sums:
            debit, credit = sums[family.name]
            shown = [yuan(debit) if debit else "", yuan(credit) if credit or not debit else ""]
            table.add_row(family.name, family.meaning, *shown)
    if redemption is not None:
        spent = yuan(redemption.subsidy_per_pack_fen * packs)
        share = redemption.share_bp / _BP_PER_PERCENT
        table.caption = f"redeemed as in round {redemption.round}, {share:g} %: {spent} of it"
        table.caption_justify = "left"
    to.print(table)
