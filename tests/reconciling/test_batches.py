"""Batches: cut by one person, decided by a second, paid once."""

import asyncio
from collections import Counter
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.db.urls import service_url
from shared.formats import payout_file
from tests import builders
from tests.databases import SECRETS
from tests.reconciling import histories, movements
from tests.reconciling.bureau import Bureau
from tests.reconciling.histories import History
from tests.schema.booked import balance, journal

SHOPS = 4
BOOKS = "SELECT count(*) FROM ledger.journals WHERE programme_id = $1 AND kind = $2"


async def due(desk: Bureau, *, vouchers: int = 12) -> tuple[History, date]:
    """Return a programme whose shops are owed the captures of yesterday."""
    history = await histories.begin(desk, "bank", shops=SHOPS)
    await histories.redeem(desk, history, 0, vouchers)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    return history, day


def new_batch(history: History, cut_off: date) -> dict[str, str]:
    return {"programme_id": str(history.programme.programme_id), "cut_off": str(cut_off)}


async def cut(desk: Bureau, history: History, cut_off: date) -> dict[str, Any]:
    answer = await desk.finance.post("/v1/settlement-batches", new_batch(history, cut_off))
    assert answer.status == 201, answer.body
    batch: dict[str, Any] = answer.body
    return batch


def path(batch: dict[str, Any], tail: str = "") -> str:
    return f"/v1/settlement-batches/{batch['batch_id']}{tail and '/' + tail}"


async def payouts_of(desk: Bureau, batch: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await desk.finance.get(path(batch, "payouts"))).body["items"]
    return items


async def owed_fen(desk: Bureau, history: History) -> int:
    total = 0
    for shop in history.shops:
        total += await balance(desk.owner, history.programme, f"payable:{shop.merchant_id}")
    return total


async def test_what_is_due_is_cut_approved_and_paid(desk: Bureau) -> None:
    history, day = await due(desk)
    expected_fen = await owed_fen(desk, history)
    batch = await cut(desk, history, day)
    assert batch == {
        "batch_id": batch["batch_id"],
        "programme_id": str(history.programme.programme_id),
        "cut_off": str(day),
        "state": "cut",
        "payouts": SHOPS,
        "amount_fen": expected_fen,
        "netted_fen": 0,
        "by_state": [{"state": "cut", "payouts": SHOPS, "amount_fen": expected_fen}],
        "created_at": batch["created_at"],
        "created_by": "finance-1",
        "decided_at": None,
        "decided_by": None,
    }
    assert await owed_fen(desk, history) == 0
    transit = f"transit:{batch['batch_id']}"
    assert await balance(desk.owner, history.programme, transit) == expected_fen
    (await desk.finance.get(path(batch, "payout-file"))).assert_problem(409, "not_approved")

    approved = await desk.approver.post(path(batch, "approve"))
    assert (approved.status, approved.body["state"]) == (200, "approved")
    assert approved.body["decided_by"] == "approver-1"
    assert approved.body["by_state"][0]["state"] == "open"
    assert (await desk.approver.post(path(batch, "approve"))).body == approved.body
    answer = await desk.approver.post(path(batch, "reject"))
    assert answer.assert_problem(409, "decided")["state"] == "approved"

    payouts = await payouts_of(desk, batch)
    assert {UUID(one["merchant_id"]) for one in payouts} == {s.merchant_id for s in history.shops}
    assert sum(one["amount_fen"] for one in payouts) == expected_fen
    assert sum(one["records"] for one in payouts) == 12
    await histories.confirm_all(desk.owner, UUID(batch["batch_id"]))
    for one in await payouts_of(desk, batch):
        assert (one["state"], one["bank_txn_no"]) == ("confirmed", f"BK{one['payout_id']}")
        assert await journal(desk.owner, "J15", one["payout_id"]) == {
            (transit, "bank:main"): one["amount_fen"]
        }
    assert await balance(desk.owner, history.programme, transit) == 0
    assert (await desk.finance.get(path(batch))).body["by_state"] == [
        {"state": "confirmed", "payouts": SHOPS, "amount_fen": expected_fen}
    ]


