"""Lies on command: the file is sound in itself, and differs from the truth exactly as was told."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared.formats import ecny_daily
from tests.callers import Caller
from tests.simulating.asking import (
    ACCOUNT,
    DAY,
    WALLET,
    daily,
    deposit,
    give,
    pay,
    payouts,
    plant,
    refund,
    statement,
    top_up,
)

ALL = [{"what": what} for what in ("omit", "extra", "amount", "duplicate", "direction")]
TYPES = {
    "omit": "missing_in_channel",
    "extra": "missing_in_ledger",
    "amount": "amount",
    "duplicate": "duplicate",
    "direction": "direction",
}
Rows = list[tuple[str, int]]


async def _wallet_rows(operator: Caller) -> Rows:
    """Return numbers and amounts as stated, money out below zero."""
    return [
        (
            row.end_to_end_no,
            row.amount_fen if row.kind in ecny_daily.INCOMING else -row.amount_fen,
        )
        for _, row in (await daily(operator)).rows
    ]


async def _account_rows(bank: Caller) -> Rows:
    return [
        (row.reference, row.amount_fen if row.direction == "in" else -row.amount_fen)
        for _, row in (await statement(bank)).rows
    ]


async def _busy_wallet(operator: Caller) -> Rows:
    await top_up(operator, 10**7)
    for number in range(20):
        await pay(operator, f"e-{number}", 500 + number)
        if number % 4 == 0:
            await refund(operator, f"r-{number}", f"e-{number}", 100 + number)
    return await _wallet_rows(operator)


async def _busy_account(bank: Caller) -> Rows:
    await deposit(bank, 10**7)
    await give(bank, payouts("b-1", *((f"p-{number}", 900 + number) for number in range(20))))
    return await _account_rows(bank)


def found(truth: Rows, stated: Rows) -> Counter[tuple[str, str, int]]:
    """Compare by number, as a reconciliation does: type, number and difference of each break."""
    booked = dict(truth)
    breaks: Counter[tuple[str, str, int]] = Counter()
    seen: set[str] = set()
    for number, fen in stated:
        if number in seen:
            breaks["duplicate", number, fen] += 1
        elif number not in booked:
            breaks["missing_in_ledger", number, fen] += 1
        elif fen == -booked[number]:
            breaks["direction", number, fen - booked[number]] += 1
        elif fen != booked[number]:
            breaks["amount", number, fen - booked[number]] += 1
        seen.add(number)
    for number in booked.keys() - seen:
        breaks["missing_in_channel", number, -booked[number]] += 1
    return breaks


def planted(told: Mapping[str, Any]) -> Counter[tuple[str, str, int]]:
    return Counter(
        (lie["type"], lie["reference"], lie["difference_fen"]) for lie in told["planted"]
    )


@pytest.mark.parametrize("seed", [0, 1, 2, 7, 2**31])
async def test_an_operator_lies_exactly_as_told(operator: Caller, seed: int) -> None:
    truth = await _busy_wallet(operator)
    balance = (await operator.get(f"/v1/wallets/{WALLET}")).body
    told = await plant(operator, WALLET, *ALL, *ALL, seed=seed)
    stated = await _wallet_rows(operator)
    assert found(truth, stated) == planted(told)
    assert {lie["what"]: lie["type"] for lie in told["planted"]} == TYPES
    net_fen = sum(fen for _, fen in stated) - sum(fen for _, fen in truth)
    assert told["difference_fen"] == net_fen
    # The same seed over the same rows, and only the file lies.
    assert await plant(operator, WALLET, *ALL, *ALL, seed=seed) == told
    assert (await operator.get(f"/v1/wallets/{WALLET}")).body == balance
    assert (await operator.send("DELETE", "/simulate/lies")).status == 204
    assert await _wallet_rows(operator) == truth


@pytest.mark.parametrize("seed", [0, 1, 2])
async def test_a_bank_lies_exactly_as_told_and_goes_on_from_there(bank: Caller, seed: int) -> None:
    truth = await _busy_account(bank)
    honest = await statement(bank)
    told = await plant(bank, ACCOUNT, *ALL, *ALL, seed=seed)
    lying = await statement(bank)
    assert found(truth, await _account_rows(bank)) == planted(told)
    assert lying.opening_fen == honest.opening_fen
    assert lying.closing_fen == honest.closing_fen + told["difference_fen"]
    later = DAY + timedelta(days=3)
    assert (await statement(bank, later)).opening_fen == lying.closing_fen
    assert (await bank.get(f"/v1/accounts/{ACCOUNT}")).body["balance_fen"] == honest.closing_fen


async def test_lies_may_be_told_one_by_one(operator: Caller) -> None:
    truth = await _busy_wallet(operator)
    told = await plant(
        operator,
        WALLET,
        {"what": "omit", "reference": "e-3"},
        {"what": "amount", "reference": "e-4", "amount_fen": 9},
        {"what": "duplicate", "reference": "r-8"},
        {"what": "direction", "reference": "move-1"},
        {"what": "extra", "direction": "in", "amount_fen": 77},
    )
    assert [(lie["stated_fen"], lie["booked_fen"]) for lie in told["planted"]] == [
        (None, -503),
        (-9, -504),
        (108, None),
        (-(10**7), 10**7),
        (77, None),
    ]
    assert found(truth, await _wallet_rows(operator)) == planted(told)
    # What is planted next takes the place of what was planted before.
    await plant(operator, WALLET, {"what": "omit", "reference": "e-1"})
    assert found(truth, await _wallet_rows(operator)) == {("missing_in_channel", "e-1", 501): 1}


@pytest.mark.parametrize(
    ("lies", "status", "code"),
    [
        ([{"what": "omit", "reference": "nobody"}], 404, "not_found"),
        ([{"what": "omit", "reference": "e-1"}] * 2, 404, "not_found"),
        ([{"what": "omit"}] * 3, 409, "too_few_rows"),
        ([{"what": "amount", "reference": "e-1", "amount_fen": 700}], 422, "invalid_request"),
        ([{"what": "extra", "reference": "e-1"}], 422, "invalid_request"),
        ([{"what": "omit", "amount_fen": 1}], 422, "invalid_request"),
        ([{"what": "omit", "direction": "in"}], 422, "invalid_request"),
        ([{"what": "forget"}], 422, "invalid_request"),
        ([], 422, "invalid_request"),
        ([{"what": "extra"}] * 101, 422, "invalid_request"),
    ],
)
async def test_what_cannot_be_lied_about(
    operator: Caller, lies: list[dict[str, object]], status: int, code: str
) -> None:
    await top_up(operator)
    await pay(operator, "e-1")
    body = {"account": WALLET, "day": DAY.isoformat(), "lies": lies}
    (await operator.post("/simulate/lies", body)).assert_problem(status, code)
    assert [number for number, _ in await _wallet_rows(operator)] == ["move-1", "e-1"]


async def test_an_empty_day_can_have_a_row_of_nothing(operator: Caller) -> None:
    await top_up(operator, instructed_at="2027-04-30T02:00:00Z")
    told = await plant(operator, WALLET, {"what": "extra"}, seed=5)
    assert found([], await _wallet_rows(operator)) == planted(told)
