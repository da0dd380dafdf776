"""Faults on command: each does what it says, so often as it says, and tells that it was met."""

import asyncio
import time

import aiohttp
import pytest

from tests.callers import Caller
from tests.simulating.asking import (
    WALLET,
    command,
    deposit,
    give,
    pay,
    payouts,
    refund,
    states,
    top_up,
)

PATIENCE = aiohttp.ClientTimeout(total=0.25)


def impatient(caller: Caller) -> Caller:
    """Return a caller that gives up soon."""
    http = aiohttp.ClientSession(caller.http._base_url, timeout=PATIENCE)
    return Caller(http, None)


async def _is_silent(caller: Caller, *numbers: str) -> None:
    hurried = impatient(caller)
    for number in numbers:
        with pytest.raises(TimeoutError):
            await pay(hurried, number)
    await hurried.http.close()


async def _balance(operator: Caller) -> int:
    return int((await operator.get(f"/v1/wallets/{WALLET}")).body["balance_fen"])


async def test_silence_does_it_and_lose_does_not(operator: Caller) -> None:
    await top_up(operator)
    await command(operator, {"on": "payments", "do": "silence"}, {"on": "payments", "do": "lose"})
    await _is_silent(operator, "e-1", "e-2")
    await states(operator, "/v1/payments", {"e-1": "confirmed", "e-2": "none"})
    assert await _balance(operator) == 9_300
    assert (await pay(operator, "e-1")).body["state"] == "confirmed"
    assert (await pay(operator, "e-2")).body["state"] == "confirmed"
    assert await _balance(operator) == 8_600


async def test_delay_answers_late_and_process_does_late(operator: Caller) -> None:
    await top_up(operator)
    await command(
        operator,
        {"on": "payments", "do": "delay", "delay_ms": 200},
        {"on": "payments", "do": "process", "delay_ms": 200},
    )
    began_s = time.monotonic()
    assert (await pay(operator, "e-1")).body["state"] == "confirmed"
    assert time.monotonic() - began_s >= 0.2
    taken = await pay(operator, "e-2")
    assert (taken.body["state"], taken.body["completed_at"]) == ("processing", None)
    assert await _balance(operator) == 9_300
    assert (await pay(operator, "e-2")).body["state"] == "processing"
    await asyncio.sleep(0.25)
    done = (await operator.get("/v1/payments/e-2")).body
    assert done["state"] == "confirmed"
    assert await _balance(operator) == 8_600
    assert (await pay(operator, "e-2")).body == done


async def test_reject_and_duplicate(operator: Caller) -> None:
    await top_up(operator)
    await command(
        operator,
        {"on": "payments", "do": "reject"},
        {"on": "payments", "do": "duplicate"},
        {"on": "refunds", "do": "reject"},
        {"on": "refunds", "do": "duplicate"},
    )
    assert (await pay(operator, "e-1")).body["reason"] == "rejected on command"
    assert (await pay(operator, "e-1")).body["state"] == "rejected", "for good"
    assert (await pay(operator, "e-2")).body["state"] == "confirmed"
    assert await _balance(operator) == 9_300
    assert (await refund(operator, "r-1", "e-2")).body["state"] == "rejected"
    assert (await refund(operator, "r-2", "e-2")).body["state"] == "confirmed"
    assert await _balance(operator) == 10_000


async def test_queries_can_be_silent_too(operator: Caller) -> None:
    await top_up(operator)
    await pay(operator, "e-1")
    await command(operator, {"on": "queries", "do": "silence"}, {"on": "queries", "do": "lose"})
    hurried = impatient(operator)
    for number in ("nobody", "e-1"):
        with pytest.raises(TimeoutError):
            await hurried.get(f"/v1/payments/{number}")
    await hurried.http.close()
    assert (await operator.get("/v1/payments/e-1")).body["state"] == "confirmed"