async def test_the_payout_file_is_what_the_bank_reads(desk: Bureau) -> None:
    history, day = await due(desk)
    batch = await cut(desk, history, day)
    await desk.approver.post(path(batch, "approve"))
    async with desk.http.get(
        path(batch, "payout-file"),
        headers={"Authorization": f"Bearer {desk.staff('auditor-1', 'auditor').token}"},
    ) as response:
        content = await response.read()
        assert response.status == 200
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        disposition = f'attachment; filename="payout-{batch["batch_id"]}.csv"'
        assert response.headers["content-disposition"] == disposition
    file = payout_file.parse(content)
    assert isinstance(file, payout_file.PayoutFile), file
    assert {line.payout_id: line.amount_fen for line in file.lines} == {
        one["payout_id"]: one["amount_fen"] for one in await payouts_of(desk, batch)
    }


async def test_a_rejected_batch_is_cut_again(desk: Bureau) -> None:
    history, day = await due(desk)
    expected_fen = await owed_fen(desk, history)
    first = await cut(desk, history, day)
    rejected = (await desk.approver.post(path(first, "reject"))).body
    assert (rejected["state"], rejected["by_state"][0]["state"]) == ("rejected", "rejected")
    assert await owed_fen(desk, history) == expected_fen
    second = await cut(desk, history, day)
    assert second["amount_fen"] == expected_fen
    (await desk.approver.post(path(first, "approve"))).assert_problem(409, "decided")
    counted = await desk.owner.fetchval(BOOKS, history.programme.programme_id, "J16")
    assert counted == SHOPS
    listed = await desk.finance.get(
        f"/v1/settlement-batches?programme_id={history.programme.programme_id}"
    )
    assert [one["state"] for one in listed.body["items"]] == ["cut", "rejected"]
    only = await desk.finance.get(
        f"/v1/settlement-batches?programme_id={history.programme.programme_id}&state=rejected"
    )
    assert [one["batch_id"] for one in only.body["items"]] == [first["batch_id"]]


async def test_what_is_not_cut(desk: Bureau) -> None:
    history, day = await due(desk)
    for cut_off in (await desk.today(), await desk.today() + timedelta(days=9)):
        answer = await desk.finance.post("/v1/settlement-batches", new_batch(history, cut_off))
        answer.assert_problem(409, "day_not_over")
    answer = await desk.finance.post(
        "/v1/settlement-batches", new_batch(history, day - timedelta(days=1))
    )
    answer.assert_problem(409, "nothing_due")
    await cut(desk, history, day)
    answer = await desk.finance.post("/v1/settlement-batches", new_batch(history, day))
    answer.assert_problem(409, "nothing_due")
    empty = await builders.make_programme(desk.owner)
    answer = await desk.finance.post(
        "/v1/settlement-batches",
        {"programme_id": str(empty.programme_id), "cut_off": str(day)},
    )
    answer.assert_problem(409, "nothing_due")
    # What a capture of today brings waits for its own day.
    await histories.redeem(desk, history, 12, 14)
    answer = await desk.finance.post("/v1/settlement-batches", new_batch(history, day))
    answer.assert_problem(409, "nothing_due")


