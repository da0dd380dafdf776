# ruff: noqa: RUF001 - Chinese has punctuation of its own
"""An invented story for the report: two programmes whose figures agree with each other."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from services.demo.report.story import (
    BreakLine,
    CheckLine,
    DayLine,
    Edge,
    Funder,
    LatencyLine,
    Leverage,
    MoneyFlow,
    Phrase,
    ProgrammeStory,
    ReconciliationLine,
    ReturnLine,
    Second,
    SettlementLine,
    Stock,
    Stop,
    Story,
)

CITY = Funder(Phrase("City of Hangzhou", "杭州市财政"), "government", "cash")
POOL = Funder(Phrase("Merchants' co-funding pool", "商户共担资金"), "merchant_pool", "pledge")
CHENGDU = Funder(Phrase("City of Chengdu", "成都市财政"), "government", "cash")
PLATFORM = Funder(Phrase("Shopping platform", "电商平台"), "platform", "cash")
WEEK_SHARES = (27, 19, 14, 11, 10, 10, 9)
CHECKS = (
    CheckLine("I1_live_within_quota", "No drop has more live claims than its quota.", 0),
    CheckLine("I1_live_is_counted", "The live counter is the number of live claims.", 0),
    CheckLine("I2_claims_have_persons", "Every claim belongs to a person.", 0),
    CheckLine("I3_every_yes_is_in_the_ledger", "Each acknowledged claim is found.", 0),
    CheckLine("I5_books_balance", "In every book debits equal credits.", 0),
    CheckLine("I6_no_account_is_overdrawn", "No account is below zero on its normal side.", 0),
    CheckLine("I8_funded_is_accounted_for", "What a funder paid or promised is somewhere.", 0),
    CheckLine("I9_events_have_their_journals", "Every event has one journal.", 0),
    CheckLine("I10_gates_follow_the_ledger", "A loaded gate follows the ledger.", 0),
    CheckLine("crowd_serials_are_distinct", "No serial was given with two claims.", 0),
)


def hangzhou() -> ProgrammeStory:
    """5,000 packs of 50 yuan, four fifths of it the city's; 17,550 of 25,000 vouchers redeemed."""
    return ProgrammeStory(
        name=Phrase("Hangzhou 2020, round 5", "杭州 2020 第五轮"),
        city=Phrase("Hangzhou", "杭州市"),
        city_code="330100",
        rail="bank",
        packs=5_000,
        residents=20_000,
        pack_face_fen=5_000,
        source_note=Phrase(
            "In April 2020 1,500,000 packs of 5 × (10 off 40) were gone in 105 s. Played here at"
            " 1 in 300; who shared the cost is an assumption.",
            "2020 年 4 月，150 万包（5 张满 40 减 10）105 秒抢完。"
            "此处按 1:300 演练；出资比例为假设。",
        ),
        claims_per_second=[
            Second(-1, 0, 412),
            Second(0, 2_214, 3_120),
            Second(1, 1_486, 1_904),
            Second(2, 861, 1_388),
            Second(3, 439, 2_930),
            *(Second(t_s, 0, 2_400 - 110 * t_s) for t_s in range(4, 21)),
        ],
        stock=[Stock(t_s / 10, max(0, round(5_000 * (1 - t_s / 34) ** 2))) for t_s in range(35)],
        latency=[
            LatencyLine("won", 5_149, 18.4, 96.2, 141.7),
            LatencyLine("sold_out", 15_000, 2.1, 11.6, 48.3),
            LatencyLine("other", 4_318, 1.8, 9.4, 30.2),
            LatencyLine("redeemed", 17_550, 9.7, 31.5, 118.0),
        ],
        sold_out_after_s=3.42,
        requests_per_s_peak=5_334,
        redemptions_by_day=_week(17_550, voucher_fen=1_000, order_fen=10_735),
        money=MoneyFlow(
            [
                Edge(CITY, Stop.ALLOCATED, 20_000_000),
                Edge(POOL, Stop.ALLOCATED, 5_000_000),
                Edge(Stop.ALLOCATED, Stop.CLAIMED, 25_000_000),
                Edge(Stop.CLAIMED, Stop.REDEEMED, 17_550_000),
                Edge(Stop.CLAIMED, Stop.EXPIRED, 7_450_000),
                Edge(Stop.REDEEMED, Stop.PAID_BANK, 14_040_000, CITY),
                Edge(Stop.REDEEMED, Stop.ABSORBED, 3_510_000, POOL),
                Edge(Stop.EXPIRED, Stop.RETURNED, 5_960_000, CITY),
                Edge(Stop.EXPIRED, Stop.UNDRAWN, 1_490_000, POOL),
            ]
        ),
        leverage=Leverage(
            voucher_fen=17_550_000,
            min_spend_fen=70_200_000,
            order_fen=188_399_250,
            paid_fen=170_849_250,
        ),
        reconciliation=[
            _statement("bank-statement", date(2020, 4, 22), 41, 41, []),
            _statement(
                "bank-statement",
                date(2020, 4, 23),
                44,
                41,
                [
                    BreakLine("missing_in_ledger", 8_800, planted=True, resolved="posted"),
                    BreakLine("amount", -1_250, planted=True, resolved="accepted"),
                    BreakLine("duplicate", -34_000, planted=True, resolved="cleared"),
                ],
            ),
        ],
        settlement=SettlementLine(7, 280, 14_040_000, 2),
        returns=[
            ReturnLine(CITY, 5_960_000, "bank"),
            ReturnLine(POOL, 1_490_000, "pledge"),
        ],
    )