async def test_a_fault_is_met_so_often_and_by_whom_it_names(operator: Caller) -> None:
    await top_up(operator)
    await command(
        operator,
        {"on": "payments", "do": "reject", "times": 2, "every": 3},
        {"on": "payments", "do": "reject", "match": "shop-2", "times": 5},
    )
    told = [(await pay(operator, f"e-{n}", 1)).body["state"] for n in range(9)]
    assert told == [
        *["confirmed"] * 2,
        "rejected",
        *["confirmed"] * 2,
        "rejected",
        *["confirmed"] * 3,
    ]
    assert (await pay(operator, "m-1", payee_wallet="shop-2")).body["state"] == "rejected"
    view = (await operator.get("/simulate/faults")).body["items"]
    assert [(fault["hits"], fault["left"]) for fault in view] == [(2, 0), (1, 4)]
    assert (await operator.send("DELETE", "/simulate/faults")).status == 204
    assert (await operator.get("/simulate/faults")).body == {"items": []}
    assert (await pay(operator, "m-2", payee_wallet="shop-2")).body["state"] == "confirmed"


async def test_faults_of_a_payout_file_and_of_its_lines(bank: Caller) -> None:
    await deposit(bank)
    file = payouts("b-1", *((f"p-{n}", 100) for n in range(5)))
    await command(
        bank,
        {"on": "payout_files", "do": "reject"},
        {"on": "payout_files", "do": "lose"},
        {"on": "payout_files", "do": "silence"},
        {"on": "payouts", "do": "reject", "match": "p-1"},
        {"on": "payouts", "do": "lose", "match": "shop-p-2"},
        {"on": "payouts", "do": "process", "delay_ms": 60_000, "match": "merchant-p-3"},
    )
    problem = (await give(bank, file)).assert_problem(422, "file_refused")
    assert problem["faults"] == ["rejected on command"]
    hurried = impatient(bank)
    with pytest.raises(TimeoutError):
        await give(hurried, file)
    await states(bank, "/v1/payouts", dict.fromkeys(("p-0", "p-1", "p-2"), "none"))
    with pytest.raises(TimeoutError):
        await give(hurried, file)
    await hurried.http.close()
    taken = {"p-0": "paid", "p-1": "rejected", "p-2": "none", "p-3": "processing", "p-4": "paid"}
    await states(bank, "/v1/payouts", taken)
    assert (await give(bank, file)).body["taken"] == 1, "the line that was lost"
    # The bank's day goes on, and what was processing is paid.
    await bank.post("/simulate/clock", {"now": "2027-05-01T02:02:00Z"})
    await states(bank, "/v1/payouts", taken | {"p-2": "paid", "p-3": "paid"})


@pytest.mark.parametrize(
    ("fault", "field"),
    [
        ({"on": "payouts", "do": "lose"}, "on"),
        ({"on": "statements", "do": "lose"}, "on"),
        ({"on": "queries", "do": "reject"}, "do"),
        ({"on": "payments", "do": "explode"}, "do"),
        ({"on": "payments", "do": "delay"}, None),
        ({"on": "payments", "do": "silence", "delay_ms": 5}, None),
        ({"on": "payments", "do": "delay", "delay_ms": 60_001}, "delay_ms"),
        ({"on": "payments", "do": "lose", "times": 0}, "times"),
        ({"on": "payments", "do": "lose", "times": 10**9}, "times"),
        ({"on": "payments", "do": "lose", "every": 0}, "every"),
    ],
)
async def test_what_cannot_be_commanded(
    operator: Caller, fault: dict[str, object], field: str | None
) -> None:
    good = {"on": "payments", "do": "lose"}
    answer = await operator.post("/simulate/faults", {"faults": [good, fault]})
    problem = answer.assert_problem(422, "invalid_request")
    assert problem["fields"][0]["loc"][:3] == ["body", "faults", 1]
    assert field is None or problem["fields"][0]["loc"][3] == field
    assert (await operator.get("/simulate/faults")).body == {"items": []}, "the good one stayed"


async def test_commands_are_bounded(operator: Caller) -> None:
    many = {"faults": [{"on": "payments", "do": "lose"}] * 100}
    for _ in range(10):
        assert (await operator.post("/simulate/faults", many)).status == 201
    (await operator.post("/simulate/faults", many)).assert_problem(422, "invalid_request")
