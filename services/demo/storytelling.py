"""The story of a run, told to the report from what was measured and from the books."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from services.demo.claim_log import SOLD_OUT, WON, WON_BEFORE, ClaimLog
from services.demo.flows import Moved, money_flow
from services.demo.played import Played
from services.demo.report.story import (
    Answer,
    BreakLine,
    DayLine,
    Funder,
    LatencyLine,
    Leverage,
    Phrase,
    ProgrammeStory,
    ReconciliationLine,
    ReturnLine,
    ReturnWay,
    Second,
    SettlementLine,
    Stock,
)
from services.demo.reporting import percentile
from services.demo.till import UNCERTAIN

if TYPE_CHECKING:
    from array import array

    from services.demo.reconciling import Reconciled
    from services.programme_file import ProgrammeFile, Telling, Words

_STOCK_STEPS_MAX = 240
_STOCK_STEP_S = 0.1
_WAYS: tuple[tuple[ReturnWay, str], ...] = (
    ("bank", "bank_fen"),
    ("wallet", "wallet_fen"),
    ("pledge", "pledge_fen"),
)


def tell_programme(played: Played, moved: Iterable[Moved]) -> ProgrammeStory:
    """Tell one programme as it was played.

    Raises:
        InvariantViolatedError: the money of its book does not add up.
    """
    log, drop, telling = played.claims, played.drop, played.plan.demo.report
    funders = _funders(played.file, telling)
    live = played.live_records
    busiest = max(log.asked_in_second.values(), default=0)
    return ProgrammeStory(
        name=_phrase(telling.name),
        city=_phrase(telling.city),
        city_code=played.file.programme.city_code,
        rail="ecny" if drop.rail == "ecny" else "bank",
        packs=drop.quota,
        residents=played.plan.crowd.residents,
        pack_face_fen=drop.pack_face_fen,
        source_note=_phrase(telling.note),
        claims_per_second=_seconds(log),
        stock=_stock(log, drop.quota),
        latency=_latencies(played),
        sold_out_after_s=log.last_win_s if len(log.claims) == drop.quota else None,
        requests_per_s_peak=busiest,
        redemptions_by_day=_days(live),
        money=money_flow(moved, funders),
        leverage=_leverage(live, played.tills.least_fen),
        reconciliation=[_reconciliation(one) for one in played.reconciled],
        settlement=_settlement(played, live),
        returns=[
            ReturnLine(funders[told["funder_id"]], told[field], way)
            for told in played.returns
            for way, field in _WAYS
            if told[field]
        ],
    )


def _phrase(words: "Words") -> Phrase:
    return Phrase(words.en, words.zh)


def _funders(file: "ProgrammeFile", telling: "Telling") -> dict[str, Funder]:
    return {
        funder.funder_id: Funder(
            _phrase(telling.funders[funder.funder_id]), funder.kind, funder.mode
        )
        for funder in file.programme.funders
    }


def _seconds(log: ClaimLog) -> list[Second]:
    if not log.asked_in_second:
        return []
    won: defaultdict[int, int] = defaultdict(int)
    for won_s in log.won_at_s:
        won[int(won_s // 1)] += 1
    return [
        Second(t_s, won[t_s], log.asked_in_second[t_s] - won[t_s])
        for t_s in range(min(log.asked_in_second), max(log.asked_in_second) + 1)
    ]


def _stock(log: ClaimLog, packs: int) -> list[Stock]:
    """Return the packs left at even steps until the last was won."""
    if log.last_win_s is None:
        return [Stock(0, packs)]
    won_at_s = sorted(log.won_at_s)
    step_s = max(_STOCK_STEP_S, log.last_win_s / _STOCK_STEPS_MAX)
    steps = int(log.last_win_s / step_s) + 1
    points = [step_s * step for step in range(steps)] + [log.last_win_s]
    return [Stock(t_s, packs - bisect_right(won_at_s, t_s)) for t_s in points]


def _latencies(played: Played) -> list[LatencyLine]:
    groups: dict[Answer, set[str]] = {"won": {WON, WON_BEFORE}, "sold_out": {SOLD_OUT}}
    known = {code for codes in groups.values() for code in codes}
    times = played.claims.on_the_wire_ms
    groups["other"] = times.keys() - known
    lines = [
        _latency(answer, [ms for code in codes if code in times for ms in times[code]])
        for answer, codes in groups.items()
    ]
    lines.append(_latency("redeemed", played.tills.on_the_wire_ms))
    return [line for line in lines if line.count]


def _latency(answer: Answer, times: "Sequence[float] | array[float]") -> LatencyLine:
    ordered = sorted(times) or [0.0]
    p50, p99, slowest = (percentile(ordered, share) for share in (0.5, 0.99, 1.0))
    return LatencyLine(answer, len(times), p50, p99, slowest)


def _days(live: Iterable[Mapping[str, Any]]) -> list[DayLine]:
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for record in live:
        day = sums[record["accounting_date"]]
        day[0] += 1
        day[1] += record["voucher_amount_fen"]
        day[2] += record["order_amount_fen"]
    return [DayLine(date.fromisoformat(day), *sums[day]) for day in sorted(sums)]


def _leverage(live: Sequence[Mapping[str, Any]], least_fen: int) -> Leverage | None:
    if not live:
        return None
    voucher, order, paid = (
        sum(record[field] for record in live)
        for field in ("voucher_amount_fen", "order_amount_fen", "consumer_paid_fen")
    )
    return Leverage(voucher_fen=voucher, min_spend_fen=least_fen, order_fen=order, paid_fen=paid)


def _settlement(played: Played, live: Sequence[Mapping[str, Any]]) -> SettlementLine:
    if played.drop.rail == "ecny":
        paid_fen = sum(record["net_fen"] for record in live)
        return SettlementLine(0, len(live), paid_fen, 0, played.tills.told[UNCERTAIN])
    settled = played.settled
    paid_fen = sum(payout["amount_fen"] for payout in settled.paid)
    return SettlementLine(settled.batches, len(settled.paid), paid_fen, len(settled.rejected))


def _reconciliation(told: "Reconciled") -> ReconciliationLine:
    rest = list(told.planted)
    lines = []
    for difference, state in told.found:
        is_planted = difference in rest
        if is_planted:
            rest.remove(difference)
        lines.append(
            BreakLine(difference.type, difference.difference_fen, is_planted, resolved=state)
        )
    lines += [
        BreakLine(
            difference.type, difference.difference_fen, planted=True, resolved="", found=False
        )
        for difference in rest
    ]
    return ReconciliationLine(
        statement=told.statement_id,
        format=told.format,
        day=told.day,
        rows=told.rows,
        matched=told.matched,
        breaks=lines,
        result_hash=told.result_hash,
    )
