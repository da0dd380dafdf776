"""Files of others: checked whole before a row is used, and kept as they came."""

import asyncio
import hashlib
from datetime import date
from uuid import UUID

import pytest

from shared.formats.faults import FILE_BYTES_MAX
from tests import builders
from tests.builders import Programme
from tests.reconciling import movements
from tests.reconciling.bureau import CSV, Bureau
from tests.reconciling.movements import BANK, FORMATS, WALLET, Row

DAY = date(2026, 5, 1)
ROWS = (
    Row("first", "in", 5_000, "B1"),
    Row("second", "out", 1_200, "B2"),
    Row("third", "out", 30, "B3"),
)


async def make_programme(desk: Bureau) -> Programme:
    return await builders.make_programme(desk.owner, funded_fen=0)


async def kept(desk: Bureau, programme: Programme) -> tuple[int, int]:
    """Count the statements and the rows that are kept of a programme."""
    counted = await desk.owner.fetchrow(
        "SELECT count(DISTINCT s.statement_id), count(l.line_no) FROM ledger.statements AS s"
        " LEFT JOIN ledger.statement_lines AS l USING (city_id, statement_id)"
        " WHERE s.programme_id = $1",
        programme.programme_id,
    )
    assert counted is not None
    return counted[0], counted[1]


async def test_a_bank_statement_is_taken(desk: Bureau) -> None:
    programme = await make_programme(desk)
    content = movements.write(programme, BANK, DAY, ROWS, opening_fen=700)
    statement = await desk.take(programme.programme_id, FORMATS[BANK], content)
    assert statement == {
        "statement_id": statement["statement_id"],
        "programme_id": str(programme.programme_id),
        "format": "bank-statement",
        "account": "bank:main",
        "day": "2026-05-01",
        "version": 1,
        "is_current": True,
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": 3,
        "quarantined": 0,
        "totals": {
            "opening_fen": 700,
            "closing_fen": 4_470,
            "rows": 3,
            "in_fen": 5_000,
            "out_fen": 1_230,
        },
        "duplicate": False,
        "uploaded_at": statement["uploaded_at"],
        "uploaded_by": "finance-1",
    }
    auditor = desk.staff("auditor-1", "auditor")
    path = f"/v1/statements/{statement['statement_id']}"
    assert (await auditor.get(path)).body == statement
    listed = await auditor.get(f"/v1/statements?programme_id={programme.programme_id}")
    assert (listed.body["items"], listed.body["next_cursor"]) == ([statement], None)
    raw = await desk.owner.fetchval(
        "SELECT content FROM ledger.statements WHERE statement_id = $1",
        UUID(statement["statement_id"]),
    )
    assert raw == content


async def test_the_rows_of_a_daily_file_are_read(desk: Bureau) -> None:
    programme = await make_programme(desk)
    content = movements.write(programme, WALLET, DAY, ROWS)
    statement = await desk.take(programme.programme_id, FORMATS[WALLET], content)
    assert (statement["account"], statement["totals"]["refund_fen"]) == ("wallet:main", 5_000)
    path = f"/v1/statements/{statement['statement_id']}/lines?limit=2"
    first = (await desk.finance.get(path)).body
    second = (await desk.finance.get(f"{path}&cursor={first['next_cursor']}")).body
    assert second["next_cursor"] is None
    assert first["items"][1] == {
        "line_no": 2,
        "direction": "out",
        "amount_fen": 1_200,
        "end_to_end_no": "second",
        "channel_no": "B2",
        "happened_at": "2026-05-01T04:00:00Z",
        "fault": None,
        "raw": None,
    }
    numbers = [line["end_to_end_no"] for line in first["items"] + second["items"]]
    assert numbers == ["first", "second", "third"]


async def test_the_same_bytes_are_the_same_statement(desk: Bureau) -> None:
    programme = await make_programme(desk)
    content = movements.write(programme, BANK, DAY, ROWS)
    statement = await desk.take(programme.programme_id, FORMATS[BANK], content)
    again = await desk.upload(programme.programme_id, FORMATS[BANK], content)
    assert (again.status, again.body) == (200, {**statement, "duplicate": True})
    assert await kept(desk, programme) == (1, 3)


