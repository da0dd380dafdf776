"""The drop itself: the waiting room, the rush, and reading back what was promised."""

import asyncio
from collections.abc import Sequence

from services.demo.checking import ReadBack
from services.demo.claim_log import SOLD_OUT, ClaimLog
from services.demo.client import ClaimClient, phones
from services.demo.played import Plan
from services.demo.residents import Crowd
from services.demo.showing import Stage
from services.seeding import SeededDrop

_PATIENCE_S = 60.0
# Of a machine that is slower than any we know: a larger crowd may take longer.
_RESIDENTS_PER_S = 250
_TICK_S = 0.2
_SHORTEST_TICK_S = 0.001
_READ_AT_ONCE = 500


async def race(
    stage: Stage,
    plan: Plan,
    drop: SeededDrop,
    claim_url: str,
    *,
    tokens: Sequence[str],
    until_open_s: float,
) -> tuple[ClaimLog, ReadBack]:
    """Play the crowd against a drop that opens soon; return its log and what is found afterwards.

    Raises:
        DemoError: a claim could not be looked up afterwards.
    """
    log = ClaimLog()
    opens_s = asyncio.get_running_loop().time() + until_open_s
    async with phones(claim_url) as session:
        client = ClaimClient(session, drop.drop_id, tokens, log, opens_s=opens_s)
        patience_s = until_open_s + _PATIENCE_S + plan.crowd.residents / _RESIDENTS_PER_S
        crowd = Crowd(plan.crowd, client, log)
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(crowd.play(plan.visits, patience_s=patience_s))
            await _show_waiting_room(stage, log, client, playing)
            await _show_rush(stage, log, drop.quota, playing)
        return log, await _read_back(stage, log, client)


async def _show_waiting_room(
    stage: Stage, log: ClaimLog, client: ClaimClient, playing: asyncio.Task[None]
) -> None:
    begun_s = client.now_s()
    with stage.bar("Waiting room", round(-begun_s * 1000)) as tell:
        while (now_s := client.now_s()) < 0 and not playing.done():
            early = log.answers["not_open"]
            note = f"opens in {-now_s:4.1f} s, {log.page_views:,} page views, {early:,} too early"
            tell(round((now_s - begun_s) * 1000), note)
            await asyncio.wait({playing}, timeout=min(_TICK_S, max(-now_s, _SHORTEST_TICK_S)))
        early = log.answers["not_open"]
        tell(round(-begun_s * 1000), f"open, {log.page_views:,} page views, {early:,} too early")


async def _show_rush(stage: Stage, log: ClaimLog, packs: int, playing: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    with stage.bar("The drop", packs) as tell:
        asked, asked_s, per_second = log.requests, loop.time(), 0.0
        while not playing.done():
            await asyncio.wait({playing}, timeout=_TICK_S)
            if (elapsed_s := loop.time() - asked_s) >= 1:
                per_second = (log.requests - asked) / elapsed_s
                asked, asked_s = log.requests, loop.time()
            tell(len(log.claims), _rush_note(log, packs, per_second))
        tell(len(log.claims), _rush_note(log, packs, None))


def _rush_note(log: ClaimLog, packs: int, per_second: float | None) -> str:
    # Short enough for a terminal of 80 columns, the bar beside it.
    won = len(log.claims)
    note = f"{won:,} won, {packs - won:,} left, {log.answers[SOLD_OUT]:,} sold out"
    return note if per_second is None else f"{note}, {per_second:,.0f}/s"


async def _read_back(stage: Stage, log: ClaimLog, client: ClaimClient) -> ReadBack:
    """Ask for each promised claim with its holder's own token."""
    promised = sorted({(yes.holder, yes.claim_id) for yes in log.yeses})
    found: dict[tuple[int, str], int | None] = {}
    with stage.bar("Reading back", len(promised)) as tell:
        for start in range(0, len(promised), _READ_AT_ONCE):
            part = promised[start : start + _READ_AT_ONCE]
            serials = await asyncio.gather(*(client.read_back(*claim) for claim in part))
            found.update(zip(part, serials, strict=True))
            tell(len(found), f"{len(found):,} of {len(promised):,} promised claims")
    return found
