"""Settlement records, with what became of them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.secrets import Secrets
from shared.voucher_ids import VoucherIds
from tests import tills
from tests.reconciling import histories, movements
from tests.reconciling.bureau import Bureau
from tests.reconciling.histories import History
from tests.reconciling.movements import BANK, FORMATS, WALLET

CITY_FEN, OTHER_FEN = 667, 334


async def records(desk: Bureau, history: History, restriction: str = "") -> list[dict[str, Any]]:
    """Return the records page by page, the latest first."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await desk.finance.get(
            f"/v1/settlement-records?programme_id={history.programme.programme_id}"
            f"{restriction}&limit=7{cursor}"
        )
        assert answer.status == 200, answer.body
        items += answer.body["items"]
        if answer.body["next_cursor"] is None:
            return items
        assert len(answer.body["items"]) == 7
        cursor = f"&cursor={answer.body['next_cursor']}"


async def test_a_redemption_on_the_bank_rail(desk: Bureau) -> None:
    history = await histories.begin(desk, "bank")
    (asked,) = await histories.redeem(desk, history, 0, 1)
    day = await desk.today()
    (record,) = await records(desk, history)
    voucher_ids = VoucherIds(Secrets.load(desk.data_dir))
    assert voucher_ids.decode(record["voucher_id"]) == (asked.claim_id, asked.position)
    redemption = await desk.owner.fetchrow(
        "SELECT * FROM redeem.redemptions WHERE redemption_id = $1", asked.redemption_id
    )
    assert redemption is not None
    assert record["settlement_id"] == str(redemption["settlement_id"])
    terminal = f"terminal:{asked.till.terminal_id}"
    moment = redemption["captured_at"].isoformat().replace("+00:00", "Z")
    valid_to = record["voucher_valid_to"]
    assert record == {
        "settlement_id": record["settlement_id"],
        "record_version": 1,
        "record_type": "REDEEM",
        "original_settlement_id": None,
        "idempotency_key": asked.request_no,
        "programme_id": str(history.programme.programme_id),
        "drop_id": str(history.drop_id),
        "voucher_id": record["voucher_id"],
        "kind_id": "meal",
        "voucher_instance_seq": 1,
        "voucher_count": 1,
        "directive_use": ["catering"],
        "condition_result": {
            "time": "pass",
            "merchant": "pass",
            "category": "pass",
            "threshold": "pass",
        },
        "rail": "BANK",
        "payee_wallet_id": None,
        "funder_wallet_id": None,
        "merchant_id": str(asked.till.merchant_id),
        "terminal_id": str(asked.till.terminal_id),
        "mcc": None,
        "region_code": None,
        "order_no": "order-1",
        "operator_txn_no": None,
        "end_to_end_no": str(asked.redemption_id),
        "currency": "CNY",
        "order_amount_fen": 10_000,
        "voucher_amount_fen": 1_001,
        "consumer_paid_fen": 8_999,
        "other_discount_fen": 0,
        "fund_split": {"city": CITY_FEN, "platform": OTHER_FEN},
        "fee_fen": 0,
        "net_fen": 1_001,
        "event_time": moment,
        "operator_time": None,
        "accounting_date": str(day),
        "settle_cycle": "T1_BATCH",
        "finality_time": None,
        "settle_batch_no": None,
        "payout_id": None,
        "settle_date": None,
        "status": "SUCCESS",
        "voucher_valid_to": valid_to,
        "refund_policy": "restore",
        "refund_waterfall": "own_money_first",
        "offline_flag": False,
        "ledger_txn_id": record["ledger_txn_id"],
        "recon_status": None,
        "recon_run_id": None,
        "break_id": None,
        "actor": terminal,
    }
    journal = (await desk.finance.get(f"/v1/journals/{record['ledger_txn_id']}")).body
    assert (journal["kind"], journal["event"]) == ("J10", str(asked.redemption_id))


