"""The report's text: exact, complete in both languages, and deaf to what names contain."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from string import Formatter

import pytest

from services.demo.checking import check_log
from services.demo.checking_week import check_end, check_statements, check_tills
from services.demo.claim_log import ClaimLog
from services.demo.report.check_texts import GROUPS, IN_CHINESE
from services.demo.report.drawing import ticks
from services.demo.report.figures import percent
from services.demo.report.page import render
from services.demo.report.story import (
    CheckLine,
    Edge,
    Funder,
    Leverage,
    MoneyFlow,
    Phrase,
    Stop,
    Story,
)
from services.demo.report.texts import TEXTS
from services.demo.till import TillLog
from shared.bookkeeping.invariants import GATES_NAME, queries
from shared.invariant import InvariantViolatedError
from tests.demo.stories import CITY, POOL, hangzhou, named, sample_story

HOSTILE = (
    """</title></style></script><script>alert("x")</script><img src=x onerror='a()'>{{ 7*7 }}&"""
)
CHINESE = re.compile(r"[\u4e00-\u9fff]")


class Texts(HTMLParser):
    """What a reader sees, by the language of the part of the page it stands in."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.shown: dict[str, list[str]] = {"en": [], "zh-Hans": []}
        self.tags: list[str] = []
        self._language: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "main":
            self._language = dict(attrs)["lang"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "main":
            self._language = None

    def handle_data(self, data: str) -> None:
        if self._language is not None and data.strip():
            self.shown[self._language].append(" ".join(data.split()))


def texts_of(story: Story) -> dict[str, list[str]]:
    return Texts(render(story)).shown


def test_money_is_told_to_the_fen_in_both_languages() -> None:
    story = sample_story()
    edges = [
        Edge(CITY, Stop.ALLOCATED, 123_456_789),
        Edge(Stop.ALLOCATED, Stop.CLAIMED, 123_456_788),
        Edge(Stop.ALLOCATED, Stop.UNCLAIMED, 1),
        Edge(Stop.UNCLAIMED, Stop.RETURNED, 1),
        Edge(Stop.CLAIMED, Stop.REDEEMED, 123_456_788),
        Edge(Stop.REDEEMED, Stop.PAID_BANK, 123_456_705),
        Edge(Stop.REDEEMED, Stop.UNPAID, 83),
    ]
    shown = texts_of(
        replace(story, programmes=[replace(hangzhou(), money=MoneyFlow(edges), returns=[])])
    )

    for texts in shown.values():
        assert texts.count("¥1,234,567.05") >= 3  # the card, the picture, the list and the table
        assert "¥1,234,567.88" in texts
        assert "¥0.83" in texts
        assert "¥0.01" in texts
    assert "¥0.83 still owed to them" in shown["en"]


def test_the_figures_of_the_drop_and_of_reconciliation_are_told() -> None:
    english = texts_of(sample_story())["en"]

    assert "3.42 s" in english
    assert "5,334 claim requests in the busiest second" in english
    assert "70.2 % of the ¥250,000.00 claimed, in 17,550 redemptions" in english
    assert "not sold out" in english
    assert {"4.00", "10.73", "9.73", "3.75", "5.16", "4.16"} <= set(english)
    assert "3 planted, 3 of them found, 0 others found" in english
    assert {"+¥88.00", "−¥12.50", "−¥340.00"} <= set(english)  # noqa: RUF001 - a minus sign
    assert "All 10 checks hold" in english
    parked = "Booked to suspense until they are explained: +¥88.00 over (长款), ¥0.00 short (短款)."
    assert parked in english


def test_the_headline_figures_follow_from_the_flow() -> None:
    english = texts_of(sample_story())["en"]

    headlines = [tuple(english[at : at + 3]) for at in range(len(english) - 2)]
    expected = (
        ("Packs on offer", "5,000", "¥50.00 each, for 20,000 residents"),
        ("Paid to shops", "¥140,400.00", "¥0.00 still owed to them"),
        ("Went back to the funders", "¥74,500.00", "of ¥250,000.00 put in or promised"),
        ("Paid to shops", "¥184,000.00", "¥0.00 still owed to them"),
        ("Went back to the funders", "¥56,000.00", "of ¥240,000.00 put in or promised"),
        ("Differences found", "2", "2 were planted by the demo to be found"),
    )
    for headline in expected:
        assert headline in headlines


def test_a_planted_difference_that_was_not_found_is_told() -> None:
    programme = hangzhou()
    clean, statement = programme.reconciliation
    overlooked = replace(statement.breaks[0], found=False)
    with_it = replace(statement, breaks=[overlooked, *statement.breaks[1:]])
    story = replace(
        sample_story(), programmes=[replace(programme, reconciliation=[clean, with_it])]
    )

    english = texts_of(story)["en"]

    assert "3 planted, 2 of them found, 0 others found" in english
    assert "not found" in english


def test_an_offender_is_told_at_the_top_and_in_its_line() -> None:
    checks = [CheckLine("I5_books_balance", "Debits equal credits.", 3), *sample_story().checks]

    english = texts_of(replace(sample_story(), checks=checks))["en"]

    assert "1 of 11 checks found something wrong" in english
    assert "3 offenders" in english
    assert not any("checks hold" in text for text in english)


def test_hostile_names_are_shown_and_never_obeyed() -> None:
    story = replace(
        sample_story(),
        programmes=[named(hangzhou(), HOSTILE)],
        machine=HOSTILE,
        commit=HOSTILE,
        checks=[CheckLine(HOSTILE, HOSTILE, 1)],
        notes=[Phrase.same(HOSTILE)],
    )

    page = render(story)
    read = Texts(page)

    assert read.tags.count("script") == 1
    assert read.tags.count("img") == 0
    assert "<script>alert" not in page
    assert "<img" not in page
    assert " ".join(HOSTILE.split()) in read.shown["en"]
    assert "49" not in {text.strip("&") for text in read.shown["en"]}


def _refused_flows() -> Iterator[tuple[str, list[Edge]]]:
    whole = list(hangzhou().money.edges)
    yield (
        "17550000 fen came to redeemed",
        [*whole[:-4], replace(whole[-4], amount_fen=1), *whole[-3:]],
    )
    yield "fen came to claimed", [edge for edge in whole if edge.target is not Stop.EXPIRED]
    yield "nobody put money in", []
    yield "less than nothing", [Edge(CITY, Stop.BUDGET, 2), Edge(POOL, Stop.BUDGET, -1)]
    yield "where it stays", [*whole, Edge(Stop.PAID_BANK, Stop.RETURNED, 5)]
    loop = [Edge(Stop.CLAIMED, Stop.ALLOCATED, 5), Edge(Stop.ALLOCATED, Stop.CLAIMED, 5)]
    yield "money goes back", [*whole, *loop]


@pytest.mark.parametrize(("reason", "edges"), list(_refused_flows()))
def test_money_that_does_not_add_up_is_refused(reason: str, edges: list[Edge]) -> None:
    with pytest.raises(InvariantViolatedError, match=reason):
        MoneyFlow(edges)


def test_leverage_of_nothing_is_refused() -> None:
    with pytest.raises(InvariantViolatedError):
        Leverage(voucher_fen=0, min_spend_fen=0, order_fen=0, paid_fen=0)


def test_a_programme_in_which_nothing_happened_is_told() -> None:
    quiet = replace(
        hangzhou(),
        claims_per_second=[],
        stock=[],
        latency=[],
        sold_out_after_s=None,
        redemptions_by_day=[],
        money=MoneyFlow([Edge(CITY, Stop.BUDGET, 1)]),
        leverage=None,
        reconciliation=[],
        returns=[],
    )

    english = texts_of(replace(sample_story(), programmes=[quiet], checks=[], commit=None))["en"]

    expected = {"Nobody asked for a pack.", "Nothing was redeemed.", "No statement came."}
    assert expected | {"Nothing went back.", "not recorded"} <= set(english)


def test_the_page_asks_nobody_for_anything() -> None:
    page = render(sample_story())

    assert not re.search(r"https?://", page)
    assert not re.search(r"\bsrc=|@import|url\(", page)
    assert page.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert "default-src &#39;none&#39;" in page


def test_identities_are_unique_and_every_picture_says_what_it_shows() -> None:
    page = render(sample_story())
    identities = re.findall(r'\bid="([^"]+)"', page)

    assert len(identities) == len(set(identities))
    for picture in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert 'role="img"' in picture
        title, says = re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', picture)
        assert re.search(f'<title id="{title}">[^<]+</title>', picture)
        assert re.search(f'<desc id="{says}">[^<]+</desc>', picture)
    for target in re.findall(r'href="#([^"]+)"', page):
        assert target in identities


@pytest.mark.parametrize("key", TEXTS)
def test_both_languages_say_the_same(key: str) -> None:
    english, chinese = TEXTS[key]
    formatter = Formatter()
    values = [
        {name for _, name, *_ in formatter.parse(text) if name} for text in (english, chinese)
    ]

    assert english.strip()
    assert chinese.strip()
    assert values[0] == values[1]
    if key not in {"language", "over", "short", "parked"}:
        assert not CHINESE.search(english)
    if key not in {"list_and", "list_comma", "group_count", "matched_of"}:
        assert CHINESE.search(chinese)


def test_chinese_pages_keep_no_english_sentence() -> None:
    chinese = texts_of(sample_story())["zh-Hans"]

    names = {check.name for check in sample_story().checks}
    english = [
        text for text in chinese if re.search(r"[a-z]+ [a-z]+ [a-z]+", text) and text not in names
    ]
    assert english == []


def test_every_invariant_has_a_heading_and_stands_in_chinese() -> None:
    of_the_books = [query.name for query in queries()]
    of_the_logs = [
        *check_log(ClaimLog(), {}, 0),
        *check_tills(TillLog(), []),
        *check_statements([]),
        *check_end([], []),
    ]
    names = {*of_the_books, *(check.name for check in of_the_logs), GATES_NAME}

    assert names - set(IN_CHINESE) == set()
    assert {name.partition("_")[0] for name in names} <= set(GROUPS)


def test_an_unknown_check_is_told_in_its_own_words() -> None:
    unknown = CheckLine("Z1_of_tomorrow", "What nobody has put into Chinese yet.", 0)

    shown = texts_of(replace(sample_story(), checks=[unknown]))

    for texts in shown.values():
        assert "What nobody has put into Chinese yet." in texts


def test_funders_of_one_name_are_told_apart() -> None:
    other = Funder(CITY.name, "bank", "pledge")
    money = MoneyFlow([Edge(CITY, Stop.BUDGET, 200), Edge(other, Stop.BUDGET, 300)])

    english = texts_of(replace(sample_story(), programmes=[replace(hangzhou(), money=money)]))["en"]

    assert {"¥2.00", "¥3.00", "¥5.00"} <= set(english)


@pytest.mark.parametrize(
    ("high", "marks"),
    [
        (4, [0, 1, 2, 3, 4]),
        (5_334, [0, 2_000, 4_000, 6_000]),
        (0.3, [0, 0.1, 0.2, 0.3]),
        (100, [0, 50, 100]),
    ],
)
def test_axes_have_round_marks_that_hold_the_highest_value(high: float, marks: list[float]) -> None:
    assert ticks(high, 4) == pytest.approx(marks)


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 0, "–"), (1, 3, "33.3 %"), (99_999, 100_000, "99.9 %"), (7, 7, "100.0 %")],  # noqa: RUF001 - a dash
)
def test_the_whole_alone_is_a_hundred_percent(part: int, whole: int, told: str) -> None:
    assert percent(part, whole) == told