async def test_what_a_shop_owes_is_netted(desk: Bureau) -> None:
    """Reversed after it was paid (J23): the next payout pays it back first (J13)."""
    history, day = await due(desk, vouchers=4)
    first = await cut(desk, history, day)
    await desk.approver.post(path(first, "approve"))
    await histories.confirm_all(desk.owner, UUID(first["batch_id"]))
    shop = history.shops[0]
    recv = f"merchant_recv:{shop.merchant_id}"
    captured = await desk.owner.fetchrow(
        "SELECT terminal_id, request_no, amount_fen FROM redeem.redemptions WHERE merchant_id = $1",
        shop.merchant_id,
    )
    assert captured is not None
    outcome = await desk.owner.fetchval(
        "SELECT outcome FROM redeem.reverse(1::smallint, $1, 'undo', 'x', $2)",
        *(captured["terminal_id"], captured["request_no"]),
    )
    assert outcome == "reversed"
    assert await balance(desk.owner, history.programme, recv) == captured["amount_fen"]

    await histories.redeem(desk, history, 4, 12)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    gross_fen = await owed_fen(desk, history)
    batch = await cut(desk, history, day)
    assert batch["netted_fen"] == captured["amount_fen"]
    assert batch["amount_fen"] == gross_fen - captured["amount_fen"]
    netted = {one["merchant_id"]: one["netted_fen"] for one in await payouts_of(desk, batch)}
    assert {m: fen for m, fen in netted.items() if fen} == {
        str(shop.merchant_id): captured["amount_fen"]
    }
    assert await balance(desk.owner, history.programme, recv) == 0
    # Rejected, it is owed again.
    await desk.approver.post(path(batch, "reject"))
    assert await balance(desk.owner, history.programme, recv) == captured["amount_fen"]


async def test_a_batch_is_approved_only_out_of_money_that_is_there(desk: Bureau) -> None:
    """Two batches that the account covers one by one, but not together."""
    history, day = await due(desk, vouchers=8)
    first = await cut(desk, history, day)
    await histories.redeem(desk, history, 8, 20)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    second = await cut(desk, history, day)
    # The bank account is drained to where it covers the larger of the two alone.
    programme = history.programme
    over_fen = await balance(desk.owner, programme, "bank:main") - second["amount_fen"]
    statement = await drain(desk, history, over_fen)
    assert statement["state"] == "posted"
    answers = await desk.at_once(
        "SELECT 1 FROM ledger.balances JOIN ledger.accounts USING (city_id, account_id)"  # noqa: S608
        f" WHERE code = 'bank:main' AND accounts.programme_id = '{programme.programme_id}'",
        [desk.approver.post(path(batch, "approve")) for batch in (first, second)],
    )
    assert sorted(answer.status for answer in answers) == [200, 409]
    for answer in answers:
        if answer.status == 409:
            answer.assert_problem(409, "insufficient_funds")
    approved = first if answers[0].status == 200 else second
    await histories.confirm_all(desk.owner, UUID(approved["batch_id"]))


async def drain(desk: Bureau, history: History, fen: int) -> dict[str, Any]:
    """Have the bank state, and two persons book, that so much is missing."""
    rows = await movements.booked(
        desk.owner, history.programme, "bank:main", await desk.today() - timedelta(days=1)
    )
    missing = movements.Row("gone", "out", fen, "G1")
    statement = await desk.take(
        history.programme.programme_id,
        "bank-statement",
        movements.write(
            history.programme,
            "bank:main",
            await desk.today() - timedelta(days=1),
            [*rows, missing],
        ),
    )
    await desk.run(statement["statement_id"])
    (found,) = await desk.breaks(history.programme.programme_id)
    return await desk.settle(found["break_id"], "post")


async def test_one_person_with_both_roles_is_still_one_person(desk: Bureau) -> None:
    history, day = await due(desk)
    both = desk.staff("both-1", "finance", "approver")
    batch = (await both.post("/v1/settlement-batches", new_batch(history, day))).body
    for decision in ("approve", "reject"):
        (await both.post(path(batch, decision))).assert_problem(403, "same_person")
    assert (await both.get(path(batch))).body["state"] == "cut"


