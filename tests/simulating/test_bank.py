"""The simulated bank, as long as nobody commands it to do wrong."""

from datetime import timedelta

from tests.callers import Caller
from tests.simulating.asking import ACCOUNT, AT, DAY, deposit, give, payouts, statement, states


async def test_money_arrives_and_leaves_once(bank: Caller) -> None:
    first = await deposit(bank)
    assert first.status == 201
    assert first.body["balance_fen"] == 10_000
    again = await deposit(bank)
    assert (again.status, again.body) == (200, first.body)
    (await deposit(bank, 10_001)).assert_problem(409, "number_reused")
    (await deposit(bank, counterparty="Mallory")).assert_problem(409, "number_reused")
    body = {"account": ACCOUNT, "reference": "back", "amount_fen": 4_000, "counterparty": "Bureau"}
    left = await bank.post("/v1/transfers", body)
    assert (left.status, left.body["balance_fen"], left.body["direction"]) == (201, 6_000, "out")
    assert (await bank.post("/v1/transfers", body)).status == 200
    too_much = await bank.post("/v1/transfers", body | {"reference": "x", "amount_fen": 6_001})
    too_much.assert_problem(409, "insufficient_balance")
    assert (await bank.get(f"/v1/accounts/{ACCOUNT}")).body["balance_fen"] == 6_000
    assert (await bank.get("/v1/accounts/other")).status == 404


async def test_a_payout_file_is_paid_once(bank: Caller) -> None:
    await deposit(bank)
    file = payouts("b-1", ("p-1", 1_000), ("p-2", 2_000))
    first = await give(bank, file)
    assert first.body == {
        "batch": "b-1",
        "account": ACCOUNT,
        "payouts": 2,
        "total_fen": 3_000,
        "taken": 2,
    }
    assert (await give(bank, file)).body["taken"] == 0
    paid = (await bank.get("/v1/payouts/p-1")).body
    assert (paid["state"], paid["amount_fen"], paid["payee_account"]) == ("paid", 1_000, "shop-p-1")
    assert (await bank.get(f"/v1/accounts/{ACCOUNT}")).body["balance_fen"] == 7_000


async def test_a_number_is_paid_once_in_whatever_file_it_comes(bank: Caller) -> None:
    await deposit(bank)
    await give(bank, payouts("b-1", ("p-1", 1_000)))
    assert (await give(bank, payouts("b-2", ("p-1", 1_000), ("p-2", 5)))).body["taken"] == 1
    # Another amount under the same number: nothing of that file is taken.
    refused = await give(bank, payouts("b-3", ("p-3", 7), ("p-1", 1_001)))
    refused.assert_problem(409, "number_reused")
    refused = await give(bank, payouts("b-1", ("p-4", 1_000)))
    refused.assert_problem(409, "number_reused")
    await states(
        bank,
        "/v1/payouts",
        {"p-1": "paid", "p-2": "paid", "p-3": "none", "p-4": "none"},
    )
    # The refused batch was not kept either.
    assert (await give(bank, payouts("b-3", ("p-3", 7)))).body["taken"] == 1


async def test_payouts_beyond_the_balance_are_rejected(bank: Caller) -> None:
    await deposit(bank, 1_500)
    await give(bank, payouts("b-1", ("p-1", 1_000), ("p-2", 501), ("p-3", 500)))
    await states(bank, "/v1/payouts", {"p-1": "paid", "p-2": "rejected", "p-3": "paid"})
    assert (await bank.get("/v1/payouts/p-2")).body["reason"] == "insufficient balance"


async def test_a_file_that_is_not_sound_is_refused_whole(bank: Caller) -> None:
    await deposit(bank)
    spoilt = payouts("b-1", ("p-1", 1_000)).replace(b",1000,", b",1001,")
    problem = (await give(bank, spoilt)).assert_problem(422, "file_refused")
    assert any("sha256" in fault for fault in problem["faults"])
    for content in (b"", b"\xff", b"x" * 10_000):
        (await give(bank, content)).assert_problem(422, "file_refused")
    await states(bank, "/v1/payouts", {"p-1": "none"})


async def test_statements_follow_each_other(bank: Caller) -> None:
    await deposit(bank)
    await give(bank, payouts("b-1", ("p-1", 1_000)))
    tomorrow = "2027-05-01T16:00:00Z"  # midnight in the city
    await deposit(bank, 50, reference="late", instructed_at=tomorrow)

    today = await statement(bank)
    told = [
        (row.direction, row.reference, row.amount_fen, row.balance_fen) for _, row in today.rows
    ]
    assert told == [("in", "treasury", 10_000, 10_000), ("out", "p-1", 1_000, 9_000)]
    assert (today.account, today.opening_fen, today.closing_fen) == (ACCOUNT, 0, 9_000)
    later = await statement(bank, DAY + timedelta(days=1))
    assert (later.opening_fen, later.closing_fen) == (9_000, 9_050)
    empty = await statement(bank, DAY + timedelta(days=7))
    assert (empty.opening_fen, empty.closing_fen, empty.rows) == (9_050, 9_050, ())
    assert (await statement(bank, DAY - timedelta(days=1))).closing_fen == 0
    assert (await bank.get(f"/v1/statements/other/{DAY}")).status == 404


async def test_the_clock_follows_whoever_is_ahead_and_never_goes_back(bank: Caller) -> None:
    early = (await bank.get("/simulate/clock")).body
    assert early["now"] < "2027"
    assert (await deposit(bank)).body["booked_on"] == DAY.isoformat()
    moved = await bank.post("/simulate/clock", {"now": "2027-05-02T15:59:59.999Z"})
    assert moved.body["day"] == "2027-05-02" or moved.body["now"] >= "2027-05-02T16:00:00"
    back = await bank.post("/simulate/clock", {"now": AT})
    assert back.body["now"] >= moved.body["now"]
    late = await deposit(bank, reference="late")
    assert late.body["booked_on"] >= "2027-05-02"
