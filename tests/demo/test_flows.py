"""The flow of the money follows from the journals of a book, and adds up or is refused."""

from collections import Counter

import pytest

from services.demo.flows import Moved, money_flow
from services.demo.report.story import Edge, Funder, MoneyFlow, Phrase, Stop
from shared.invariant import InvariantViolatedError

CITY = Funder(Phrase.same("City"), "government", "cash")
POOL = Funder(Phrase.same("Pool"), "merchant_pool", "pledge")
FUNDERS = {"city": CITY, "pool": POOL}

# Ten packs of 100 fen, 70 of the city and 30 of the pool; the city has put in 100 fen more.
FUNDED = [
    Moved("J1", "bank:main", "available:city", 800),
    Moved("J2", "pledge:pool", "available:pool", 300),
    Moved("J4", "available:city", "reserved:city:d", 700),
    Moved("J4", "available:pool", "reserved:pool:d", 300),
]
# Eight are claimed, five redeemed, one of them reversed before it was settled, three expire.
CLAIMED = [
    Moved("J6", "reserved:city:d", "outstanding:city:d", 560),
    Moved("J6", "reserved:pool:d", "outstanding:pool:d", 240),
]
CAPTURED = [
    Moved("J8", "outstanding:city:d", "held:city:d", 70),
    Moved("J8", "outstanding:pool:d", "held:pool:d", 30),
    Moved("J10", "held:city:d", "payable:m", 70),
    Moved("J10", "held:pool:d", "payable:m", 30),
    Moved("J10", "outstanding:city:d", "payable:m", 280),
    Moved("J10", "outstanding:pool:d", "payable:m", 120),
    Moved("J11", "payable:m", "pledge:pool", 150),
    Moved("J21", "payable:m", "outstanding:city:d", 70),
    Moved("J21", "pledge:pool", "outstanding:pool:d", 30),
]
PAID = [
    Moved("J14", "payable:m", "transit:b", 280),
    Moved("J15", "transit:b", "bank:main", 280),
]
ENDED = [
    Moved("J18", "outstanding:city:d", "return:city", 280),
    Moved("J18", "outstanding:pool:d", "return:pool", 120),
    Moved("J5", "reserved:city:d", "available:city", 140),
    Moved("J5", "reserved:pool:d", "available:pool", 60),
    Moved("J33", "available:city", "return:city", 240),
    Moved("J33", "available:pool", "return:pool", 60),
    Moved("J19", "return:city", "bank:main", 520),
    Moved("J20", "return:pool", "pledge:pool", 180),
]


def told(money: MoneyFlow) -> Counter[tuple[Funder | Stop, Stop]]:
    sums: Counter[tuple[Funder | Stop, Stop]] = Counter()
    for edge in money.edges:
        sums[edge.source, edge.target] += edge.amount_fen
    return sums


def test_a_programme_that_has_ended_is_told_to_the_fen() -> None:
    money = money_flow([*FUNDED, *CLAIMED, *CAPTURED, *PAID, *ENDED], FUNDERS)

    assert told(money) == {
        (CITY, Stop.ALLOCATED): 700,
        (CITY, Stop.RETURNED): 100,
        (POOL, Stop.ALLOCATED): 300,
        (Stop.ALLOCATED, Stop.CLAIMED): 800,
        (Stop.ALLOCATED, Stop.UNCLAIMED): 200,
        (Stop.CLAIMED, Stop.REDEEMED): 400,
        (Stop.CLAIMED, Stop.EXPIRED): 400,
        (Stop.REDEEMED, Stop.ABSORBED): 120,
        (Stop.REDEEMED, Stop.PAID_BANK): 280,
        (Stop.EXPIRED, Stop.RETURNED): 280,
        (Stop.EXPIRED, Stop.UNDRAWN): 120,
        (Stop.UNCLAIMED, Stop.RETURNED): 140,
        (Stop.UNCLAIMED, Stop.UNDRAWN): 60,
    }
    assert Edge(Stop.REDEEMED, Stop.PAID_BANK, 280, CITY) in money.edges


def test_money_that_is_under_way_is_told_where_it_is() -> None:
    money = money_flow([*FUNDED, *CLAIMED, *CAPTURED], FUNDERS)

    assert told(money) == {
        (CITY, Stop.ALLOCATED): 700,
        (CITY, Stop.BUDGET): 100,
        (POOL, Stop.ALLOCATED): 300,
        (Stop.ALLOCATED, Stop.CLAIMED): 800,
        (Stop.ALLOCATED, Stop.UNCLAIMED): 200,
        (Stop.CLAIMED, Stop.REDEEMED): 400,
        (Stop.CLAIMED, Stop.UNUSED): 400,
        (Stop.REDEEMED, Stop.ABSORBED): 120,
        (Stop.REDEEMED, Stop.UNPAID): 280,
        (Stop.UNCLAIMED, Stop.BUDGET): 200,
    }


def test_digital_yuan_is_paid_when_it_is_redeemed_and_taken_back_when_reversed() -> None:
    moved = [
        Moved("J1", "bank:main", "available:city", 700),
        Moved("J2", "pledge:pool", "available:pool", 300),
        Moved("J4", "available:city", "reserved:city:d", 700),
        Moved("J4", "available:pool", "reserved:pool:d", 300),
        Moved("J6", "reserved:city:d", "outstanding:city:d", 700),
        Moved("J6", "reserved:pool:d", "outstanding:pool:d", 300),
        Moved("J8", "outstanding:city:d", "held:city:d", 140),
        Moved("J8", "outstanding:pool:d", "held:pool:d", 60),
        Moved("J17", "held:city:d", "payable:m", 140),
        Moved("J17", "held:pool:d", "payable:m", 60),
        Moved("J17", "payable:m", "wallet:main", 140),
        Moved("J17", "payable:m", "pledge:pool", 60),
        Moved("J23e", "wallet:main", "return:city", 70),
        Moved("J23e", "pledge:pool", "return:pool", 30),
    ]

    assert told(money_flow(moved, FUNDERS)) == {
        (CITY, Stop.ALLOCATED): 700,
        (POOL, Stop.ALLOCATED): 300,
        (Stop.ALLOCATED, Stop.CLAIMED): 1000,
        (Stop.CLAIMED, Stop.REDEEMED): 100,
        (Stop.CLAIMED, Stop.EXPIRED): 100,
        (Stop.CLAIMED, Stop.UNUSED): 800,
        (Stop.REDEEMED, Stop.PAID_ECNY): 70,
        (Stop.REDEEMED, Stop.ABSORBED): 30,
        (Stop.EXPIRED, Stop.BUDGET): 100,
    }


@pytest.mark.parametrize(
    "lost",
    [
        Moved("J6", "reserved:city:d", "outstanding:city:d", 5_000),
        Moved("J15", "transit:b", "bank:main", 5_000),
        Moved("J19", "return:city", "bank:main", 5_000),
    ],
)
def test_a_book_from_which_money_is_missing_tells_no_flow(lost: Moved) -> None:
    with pytest.raises(InvariantViolatedError):
        money_flow([*FUNDED, *CLAIMED, *CAPTURED, *PAID, *ENDED, lost], FUNDERS)