async def test_other_bytes_of_the_same_day_supersede(desk: Bureau) -> None:
    programme = await make_programme(desk)
    programme_id = programme.programme_id
    first_bytes = movements.write(programme, BANK, DAY, ROWS)
    first = await desk.take(programme_id, FORMATS[BANK], first_bytes)
    second = await desk.take(
        programme_id, FORMATS[BANK], movements.write(programme, BANK, DAY, ROWS[:2])
    )
    assert (second["version"], second["is_current"]) == (2, True)
    # Sent again, the first is what it was: it does not come back to life.
    again = await desk.upload(programme_id, FORMATS[BANK], first_bytes)
    assert (again.status, again.body["statement_id"]) == (200, first["statement_id"])
    assert (again.body["version"], again.body["is_current"]) == (1, False)
    answer = await desk.finance.post("/v1/reconciliations", {"statement_id": first["statement_id"]})
    answer.assert_problem(409, "superseded")
    # Another day and another account count on their own.
    for account, day in ((BANK, date(2026, 5, 2)), (WALLET, DAY)):
        other = await desk.take(
            programme_id, FORMATS[account], movements.write(programme, account, day, ROWS)
        )
        assert other["version"] == 1
    assert await kept(desk, programme) == (4, 3 + 2 + 3 + 3)


@pytest.mark.parametrize(
    ("account", "old", "new", "said"),
    [
        (BANK, "in_fen=5000", "in_fen=5001", "in_fen"),
        (BANK, "rows=3", "rows=4", "rows"),
        (BANK, "closing_fen=3770", "closing_fen=3771", "closes at 3771"),
        (BANK, ",1200,", ",1201,", "out_fen"),
        (WALLET, "|5000|", "|5001|", "refund_fen 5001"),
        (WALLET, "H|bank-of-tests", "X|bank-of-tests", "header"),
    ],
)
async def test_a_file_with_wrong_totals_leaves_nothing(
    desk: Bureau, account: str, old: str, new: str, said: str
) -> None:
    programme = await make_programme(desk)
    sound = movements.write(programme, account, DAY, ROWS).decode()
    assert old in sound
    answer = await desk.upload(
        programme.programme_id, FORMATS[account], sound.replace(old, new, 1).encode()
    )
    problem = answer.assert_problem(422, "invalid_request")
    assert problem["detail"] == "Nothing of this file was taken."
    assert said in " ".join(fault["msg"] for fault in problem["fields"])
    assert {tuple(fault["loc"]) for fault in problem["fields"]} == {("body",)}
    assert await kept(desk, programme) == (0, 0)


async def test_every_fault_is_named(desk: Bureau) -> None:
    programme = await make_programme(desk)
    spoilt = (
        movements.write(programme, BANK, DAY, ROWS)
        .replace(b"rows=3", b"rows=5")
        .replace(b"in_fen=5000", b"in_fen=1")
        .replace(b"out_fen=1230", b"out_fen=2")
    )
    answer = await desk.upload(programme.programme_id, FORMATS[BANK], spoilt)
    faults = [fault["msg"] for fault in answer.assert_problem(422, "invalid_request")["fields"]]
    for name in ("rows=5", "in_fen=1", "out_fen=2"):
        assert len([fault for fault in faults if name in fault]) == 1, faults


@pytest.mark.parametrize("account", [BANK, WALLET])
async def test_a_row_that_cannot_be_read_is_quarantined(desk: Bureau, account: str) -> None:
    programme = await make_programme(desk)
    content = movements.spoil_row(account, movements.write(programme, account, DAY, ROWS), 2)
    statement = await desk.take(programme.programme_id, FORMATS[account], content)
    assert (statement["rows"], statement["quarantined"]) == (3, 1)
    path = f"/v1/statements/{statement['statement_id']}/lines"
    (row,) = (await desk.finance.get(f"{path}?quarantined=true")).body["items"]
    assert (row["line_no"], row["direction"], row["amount_fen"]) == (2, None, None)
    assert "second" in row["raw"]
    assert row["fault"]
    others = (await desk.finance.get(f"{path}?quarantined=false")).body["items"]
    assert [line["line_no"] for line in others] == [1, 3]


async def test_a_file_of_another_account_is_refused(desk: Bureau) -> None:
    programme, other = await make_programme(desk), await make_programme(desk)
    for account in (BANK, WALLET):
        content = movements.write(other, account, DAY, ROWS)
        answer = await desk.upload(programme.programme_id, FORMATS[account], content)
        problem = answer.assert_problem(422, "invalid_request")
        assert str(other.programme_id) in problem["fields"][0]["msg"]
        # Nor is it taken for a file of the other format.
        wrong = FORMATS[WALLET if account == BANK else BANK]
        answer = await desk.upload(other.programme_id, wrong, content)
        answer.assert_problem(422, "invalid_request")
    assert await kept(desk, programme) == await kept(desk, other) == (0, 0)