async def test_the_database_itself_needs_the_second_person(desk: Bureau) -> None:
    history, day = await due(desk)
    batch_id = UUID((await cut(desk, history, day))["batch_id"])
    connection = await asyncpg.connect(service_url(desk.database_url, "ledger", SECRETS))
    try:
        for decision in ("approved", "rejected"):
            outcome = await connection.fetchval(
                "SELECT ledger.decide_batch(1::smallint, $1, $2, 'finance-1')", batch_id, decision
            )
            assert outcome == "same_person"
        for statement in (
            "UPDATE ledger.settlement_batches SET state = 'approved', decided_by = 'x'",
            "UPDATE ledger.payouts SET state = 'open'",
            "INSERT INTO ledger.payouts SELECT * FROM ledger.payouts",
            "SELECT ledger.post_payouts(1::smallint, '{}', 'J15', 'x', now())",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(statement)
    finally:
        await connection.close()
    with pytest.raises(asyncpg.CheckViolationError, match="batches_need_a_second_person"):
        await desk.owner.execute(
            "UPDATE ledger.settlement_batches SET state = 'approved', decided_by = 'finance-1',"
            " decided_at = now() WHERE batch_id = $1",
            batch_id,
        )


async def test_one_key_cuts_once(desk: Bureau) -> None:
    history, day = await due(desk)
    key = f"cut-{uuid4()}"
    answers = await asyncio.gather(
        *(
            desk.finance.post("/v1/settlement-batches", new_batch(history, day), key=key)
            for _ in range(8)
        )
    )
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({a.body["batch_id"] for a in answers if a.status == 201}) == 1
    again = await desk.finance.post("/v1/settlement-batches", new_batch(history, day), key=key)
    assert (again.status, again.headers["idempotent-replayed"]) == (201, "true")
    other = await desk.finance.post(
        "/v1/settlement-batches", new_batch(history, day - timedelta(days=1)), key=key
    )
    other.assert_problem(422, "idempotency_key_reused")


async def test_decisions_at_once_are_one(desk: Bureau) -> None:
    history, day = await due(desk)
    batch = await cut(desk, history, day)
    approvers = [desk.staff(f"approver-{nth}", "approver") for nth in range(8)]
    answers = await desk.at_once(
        f"SELECT 1 FROM ledger.settlement_batches WHERE batch_id = '{batch['batch_id']}'",  # noqa: S608
        [
            one.post(path(batch, "approve" if nth % 2 else "reject"))
            for nth, one in enumerate(approvers)
        ],
    )
    assert Counter(answer.status for answer in answers) == {200: 4, 409: 4}
    state = (await desk.finance.get(path(batch))).body["state"]
    kind = {"approved": "J15", "rejected": "J16"}[state]
    if state == "approved":
        await histories.confirm_all(desk.owner, UUID(batch["batch_id"]))
    counted = await desk.owner.fetchval(BOOKS, history.programme.programme_id, kind)
    assert counted == SHOPS


async def test_cuts_at_once_cut_once(desk: Bureau) -> None:
    history, day = await due(desk)
    expected_fen = await owed_fen(desk, history)
    answers = await asyncio.gather(
        *(desk.finance.post("/v1/settlement-batches", new_batch(history, day)) for _ in range(8))
    )
    assert Counter(answer.status for answer in answers) == {201: 1, 409: 7}
    for answer in answers:
        if answer.status == 409:
            answer.assert_problem(409, "nothing_due")
    assert [a.body["amount_fen"] for a in answers if a.status == 201] == [expected_fen]


async def test_who_may_settle(desk: Bureau) -> None:
    history, day = await due(desk)
    for role in ("approver", "auditor", "operator", "resident"):
        answer = await desk.staff("x", role).post("/v1/settlement-batches", new_batch(history, day))
        answer.assert_problem(403, "forbidden")
    batch = await cut(desk, history, day)
    for role in ("finance", "auditor", "operator"):
        for decision in ("approve", "reject"):
            (await desk.staff("x", role).post(path(batch, decision))).assert_problem(
                403, "forbidden"
            )
    elsewhere = desk.staff("x", "finance", "approver", city="440300")
    answer = await elsewhere.post("/v1/settlement-batches", new_batch(history, day))
    answer.assert_problem(404, "not_found")
    for tail in ("", "payouts", "payout-file"):
        (await elsewhere.get(path(batch, tail))).assert_problem(404, "not_found")
    for decision in ("approve", "reject"):
        (await elsewhere.post(path(batch, decision))).assert_problem(404, "not_found")
    answer = await elsewhere.get(
        f"/v1/settlement-batches?programme_id={history.programme.programme_id}"
    )
    answer.assert_problem(404, "not_found")