def chengdu() -> ProgrammeStory:
    """3,000 packs of one 80 yuan voucher, paid in e-CNY; 120 of them nobody claimed."""
    return ProgrammeStory(
        name=Phrase("Chengdu 2022, digital yuan", "成都 2022 数字人民币"),
        city=Phrase("Chengdu", "成都市"),
        city_code="510100",
        rail="ecny",
        packs=3_000,
        residents=2_880,
        pack_face_fen=8_000,
        source_note=Phrase(
            "In June 2022 about 1.41 million vouchers were given in three waves, paid in e-CNY"
            " only, valid for seven days. The tier played here is 80 off 300.",
            "2022 年 6 月分三轮发放约 141 万张，仅限数字人民币支付，有效期七天。"
            "此处演练满 300 减 80 一档。",
        ),
        claims_per_second=[
            Second(t_s, round(690 * 0.76**t_s), round(60 * 0.8**t_s)) for t_s in range(18)
        ],
        stock=[Stock(t_s / 2, 120 + round(2_880 * 0.76 ** (t_s / 2))) for t_s in range(36)],
        latency=[
            LatencyLine("won", 2_880, 12.9, 61.4, 88.0),
            LatencyLine("redeemed", 2_300, 21.3, 140.9, 2_004.1),
        ],
        sold_out_after_s=None,
        requests_per_s_peak=750,
        redemptions_by_day=_week(2_300, voucher_fen=8_000, order_fen=41_290),
        money=MoneyFlow(
            [
                Edge(CHENGDU, Stop.ALLOCATED, 18_000_000),
                Edge(PLATFORM, Stop.ALLOCATED, 6_000_000),
                Edge(Stop.ALLOCATED, Stop.CLAIMED, 23_040_000),
                Edge(Stop.ALLOCATED, Stop.UNCLAIMED, 960_000),
                Edge(Stop.CLAIMED, Stop.REDEEMED, 18_400_000),
                Edge(Stop.CLAIMED, Stop.EXPIRED, 4_640_000),
                Edge(Stop.REDEEMED, Stop.PAID_ECNY, 18_400_000),
                Edge(Stop.EXPIRED, Stop.RETURNED, 3_480_000, CHENGDU),
                Edge(Stop.EXPIRED, Stop.RETURNED, 1_160_000, PLATFORM),
                Edge(Stop.UNCLAIMED, Stop.RETURNED, 720_000, CHENGDU),
                Edge(Stop.UNCLAIMED, Stop.RETURNED, 240_000, PLATFORM),
            ]
        ),
        leverage=Leverage(
            voucher_fen=18_400_000,
            min_spend_fen=69_000_000,
            order_fen=94_967_000,
            paid_fen=76_567_000,
        ),
        reconciliation=[
            _statement(
                "ecny-daily",
                date(2022, 6, 12),
                612,
                610,
                [
                    BreakLine("missing_in_channel", 8_000, planted=True, resolved="posted"),
                    BreakLine("direction", -16_000, planted=True, resolved="accepted"),
                ],
            ),
        ],
        settlement=SettlementLine(0, 2_300, 18_400_000, 0),
        returns=[
            ReturnLine(CHENGDU, 4_200_000, "wallet"),
            ReturnLine(PLATFORM, 1_400_000, "wallet"),
        ],
    )


def sample_story() -> Story:
    return Story(
        made_at=datetime(2026, 3, 2, 12, 30, tzinfo=UTC),
        commit="3f9c1d2a7b6e",
        machine="4 cores, 15 GB, Linux, Python 3.12",
        programmes=[hangzhou(), chengdu()],
        checks=CHECKS,
        notes=[Phrase("One voucher per redemption.", "每笔核销使用一张券。")],
    )


def named(programme: ProgrammeStory, name: str) -> ProgrammeStory:
    """Return the programme with each of its names replaced."""
    funder = Funder(Phrase.same(name), "government", "cash")
    edges = [
        replace(edge, source=funder) if isinstance(edge.source, Funder) else edge
        for edge in programme.money.edges
    ]
    [statement, *_] = programme.reconciliation
    strange = BreakLine(name, 100, planted=False, resolved=name)
    return replace(
        programme,
        name=Phrase.same(name),
        city=Phrase.same(name),
        city_code=name,
        source_note=Phrase.same(name),
        money=MoneyFlow(edges),
        reconciliation=[replace(statement, statement=name, breaks=[strange], result_hash=name)],
        returns=[ReturnLine(funder, 100, "bank")],
    )


def _week(redemptions: int, *, voucher_fen: int, order_fen: int) -> list[DayLine]:
    counts = [redemptions * share // 100 for share in WEEK_SHARES]
    counts[0] += redemptions - sum(counts)
    return [
        DayLine(
            date(2020, 4, 20) + timedelta(days=day),
            number,
            number * voucher_fen,
            number * order_fen,
        )
        for day, number in enumerate(counts)
    ]


def _statement(
    statement_format: str, day: date, rows: int, matched: int, breaks: list[BreakLine]
) -> ReconciliationLine:
    return ReconciliationLine(
        statement=f"{day:%Y%m%d}-01",
        format="ecny-daily" if statement_format == "ecny-daily" else "bank-statement",
        day=day,
        rows=rows,
        matched=matched,
        breaks=breaks,
        result_hash="9d1f6a0b3c5e7d2484c1b0aa6e5f9382",
    )
