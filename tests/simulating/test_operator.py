"""The simulated e-CNY operator, as long as nobody commands it to do wrong."""

from datetime import timedelta

from tests.callers import Caller
from tests.simulating.asking import DAY, SHOP, WALLET, daily, pay, refund, states, top_up


async def test_a_payment_is_done_once(operator: Caller) -> None:
    await top_up(operator)
    first = await pay(operator, "e-1")
    assert first.status == 200
    assert first.body["state"] == "confirmed"
    assert first.body["completed_at"].startswith("2027-05-01T02:00:0")
    for _ in range(3):
        assert (await pay(operator, "e-1")).body == first.body
    assert (await operator.get("/v1/payments/e-1")).body == first.body
    assert (await operator.get(f"/v1/wallets/{WALLET}")).body["balance_fen"] == 9_300


async def test_a_number_stands_for_one_payment(operator: Caller) -> None:
    await top_up(operator)
    await pay(operator, "e-1")
    for said in ({"amount_fen": 701}, {"wallet": "other"}, {"payee_wallet": "other"}):
        (await pay(operator, "e-1", **said)).assert_problem(409, "number_reused")
    (await refund(operator, "e-1", "e-1")).assert_problem(409, "number_reused")
    assert (await operator.get(f"/v1/wallets/{WALLET}")).body["balance_fen"] == 9_300


async def test_what_is_not_there_is_not_paid(operator: Caller) -> None:
    """The refusal is final: the same number is refused when the money has come."""
    assert (await pay(operator, "e-1")).body["reason"] == "insufficient balance"
    await top_up(operator, 1_000)
    await pay(operator, "e-2", 400)
    assert (await pay(operator, "e-3", 601)).body["state"] == "rejected"
    assert (await pay(operator, "e-1")).body["state"] == "rejected"
    assert (await pay(operator, "e-4", 600)).body["state"] == "confirmed"
    await states(
        operator,
        "/v1/payments",
        {
            "e-1": "rejected",
            "e-2": "confirmed",
            "e-3": "rejected",
            "e-4": "confirmed",
            "e-5": "none",
        },
    )
    assert (await operator.get(f"/v1/wallets/{WALLET}")).body["balance_fen"] == 0


async def test_refunds_never_exceed_their_payment(operator: Caller) -> None:
    await top_up(operator)
    await pay(operator, "e-1", 700)
    assert (await refund(operator, "r-1", "e-1", 300)).body["state"] == "confirmed"
    assert (await refund(operator, "r-1", "e-1", 300)).body["state"] == "confirmed"
    assert (await refund(operator, "r-2", "e-1", 401)).body["state"] == "rejected"
    assert (await refund(operator, "r-3", "e-1", 400)).body["state"] == "confirmed"
    assert (await refund(operator, "r-4", "e-1", 1)).body["state"] == "rejected"
    assert (await refund(operator, "r-5", "r-1", 1)).body["state"] == "rejected"
    assert (await operator.get(f"/v1/wallets/{WALLET}")).body["balance_fen"] == 10_000


async def test_a_refund_that_comes_before_its_payment_is_refused_for_good(operator: Caller) -> None:
    await top_up(operator)
    assert (await refund(operator, "r-1", "e-1")).body["state"] == "rejected"
    await pay(operator, "e-1")
    assert (await refund(operator, "r-1", "e-1")).body["state"] == "rejected"
    assert (await refund(operator, "r-2", "e-1")).body["state"] == "confirmed"


async def test_transfers_between_bank_and_wallet(operator: Caller) -> None:
    assert (await operator.get(f"/v1/wallets/{WALLET}")).status == 404
    first = await top_up(operator)
    assert first.body["balance_fen"] == 10_000
    assert (await top_up(operator)).body == first.body
    (await top_up(operator, 9_999)).assert_problem(409, "number_reused")
    out = await top_up(operator, 4_000, reference="move-2", direction="out")
    assert out.body["balance_fen"] == 6_000
    refused = await top_up(operator, 6_001, reference="move-3", direction="out")
    refused.assert_problem(409, "insufficient_balance")
    again = await top_up(operator, 6_000, reference="move-3", direction="out")
    assert again.body["balance_fen"] == 0, "a refused transfer was kept"


async def test_the_daily_file_has_every_movement_of_its_day(operator: Caller) -> None:
    await top_up(operator)
    await pay(operator, "e-1", 700)
    await pay(operator, "too much", 10**9)
    await refund(operator, "r-1", "e-1", 200)
    await top_up(operator, 500, reference="move-2", direction="out")
    tomorrow = "2027-05-01T16:00:00Z"  # midnight in the city
    await pay(operator, "e-2", 300, instructed_at=tomorrow)

    file = await daily(operator)
    told = [(row.kind, row.end_to_end_no, row.amount_fen, row.payee_wallet) for _, row in file.rows]
    assert told == [
        ("TOPUP", "move-1", 10_000, ""),
        ("PAY", "e-1", 700, SHOP),
        ("REFUND", "r-1", 200, SHOP),
        ("WITHDRAW", "move-2", 500, ""),
    ]
    assert len({row.operator_txn_no for _, row in file.rows}) == 4
    assert "SIMULATED" in file.institution
    later = await daily(operator, DAY + timedelta(days=1))
    assert [row.end_to_end_no for _, row in later.rows] == ["e-2"]
    assert (await daily(operator, DAY - timedelta(days=1))).rows == ()
    assert (await operator.get(f"/v1/files/other/{DAY}")).status == 404