async def test_what_the_payout_and_the_statement_say_of_a_record(desk: Bureau) -> None:
    history = await histories.begin(desk, "bank", shops=3)
    await histories.redeem(desk, history, 0, 9)
    captured_on = await desk.today()
    await desk.to_noon_of_a_new_day()
    batch_id = await histories.pay(desk, history)
    paid_on = await desk.today()
    found = await records(desk, history)
    assert len(found) == 9
    assert {r["settle_batch_no"] for r in found} == {str(batch_id)}
    assert {r["settle_date"] for r in found} == {str(paid_on)}
    assert len({r["payout_id"] for r in found}) == 3
    assert {r["recon_status"] for r in found} == {None}

    await desk.to_noon_of_a_new_day()
    rows = await movements.booked(desk.owner, history.programme, BANK, paid_on)
    # One shop's payment is missing in the statement.
    content = movements.write(history.programme, BANK, paid_on, rows[:-1])
    statement = await desk.take(history.programme.programme_id, FORMATS[BANK], content)
    run = await desk.run(statement["statement_id"])
    (missing,) = await desk.breaks(history.programme.programme_id)
    for record in await records(desk, history):
        if record["payout_id"] == rows[-1].number:
            told = ("BREAK", None, missing["break_id"])
        else:
            told = ("MATCHED", run["reconciliation_id"], None)
        assert (record["recon_status"], record["recon_run_id"], record["break_id"]) == told
    # Issued again with it, the file clears that.
    content = movements.write(history.programme, BANK, paid_on, rows)
    statement = await desk.take(history.programme.programme_id, FORMATS[BANK], content)
    again = await desk.run(statement["statement_id"])
    for record in await records(desk, history):
        assert (record["recon_status"], record["break_id"]) == ("MATCHED", None)
        assert record["recon_run_id"] == again["reconciliation_id"]

    merchant_id = history.shops[0].merchant_id
    for restriction, expected in (
        (f"&merchant_id={merchant_id}", 3),
        (f"&merchant_id={merchant_id}&accounting_date={captured_on}", 3),
        (f"&accounting_date={captured_on}", 9),
        (f"&accounting_date={paid_on}", 0),
        ("&record_type=REDEEM", 9),
        ("&record_type=REVERSAL", 0),
        (f"&batch_id={batch_id}", 9),
        (f"&batch_id={uuid4()}", 0),
        (f"&merchant_id={uuid4()}", 0),
    ):
        assert len(await records(desk, history, restriction)) == expected, restriction


async def test_a_redemption_on_the_ecny_rail_is_final_and_matched(desk: Bureau) -> None:
    history = await histories.begin(desk, "ecny")
    await histories.redeem(desk, history, 0, 2)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    rows = await movements.booked(desk.owner, history.programme, WALLET, day)
    statement = await desk.take(
        history.programme.programme_id,
        FORMATS[WALLET],
        movements.write(history.programme, WALLET, day, rows),
    )
    run = await desk.run(statement["statement_id"])
    assert run["differences"] == 0
    found = await records(desk, history)
    assert len(found) == 2
    for record in found:
        assert (record["rail"], record["settle_cycle"]) == ("ECNY_WALLET", "T0_FINAL")
        assert record["operator_txn_no"] == f"op-{record['end_to_end_no']}"
        assert record["funder_wallet_id"] == str(history.programme.programme_id)
        assert record["payee_wallet_id"] == record["merchant_id"]
        assert record["finality_time"] is not None
        assert (record["settle_date"], record["settle_batch_no"]) == (str(day), None)
        assert (record["recon_status"], record["recon_run_id"]) == (
            "MATCHED",
            run["reconciliation_id"],
        )


async def test_reversals_and_expiries_have_records(desk: Bureau) -> None:
    history = await histories.begin(desk, "bank", claims=5)
    asked = await histories.redeem(desk, history, 0, 2)
    assert await tills.reverse(desk.owner, asked[0]) == "reversed"
    await tills.advance(desk.owner, timedelta(days=9))
    await tills.expire_due(desk.owner)
    found = await records(desk, history)
    by_type: dict[str, list[dict[str, Any]]] = {}
    for record in found:
        by_type.setdefault(record["record_type"], []).append(record)
    assert {name: len(some) for name, some in by_type.items()} == {
        "REDEEM": 2,
        "REVERSAL": 1,
        "EXPIRY_RETURN": 2,
    }
    (reversal,) = by_type["REVERSAL"]
    original = next(
        r for r in by_type["REDEEM"] if r["settlement_id"] == reversal["original_settlement_id"]
    )
    assert reversal["voucher_id"] == original["voucher_id"]
    assert (reversal["status"], original["status"]) == ("REVERSED", "SUCCESS")
    expired = {r["kind_id"]: r for r in by_type["EXPIRY_RETURN"]}
    # 5 packs of two meals and a book; one meal stays redeemed.
    assert (expired["meal"]["voucher_count"], expired["book"]["voucher_count"]) == (9, 5)
    assert expired["meal"]["fund_split"] == {"city": 9 * CITY_FEN, "platform": 9 * OTHER_FEN}
    assert expired["meal"]["net_fen"] == 0
    assert expired["meal"]["voucher_id"] is expired["meal"]["merchant_id"] is None
    # The latest first, whatever its type.
    dates = [(r["accounting_date"], UUID(r["settlement_id"]).int) for r in found]
    assert dates == sorted(dates, reverse=True)


async def test_who_may_read_records(desk: Bureau) -> None:
    history = await histories.begin(desk, "bank", claims=1)
    path = f"/v1/settlement-records?programme_id={history.programme.programme_id}"
    for role in ("finance", "approver", "auditor"):
        assert (await desk.staff("x", role).get(path)).status == 200
    for role in ("operator", "resident"):
        (await desk.staff("x", role).get(path)).assert_problem(403, "forbidden")
    elsewhere = desk.staff("x", "finance", city="440300")
    (await elsewhere.get(path)).assert_problem(404, "not_found")
    (await desk.finance.get(f"{path}&merchnat_id={uuid4()}")).assert_problem(422, "invalid_request")
