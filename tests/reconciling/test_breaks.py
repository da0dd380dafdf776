"""A break is settled by two persons, once."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shared.db.urls import service_url
from tests.bookkeeping import redeemed
from tests.databases import SECRETS
from tests.reconciling import histories, movements
from tests.reconciling.bureau import Bureau
from tests.reconciling.movements import BANK, FORMATS, WALLET, Row
from tests.schema.booked import balance, journal

POST = {"proposal": "post", "reason": "The bank confirms it"}
ACCEPT = {"proposal": "accept", "reason": "Interest, to be booked by itself"}


async def find_break(desk: Bureau) -> dict[str, Any]:
    """Return the one break of a day on which 88 fen came in that nobody knows of."""
    history = await histories.begin(desk, "bank", claims=1)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    rows = await movements.booked(desk.owner, history.programme, BANK, day)
    content = movements.write(history.programme, BANK, day, [*rows, Row("unknown", "in", 88, "U1")])
    statement = await desk.take(history.programme.programme_id, FORMATS[BANK], content)
    await desk.run(statement["statement_id"])
    (found,) = await desk.breaks(history.programme.programme_id)
    return found


def path(found: dict[str, Any], action: str = "") -> str:
    return f"/v1/breaks/{found['break_id']}{action and '/' + action}"


def row_of(found: dict[str, Any]) -> str:
    return f"SELECT 1 FROM ledger.breaks WHERE break_id = '{found['break_id']}'"  # noqa: S608


async def journals_of(desk: Bureau, found: dict[str, Any]) -> int:
    counted: int = await desk.owner.fetchval(
        "SELECT count(*) FROM ledger.journals WHERE event = $1", found["break_id"]
    )
    return counted


async def test_a_break_says_all_about_itself(desk: Bureau) -> None:
    found = await find_break(desk)
    assert (await desk.staff("auditor-1", "auditor").get(path(found))).body == found
    assert found["label"] == "over"
    assert (found["present_in"], found["missing_in"]) == (["channel"], "ledger")
    assert (found["statement_fen"], found["booked_fen"], found["difference_fen"]) == (88, None, 88)
    assert (found["state"], found["proposal"], found["age_days"]) == ("open", None, 1)
    await desk.to_noon_of_a_new_day()
    assert (await desk.finance.get(path(found))).body["age_days"] == 2


async def test_restrictions_of_the_list(desk: Bureau) -> None:
    found = await find_break(desk)
    programme_id = UUID(found["programme_id"])
    for restriction in (
        *("&state=open", "&type=missing_in_ledger", f"&statement_id={found['statement_id']}"),
        f"&state=open&type=missing_in_ledger&statement_id={found['statement_id']}",
    ):
        assert await desk.breaks(programme_id, restriction) == [found]
    for restriction in ("&state=posted", "&type=amount", f"&statement_id={uuid4()}"):
        assert await desk.breaks(programme_id, restriction) == []


async def test_proposed_approved_and_no_more_to_do(desk: Bureau) -> None:
    found = await find_break(desk)
    proposed = await desk.finance.post(path(found, "propose"), POST)
    assert proposed.status == 200
    assert proposed.body["proposed_by"] == "finance-1"
    assert proposed.body["reason"] == POST["reason"]
    # Sent again it is the same; anything else has to wait for a rejection.
    assert (await desk.finance.post(path(found, "propose"), POST)).body == proposed.body
    for other in (ACCEPT, {**POST, "reason": "because"}):
        answer = await desk.finance.post(path(found, "propose"), other)
        answer.assert_problem(409, "already_proposed")
    answer = await desk.staff("finance-2", "finance").post(path(found, "propose"), POST)
    answer.assert_problem(409, "already_proposed")
    assert await journals_of(desk, found) == 0

    posted = await desk.approver.post(path(found, "approve"))
    assert (posted.status, posted.body["state"]) == (200, "posted")
    assert posted.body["approved_by"] == "approver-1"
    assert (await desk.approver.post(path(found, "approve"))).body == posted.body
    assert await journals_of(desk, found) == 1
    for caller, action, body in (
        (desk.finance, "propose", POST),
        (desk.approver, "reject", None),
    ):
        answer = await caller.post(path(found, action), body)
        assert answer.assert_problem(409, "decided")["state"] == "posted"
    assert (await desk.finance.get(path(found))).body == posted.body


async def test_rejected_and_proposed_anew(desk: Bureau) -> None:
    found = await find_break(desk)
    assert (await desk.finance.post(path(found, "propose"), POST)).status == 200
    rejected = await desk.approver.post(path(found, "reject"))
    assert (rejected.status, rejected.body["state"]) == (200, "open")
    assert rejected.body["proposal"] is rejected.body["proposed_by"] is None
    assert (await desk.approver.post(path(found, "reject"))).body == rejected.body
    answer = await desk.approver.post(path(found, "approve"))
    assert answer.assert_problem(409, "not_proposed")["state"] == "open"
    assert (await desk.finance.post(path(found, "propose"), ACCEPT)).status == 200
    accepted = (await desk.approver.post(path(found, "approve"))).body
    assert (accepted["state"], accepted["journal_id"]) == ("accepted", None)
    assert await journals_of(desk, found) == 0


@pytest.mark.parametrize("body", [POST, ACCEPT], ids=lambda body: body["proposal"])
async def test_one_person_with_both_roles_is_still_one_person(
    desk: Bureau, body: dict[str, str]
) -> None:
    found = await find_break(desk)
    both = desk.staff("both-1", "finance", "approver")
    assert (await both.post(path(found, "propose"), body)).status == 200
    (await both.post(path(found, "approve"))).assert_problem(403, "same_person")
    # The same person under the other hat, too.
    (await desk.staff("both-1", "approver").post(path(found, "approve"))).assert_problem(
        403, "same_person"
    )
    assert (await both.get(path(found))).body["state"] == "proposed"
    assert await journals_of(desk, found) == 0


async def test_the_database_itself_needs_the_second_person(desk: Bureau) -> None:
    found = await find_break(desk)
    break_id = UUID(found["break_id"])
    connection = await asyncpg.connect(service_url(desk.database_url, "ledger", SECRETS))
    try:
        outcome = await connection.fetchval(
            "SELECT ledger.propose_break(1::smallint, $1, 'post', 'x', 'one')", break_id
        )
        assert outcome == "proposed"
        outcome = await connection.fetchval(
            "SELECT ledger.approve_break(1::smallint, $1, 'one')", break_id
        )
        assert outcome == "same_person"
        for statement in (
            "UPDATE ledger.breaks SET state = 'accepted', approved_by = 'two'",
            "UPDATE ledger.breaks SET proposed_by = 'two'",
            "INSERT INTO ledger.breaks SELECT * FROM ledger.breaks",
            "DELETE FROM ledger.breaks",
            "SELECT ledger.post(1::smallint, NULL, 'J24', 'x', NULL, 'x', now(), '{}', '{}', '{}')",
            "SELECT ledger.run(NULL, NULL, NULL)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                await connection.execute(statement)
    finally:
        await connection.close()
    # Nor does the owner get round the row's own constraint.
    with pytest.raises(asyncpg.CheckViolationError, match="breaks_need_a_second_person"):
        await desk.owner.execute(
            "UPDATE ledger.breaks SET state = 'accepted', approved_by = 'one', approved_at = now()"
            " WHERE break_id = $1",
            break_id,
        )


async def test_ten_approvals_at_once_book_once(desk: Bureau) -> None:
    found = await find_break(desk)
    assert (await desk.finance.post(path(found, "propose"), POST)).status == 200
    approvers = [desk.staff(f"approver-{nth}", "approver") for nth in range(10)]
    answers = await desk.at_once(
        row_of(found), [one.post(path(found, "approve")) for one in approvers]
    )
    assert [answer.status for answer in answers] == [200] * 10
    assert len({answer.body["approved_by"] for answer in answers}) == 1
    assert await journals_of(desk, found) == 1
    lines = await journal(desk.owner, "J24", found["break_id"])
    assert lines == {(BANK, "suspense_over:main"): 88}


async def test_approval_and_rejection_at_once(desk: Bureau) -> None:
    """Whichever comes first, the break and the books agree."""
    for _ in range(5):
        found = await find_break(desk)
        assert (await desk.finance.post(path(found, "propose"), POST)).status == 200
        await desk.at_once(
            row_of(found),
            [
                desk.approver.post(path(found, "approve")),
                desk.staff("approver-2", "approver").post(path(found, "reject")),
            ],
        )
        now = (await desk.finance.get(path(found))).body
        assert now["state"] in {"posted", "open"}
        assert await journals_of(desk, found) == (now["state"] == "posted")


async def test_what_has_no_amount_is_not_posted(desk: Bureau) -> None:
    """A wallet's file states no balance: what a row that cannot be read amounts to is not known."""
    history = await histories.begin(desk, "ecny", claims=1)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    rows = await movements.booked(desk.owner, history.programme, WALLET, day)
    content = movements.write(
        history.programme, WALLET, day, [*rows, Row("unknown", "out", 88, "U1")]
    )
    statement = await desk.take(
        history.programme.programme_id,
        FORMATS[WALLET],
        movements.spoil_row(WALLET, content, len(rows) + 1),
    )
    await desk.run(statement["statement_id"])
    (found,) = await desk.breaks(history.programme.programme_id)
    assert (found["type"], found["difference_fen"], found["label"]) == ("unreadable", 0, None)
    answer = await desk.finance.post(path(found, "propose"), POST)
    answer.assert_problem(409, "nothing_to_post")
    assert (await desk.settle(found["break_id"], "accept"))["state"] == "accepted"


