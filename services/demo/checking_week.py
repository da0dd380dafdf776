"""Holding the books to what tills were told, what was planted, and what bank and wallet hold."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.demo.checking import check_of
from services.demo.played import Played
from services.demo.reconciling import Difference, Reconciled
from services.demo.till import TillLog
from services.demo.treasury import Treasury
from shared.bookkeeping.invariants import Check
from shared.errors import Json

_SETTLED = frozenset({"posted", "accepted"})
_EMPTY_IN_THE_END = (
    *("available", "reserved", "outstanding", "held", "return"),
    *("payable", "transit", "merchant_recv", "pledge"),
)


@dataclass(frozen=True, slots=True)
class Holding:
    """What an account holds by the counterparty, by the books, and what of it was parked."""

    account: str
    held_fen: int
    booked_fen: int
    parked_fen: int


def check_tills(log: TillLog, live: Sequence[Mapping[str, Any]]) -> list[Check]:
    """Compare what tills were told with the settlement records of redemptions that stand."""
    told = {
        one.settlement_id: (one.voucher_id, one.terminal_id, one.voucher_fen, one.order_fen)
        for one in log.redeemed
    }
    booked = {
        record["settlement_id"]: (
            record["voucher_id"],
            record["terminal_id"],
            record["voucher_amount_fen"],
            record["order_amount_fen"],
        )
        for record in live
    }
    vouchers = Counter(one.voucher_id for one in log.redeemed)
    undone = [record for record in live if record["voucher_id"] in log.undone]
    return [
        check_of(
            "till_every_yes_is_in_the_books",
            "Each redemption that a till was told is made stands, as it was told.",
            [{"settlement_id": s} for s in sorted(told) if booked.get(s) != told[s]],
        ),
        check_of(
            "till_the_books_hold_nothing_else",
            "No redemption stands that no till was told of.",
            [{"settlement_id": s} for s in sorted(booked.keys() - told.keys())],
        ),
        check_of(
            "till_no_voucher_was_taken_twice",
            "No voucher was redeemed by two requests.",
            [{"voucher_id": v, "times": n} for v, n in vouchers.items() if n > 1],
        ),
        check_of(
            "till_what_was_undone_stays_undone",
            "What was released, reversed or told never to have happened is not redeemed.",
            [{"voucher_id": record["voucher_id"]} for record in undone],
        ),
        check_of(
            "till_answers_agree",
            "No answer contradicts an earlier one, or the rules.",
            [dict(broken) for broken in log.broken],
        ),
        check_of(
            "till_everybody_was_told",
            "Each request had an answer that stands.",
            [{"request_no": request_no} for request_no in log.undecided],
        ),
    ]


def check_statements(statements: Iterable[Reconciled]) -> list[Check]:
    """Compare what reconciliations found with what was planted."""
    overlooked: list[dict[str, Json]] = []
    others: list[dict[str, Json]] = []
    unlike: list[dict[str, Json]] = []
    unsettled: list[dict[str, Json]] = []
    for one in statements:
        at = {"statement": one.format, "day": one.day.isoformat()}
        overlooked += [{**at, **_told(difference)} for difference in one.overlooked]
        others += [{**at, **_told(difference)} for difference in one.not_planted]
        unsettled += [{**at, **_told(d)} for d, state in one.found if state not in _SETTLED]
        if one.result_hash != one.hash_again:
            unlike.append({**at, "first": one.result_hash, "again": one.hash_again})
    return [
        check_of(
            "statement_planted_differences_are_found",
            "Each planted difference is found, with its kind, number and amount.",
            overlooked,
        ),
        check_of(
            "statement_nothing_else_is_found",
            "No difference is reported that was not planted.",
            others,
        ),
        check_of(
            "statement_results_repeat",
            "The same statement reconciled again gives the same result hash.",
            unlike,
        ),
        check_of(
            "statement_differences_are_settled",
            "Two persons have settled each difference.",
            unsettled,
        ),
    ]


def _told(difference: Difference) -> dict[str, Json]:
    return {
        "type": difference.type,
        "reference": difference.reference,
        "difference_fen": difference.difference_fen,
    }


async def holdings(
    treasury: Treasury, played: Played, balances: Iterable[Mapping[str, Any]]
) -> list[Holding]:
    """Ask bank and operator what the programme's accounts hold. Raises DeskError."""
    booked = {account["code"]: account["debit_fen"] for account in balances}
    found = []
    for account, desk, path, statement_format in (
        ("bank:main", treasury.bank, "/v1/accounts/", "bank-statement"),
        ("wallet:main", treasury.operator, "/v1/wallets/", "ecny-daily"),
    ):
        if desk is None or account not in booked:
            continue
        told = await desk.get(f"{path}{played.programme_id}")
        parked = [
            difference.difference_fen
            for one in played.reconciled
            for difference, state in one.found
            if one.format == statement_format and state == "posted"
        ]
        found.append(Holding(account, told["balance_fen"], booked[account], sum(parked)))
    return found


def check_end(balances: Iterable[Mapping[str, Any]], holdings: Iterable[Holding]) -> list[Check]:
    """Check that nothing is owed to anybody, and that the money is where the books say."""
    owed: list[dict[str, Json]] = [
        {"account": account["code"], "fen": account["credit_fen"] or account["debit_fen"]}
        for account in balances
        if account["code"].partition(":")[0] in _EMPTY_IN_THE_END
        and account["credit_fen"] + account["debit_fen"]
    ]
    return [
        check_of(
            "money_nothing_is_owed_in_the_end",
            "Shops are paid, vouchers are used or expired, and the rest went back.",
            owed,
        ),
        check_of(
            "money_is_where_the_books_say",
            "Bank and wallet hold what the books say, the differences parked there aside.",
            [
                {
                    "account": one.account,
                    "held_fen": one.held_fen,
                    "booked_fen": one.booked_fen,
                    "parked_fen": one.parked_fen,
                }
                for one in holdings
                if one.held_fen + one.parked_fen != one.booked_fen
            ],
        ),
    ]
