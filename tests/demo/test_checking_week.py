"""Each check of the week finds the fault it is for, and nothing else does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from services.demo.checking_week import Holding, check_end, check_statements, check_tills
from services.demo.reconciling import Difference, Reconciled
from services.demo.till import Redeemed, TillLog

OVER = Difference("missing_in_ledger", "ref-1", 880)
SHORT = Difference("amount", "ref-2", -20)


def sound_log() -> TillLog:
    log = TillLog()
    for number in (1, 2, 3):
        log.redeemed.append(
            Redeemed(f"settlement-{number}", "till-1", f"voucher-{number}", 1000, 4000)
        )
    log.undone["voucher-9"] = "reversed"
    return log


def records(log: TillLog) -> list[dict[str, Any]]:
    return [
        {
            "settlement_id": one.settlement_id,
            "voucher_id": one.voucher_id,
            "terminal_id": one.terminal_id,
            "voucher_amount_fen": one.voucher_fen,
            "order_amount_fen": one.order_fen,
        }
        for one in log.redeemed
    ]


def broken(log: TillLog, live: list[dict[str, Any]]) -> dict[str, int]:
    return {c.name: c.offenders for c in check_tills(log, live) if c.offenders}


def test_what_tills_were_told_and_what_the_books_hold_is_the_same() -> None:
    log = sound_log()

    assert broken(log, records(log)) == {}


def lose_a_redemption(_log: TillLog, live: list[dict[str, Any]]) -> None:
    live.pop()


def book_another_amount(_log: TillLog, live: list[dict[str, Any]]) -> None:
    live[0]["voucher_amount_fen"] += 1


def book_what_nobody_was_told(_log: TillLog, live: list[dict[str, Any]]) -> None:
    live.append({**live[0], "settlement_id": "settlement-7", "voucher_id": "voucher-7"})


def take_a_voucher_twice(log: TillLog, live: list[dict[str, Any]]) -> None:
    log.redeemed.append(replace(log.redeemed[0], settlement_id="settlement-8"))
    live.append({**live[0], "settlement_id": "settlement-8"})


def redeem_what_was_undone(log: TillLog, _live: list[dict[str, Any]]) -> None:
    log.undone["voucher-1"] = "never_happened"


def contradict(log: TillLog, _live: list[dict[str, Any]]) -> None:
    log.broken.append({"what": "another answer to the same request"})


def leave_undecided(log: TillLog, _live: list[dict[str, Any]]) -> None:
    log.undecided.append("p1-77")


@pytest.mark.parametrize(
    ("fault", "found_by"),
    [
        (lose_a_redemption, "till_every_yes_is_in_the_books"),
        (book_another_amount, "till_every_yes_is_in_the_books"),
        (book_what_nobody_was_told, "till_the_books_hold_nothing_else"),
        (take_a_voucher_twice, "till_no_voucher_was_taken_twice"),
        (redeem_what_was_undone, "till_what_was_undone_stays_undone"),
        (contradict, "till_answers_agree"),
        (leave_undecided, "till_everybody_was_told"),
    ],
)
def test_a_fault_at_the_tills_is_found(
    fault: Callable[[TillLog, list[dict[str, Any]]], None], found_by: str
) -> None:
    log = sound_log()
    live = records(log)
    fault(log, live)

    assert broken(log, live) == {found_by: 1}


def statement() -> Reconciled:
    return Reconciled(
        "bank-statement",
        date(2026, 5, 2),
        "statement-1",
        rows=30,
        matched=28,
        result_hash="aa",
        hash_again="aa",
        planted=[OVER, SHORT],
        found=[(SHORT, "accepted"), (OVER, "posted")],
    )


@pytest.mark.parametrize(
    ("changes", "found_by"),
    [
        ({}, {}),
        ({"planted": [], "found": []}, {}),
        ({"found": [(OVER, "posted")]}, {"statement_planted_differences_are_found": 1}),
        ({"planted": [OVER]}, {"statement_nothing_else_is_found": 1}),
        (
            {"found": [(OVER, "posted"), (replace(SHORT, difference_fen=-21), "posted")]},
            {
                "statement_planted_differences_are_found": 1,
                "statement_nothing_else_is_found": 1,
            },
        ),
        (
            {"found": [(OVER, "posted"), (OVER, "posted"), (SHORT, "posted")]},
            {"statement_nothing_else_is_found": 1},
        ),
        ({"hash_again": "bb"}, {"statement_results_repeat": 1}),
        (
            {"found": [(OVER, "proposed"), (SHORT, "posted")]},
            {"statement_differences_are_settled": 1},
        ),
    ],
)
def test_planted_and_found_are_compared_exactly(
    changes: dict[str, Any], found_by: dict[str, int]
) -> None:
    checks = check_statements([statement(), replace(statement(), **changes)])

    assert {check.name: check.offenders for check in checks if check.offenders} == found_by


@pytest.mark.parametrize(
    ("code", "offenders"),
    [
        ("payable:m", 1),
        ("outstanding:city:d", 1),
        ("transit:b", 1),
        ("pledge:pool", 1),
        ("bank:main", 0),
        ("suspense_over:main", 0),
    ],
)
def test_what_is_owed_in_the_end_is_found(code: str, offenders: int) -> None:
    balances = [
        {"code": code, "debit_fen": 0, "credit_fen": 5},
        {"code": "return:city", "debit_fen": 0, "credit_fen": 0},
    ]

    [owed, _] = check_end(balances, [])

    assert owed.offenders == offenders


@pytest.mark.parametrize(("held_fen", "offenders"), [(100, 0), (101, 1), (140, 1)])
def test_money_that_is_not_where_the_books_say_is_found(held_fen: int, offenders: int) -> None:
    [_, where] = check_end([], [Holding("bank:main", held_fen, booked_fen=140, parked_fen=40)])

    assert where.offenders == offenders