async def test_a_shortfall_is_not_booked_out_of_money_under_way(desk: Bureau) -> None:
    """The bank says that the funding never came; the payouts it was told of come first."""
    history = await histories.begin(desk, "bank")
    await histories.redeem(desk, history, 0, 12)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    rows = await movements.booked(desk.owner, history.programme, BANK, day)
    content = movements.write(history.programme, BANK, day, [])
    statement = await desk.take(history.programme.programme_id, FORMATS[BANK], content)
    await desk.run(statement["statement_id"])
    first, second = await desk.breaks(history.programme.programme_id)
    assert first["difference_fen"] == second["difference_fen"] == -histories.FUNDED_FEN
    assert {first["label"], second["label"]} == {"short"}
    assert len(rows) == 2

    batch_id = await redeemed.cut(desk.owner, history.programme)
    assert await histories.approve(desk.owner, batch_id) == "approved"
    assert (await desk.settle(first["break_id"], "post"))["state"] == "posted"
    assert (await desk.finance.post(path(second, "propose"), POST)).status == 200
    answer = await desk.approver.post(path(second, "approve"))
    answer.assert_problem(409, "insufficient_funds")
    assert await balance(desk.owner, history.programme, BANK) == histories.FUNDED_FEN
    # Nothing is stuck: the bank's word on the payouts can be booked.
    await histories.confirm_all(desk.owner, batch_id)


async def test_who_may_settle(desk: Bureau) -> None:
    found = await find_break(desk)
    for role in ("approver", "auditor", "operator"):
        answer = await desk.staff("x", role).post(path(found, "propose"), POST)
        answer.assert_problem(403, "forbidden")
    for role in ("finance", "auditor", "operator"):
        for action in ("approve", "reject"):
            answer = await desk.staff("x", role).post(path(found, action))
            answer.assert_problem(403, "forbidden")
    elsewhere = desk.staff("x", "finance", "approver", city="440300")
    (await elsewhere.get(path(found))).assert_problem(404, "not_found")
    (await elsewhere.post(path(found, "propose"), POST)).assert_problem(404, "not_found")
    for action in ("approve", "reject"):
        (await elsewhere.post(path(found, action))).assert_problem(404, "not_found")
    answer = await elsewhere.get(f"/v1/breaks?programme_id={found['programme_id']}")
    answer.assert_problem(404, "not_found")
    for unknown in (str(uuid4()), "x", "%00"):
        assert (await desk.finance.get(f"/v1/breaks/{unknown}")).status in {404, 422}