async def test_a_file_may_be_large_and_nothing_else_may(desk: Bureau) -> None:
    programme = await make_programme(desk)
    rows = [Row(f"number-{n}", "in", 1 + n, f"B{n}") for n in range(4_000)]
    content = movements.write(programme, BANK, DAY, rows)
    assert len(content) > 2 * 64 * 1024
    statement = await desk.take(programme.programme_id, FORMATS[BANK], content)
    assert statement["rows"] == 4_000
    total_fen = sum(range(1, 4_001))
    assert statement["totals"]["in_fen"] == total_fen
    run = await desk.run(statement["statement_id"])
    assert run["by_type"] == [
        {"type": "missing_in_ledger", "differences": 4_000, "difference_fen": total_fen}
    ]
    # The first of them are shown at once, all of them page by page.
    assert [one["line_no"] for one in run["missing_in_ledger"]] == list(range(1, 101))
    path = f"/v1/reconciliations/{run['reconciliation_id']}/differences?limit=500"
    cursor, numbers = "", []
    for _ in range(8):
        page = (await desk.finance.get(path + cursor)).body
        numbers += [one["end_to_end_no"] for one in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert numbers == [row.number for row in rows]

    too_large = await desk.upload(
        programme.programme_id, FORMATS[BANK], b" " * (FILE_BYTES_MAX + 1)
    )
    too_large.assert_problem(413, "payload_too_large")
    answer = await desk.finance.send(
        "POST",
        "/v1/reconciliations",
        data=b" " * 65_537,
        headers={"Content-Type": "application/json"},
    )
    answer.assert_problem(413, "payload_too_large")


async def test_media_types(desk: Bureau) -> None:
    programme = await make_programme(desk)
    path = f"/v1/statements?format=bank-statement&programme_id={programme.programme_id}"
    content = movements.write(programme, BANK, DAY, ROWS)
    for refused in ("application/json", "multipart/form-data", "text/html", "csv", ""):
        answer = await desk.finance.send(
            "POST", path, data=content, headers={"Content-Type": refused}
        )
        answer.assert_problem(415, "unsupported_media_type")
    for nth, taken in enumerate(
        ("text/csv; charset=utf-8", "TEXT/PLAIN", "application/octet-stream")
    ):
        answer = await desk.finance.send(
            "POST", path, data=content, headers={"Content-Type": taken}
        )
        assert answer.status == (200 if nth else 201), answer.body


async def test_one_key_is_one_upload(desk: Bureau) -> None:
    programme = await make_programme(desk)
    content = movements.write(programme, BANK, DAY, ROWS)
    path = f"/v1/statements?format=bank-statement&programme_id={programme.programme_id}"
    headers = {**CSV, "Idempotency-Key": f"upload-{programme.programme_id}"}
    first = await desk.finance.send("POST", path, data=content, headers=headers)
    again = await desk.finance.send("POST", path, data=content, headers=headers)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    other = movements.write(programme, BANK, DAY, ROWS[:1])
    answer = await desk.finance.send("POST", path, data=other, headers=headers)
    answer.assert_problem(422, "idempotency_key_reused")
    assert await kept(desk, programme) == (1, 3)


async def test_uploads_at_once(desk: Bureau) -> None:
    """The same bytes become one statement; different ones become one version each."""
    programme = await make_programme(desk)
    same = movements.write(programme, BANK, DAY, ROWS)
    answers = await asyncio.gather(
        *(desk.upload(programme.programme_id, FORMATS[BANK], same) for _ in range(5))
    )
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.body["statement_id"] for answer in answers}) == 1
    others = [
        movements.write(programme, BANK, DAY, [Row(f"only-{n}", "in", 1, "")]) for n in range(5)
    ]
    answers = await asyncio.gather(
        *(desk.upload(programme.programme_id, FORMATS[BANK], other) for other in others)
    )
    assert [answer.status for answer in answers] == [201] * 5
    assert sorted(answer.body["version"] for answer in answers) == [2, 3, 4, 5, 6]
    listed = await desk.finance.get(f"/v1/statements?programme_id={programme.programme_id}")
    assert [one["version"] for one in listed.body["items"] if one["is_current"]] == [6]


async def test_who_may_upload(desk: Bureau) -> None:
    programme = await make_programme(desk)
    path = f"/v1/statements?format=bank-statement&programme_id={programme.programme_id}"
    content = movements.write(programme, BANK, DAY, ROWS)
    for role in ("approver", "auditor", "operator", "resident"):
        answer = await desk.staff("x", role).send("POST", path, data=content, headers=CSV)
        answer.assert_problem(403, "forbidden")
    elsewhere = desk.staff("finance-2", "finance", city="440300")
    answer = await elsewhere.send("POST", path, data=content, headers=CSV)
    answer.assert_problem(404, "not_found")
    statement = await desk.take(programme.programme_id, FORMATS[BANK], content)
    for tail in ("", "/lines"):
        answer = await elsewhere.get(f"/v1/statements/{statement['statement_id']}{tail}")
        answer.assert_problem(404, "not_found")
    answer = await elsewhere.post(
        "/v1/reconciliations", {"statement_id": statement["statement_id"]}
    )
    answer.assert_problem(404, "not_found")
