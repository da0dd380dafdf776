"""Whatever is sent, the answer is a problem that names the sender's fault, never a 500."""

import json
import random
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.callers import Answer
from tests.campaign.test_hostile_input import BYTES, JSON, OTHER_TYPES, VALUES, _replaced
from tests.reconciling import histories, movements
from tests.reconciling.bureau import CSV, Bureau
from tests.reconciling.histories import History
from tests.reconciling.movements import BANK, FORMATS, WALLET, Row

EXPECTED = frozenset({403, 404, 409, 422})
Operation = tuple[str, dict[str, Any]]


def assert_told(answer: Answer, what: object) -> None:
    """Check that this is an answer of the contract, whichever."""
    if answer.status not in {200, 201}:
        assert answer.status in EXPECTED, (what, answer.body)
        answer.assert_problem(answer.status, answer.body["code"])


async def operations(desk: Bureau) -> tuple[History, str, list[Operation]]:
    """Return every POST that takes a body, with one that is sound, and a statement."""
    history = await histories.begin(desk, "bank")
    programme_id = str(history.programme.programme_id)
    await histories.redeem(desk, history, 0, 3)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    content = movements.write(history.programme, BANK, day, [Row("x", "in", 1, "")])
    statement = await desk.take(history.programme.programme_id, FORMATS[BANK], content)
    await desk.run(statement["statement_id"])
    found = await desk.breaks(history.programme.programme_id, "&type=missing_in_ledger")
    return (
        history,
        statement["statement_id"],
        [
            ("/v1/settlement-batches", {"programme_id": programme_id, "cut_off": str(day)}),
            (
                "/v1/returns",
                {"programme_id": programme_id, "funder_id": "city", "include_budget": False},
            ),
            ("/v1/reconciliations", {"statement_id": statement["statement_id"]}),
            (
                f"/v1/breaks/{found[0]['break_id']}/propose",
                {"proposal": "accept", "reason": "so it is"},
            ),
        ],
    )


async def test_every_field_of_every_body(desk: Bureau) -> None:
    _, _, posts = await operations(desk)
    for path, sound in posts:
        for value in VALUES:
            for body in _replaced(sound, value):
                answer = await desk.finance.send(
                    "POST", path, data=json.dumps(body).encode(), headers=JSON
                )
                assert_told(answer, (path, body))


async def test_bytes_that_are_no_body(desk: Bureau) -> None:
    _, _, posts = await operations(desk)
    for path, _ in posts:
        for data in BYTES:
            answer = await desk.finance.send("POST", path, data=data, headers=JSON)
            answer.assert_problem(422, "invalid_request")
        for media_type in OTHER_TYPES:
            answer = await desk.finance.send(
                "POST", path, data=b"{}", headers={"Content-Type": media_type}
            )
            assert answer.status in {415, 422}, (media_type, answer.body)
            answer.assert_problem(answer.status, answer.body["code"])
        answer = await desk.finance.send("POST", path, data=b" " * 65_537, headers=JSON)
        answer.assert_problem(413, "payload_too_large")


@pytest.mark.parametrize("account", [BANK, WALLET])
async def test_files_that_are_none(desk: Bureau, account: str) -> None:
    """Sound files with something wrong anywhere, and bytes that were never a file."""
    chosen = random.Random(31)
    history, _, _ = await operations(desk)
    day = await desk.today()
    path = f"/v1/statements?format={FORMATS[account]}&programme_id=" + str(
        history.programme.programme_id
    )
    sound = movements.write(
        history.programme,
        account,
        day,
        [Row(f"n-{nth}", "in" if nth % 2 else "out", 10 + nth, f"c-{nth}") for nth in range(4)],
    )
    taken = 0
    for data in (*BYTES, *(damaged(sound, chosen) for _ in range(250))):
        answer = await desk.finance.send("POST", path, data=data, headers=CSV)
        assert_told(answer, data)
        if answer.status in {200, 201}:
            taken += 1
            run = await desk.finance.post(
                "/v1/reconciliations", {"statement_id": answer.body["statement_id"]}
            )
            assert_told(run, data)
            lines = await desk.finance.get(
                f"/v1/statements/{answer.body['statement_id']}/lines?limit=500"
            )
            assert lines.status == 200
    # What is damaged does not pass for sound: its totals and its digest see to that.
    assert taken <= 2, taken


def damaged(sound: bytes, chosen: random.Random) -> bytes:
    at = chosen.randrange(len(sound))
    upto = min(len(sound), at + chosen.randrange(1, 20))
    match chosen.randrange(5):
        case 0:
            return sound[:at] + chosen.randbytes(upto - at) + sound[upto:]
        case 1:
            return sound[:at] + sound[upto:]
        case 2:
            return sound[:at] + sound[at:upto] * 2 + sound[upto:]
        case 3:
            lines = sound.split(b"\n")
            chosen.shuffle(lines)
            return b"\n".join(lines)
    strange = chosen.choice(
        [b"9" * 25, b"-1", b"\xe2\x80\xae", b'"', b"\r\n", b"|", b",", b"1e9", "٣".encode()]
    )
    return sound[:at] + strange + sound[upto:]


@pytest.mark.parametrize("account", [BANK, WALLET])
async def test_rows_that_are_strange_are_kept_or_quarantined(desk: Bureau, account: str) -> None:
    """Files whose totals are right, so that only the rows can be odd."""
    history, _, _ = await operations(desk)
    programme = history.programme
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    strange = [
        *("=1+1", "x" * 64, "'; DROP TABLE x; --", "券", "\u202e", "a b", "%00", "null", "{}"),
        *("row|2026", "journal", "-1", "0", "😀" * 16),
    ]
    if account == WALLET:
        strange = [number for number in strange if "|" not in number]
    rows = [
        row
        for number in strange
        for row in (
            *(Row(number, "in", 1, number), Row(number, "in", 1, number)),
            Row(number, "out", 10**13, number),
        )
    ]
    statement = await desk.take(
        programme.programme_id,
        FORMATS[account],
        movements.write(programme, account, day, rows, opening_fen=10**14),
    )
    run = await desk.run(statement["statement_id"])
    assert run["matched"] == 0
    assert run["lines"] == len(rows)
    breaks = await desk.breaks(programme.programme_id, f"&statement_id={statement['statement_id']}")
    stated = [one for one in breaks if one["type"] == "missing_in_ledger"]
    assert len(stated) == len(rows) - statement["quarantined"]
    again = await desk.run(statement["statement_id"])
    assert again["result_hash"] == run["result_hash"]


async def test_paths_and_queries(desk: Bureau) -> None:
    chosen = random.Random(8)
    history, statement_id, _ = await operations(desk)
    known = f"programme_id={history.programme.programme_id}"
    hostile = ["%00", "%FF%FE", "..%2f", "%F0%9F%8E%AB", "x" * 3000, "'", "%ED%A0%80", "-1", ""]
    hostile += [quote(chosen.randbytes(chosen.randrange(1, 40)), safe="") for _ in range(12)]
    for junk in hostile:
        for path in (
            f"/v1/settlement-records?programme_id={junk}",
            f"/v1/settlement-records?{known}&merchant_id={junk}&accounting_date={junk}",
            f"/v1/settlement-records?{known}&record_type={junk}",
            f"/v1/settlement-records?{known}&batch_id={junk}&cursor={junk}",
            f"/v1/settlement-batches?{known}&state={junk}&cursor={junk}",
            f"/v1/settlement-batches/{junk}",
            f"/v1/settlement-batches/{junk}/payouts",
            f"/v1/settlement-batches/{junk}/payout-file",
            f"/v1/returns?{known}&limit={junk}",
            f"/v1/returns/{junk}",
            f"/v1/statements?{known}&day={junk}&format={junk}",
            f"/v1/statements/{junk}",
            f"/v1/statements/{statement_id}/lines?quarantined={junk}",
            f"/v1/statements/{statement_id}/lines?cursor={junk}&{junk}=1",
            f"/v1/reconciliations?{known}&statement_id={junk}",
            f"/v1/reconciliations/{junk}/differences?type={junk}",
            f"/v1/reconciliations/{junk}/matches",
            f"/v1/breaks?{known}&state={junk}",
            f"/v1/breaks?{known}&type={junk}&statement_id={junk}",
            f"/v1/breaks/{junk}",
        ):
            assert_told(await desk.finance.get(path), path)
        for path in (
            f"/v1/statements?format={junk}&{known}",
            f"/v1/statements?format=bank-statement&programme_id={junk}",
            f"/v1/statements?{junk}=1",
        ):
            answer = await desk.finance.send("POST", path, data=b"x", headers=CSV)
            assert_told(answer, path)
        for path in (
            f"/v1/settlement-batches/{junk}/approve",
            f"/v1/returns/{junk}/reject",
            f"/v1/breaks/{junk}/approve",
        ):
            assert_told(await desk.approver.post(path), path)


async def test_cursors_of_other_lists(desk: Bureau) -> None:
    """A cursor is checked, and never widens what is seen; one of another list means nothing."""
    history, statement_id, _ = await operations(desk)
    known = f"programme_id={history.programme.programme_id}"
    lists = [
        f"/v1/settlement-records?{known}",
        f"/v1/settlement-batches?{known}",
        f"/v1/returns?{known}",
        f"/v1/statements?{known}",
        f"/v1/statements/{statement_id}/lines?limit=50",
        f"/v1/reconciliations?{known}",
        f"/v1/breaks?{known}",
    ]
    cursors = {(await desk.finance.get(f"{one}&limit=1")).body["next_cursor"] for one in lists[:4]}
    for one in lists:
        for cursor in {*cursors, "e30", "W10", "bnVsbA", "MQ", "x"} - {None}:
            assert_told(await desk.finance.get(f"{one}&cursor={cursor}"), (one, cursor))


async def test_days_that_are_none(desk: Bureau) -> None:
    history, _, _ = await operations(desk)
    programme_id = str(history.programme.programme_id)
    days: tuple[object, ...] = (
        *("2026-13-01", "2026-02-30", "1999-12-31", "2200-01-01", "9999-12-31", "0001-01-01"),
        *("2026-5-1", "20260501", "2026-05-01T00:00:00Z", "2026-W18-5", "yesterday", "", "١٢٣"),
        *(0, 1, 20_000, 1.5, True, None, [], {}),
    )
    for day in days:
        answer = await desk.finance.post(
            "/v1/settlement-batches", {"programme_id": programme_id, "cut_off": day}
        )
        problem = answer.assert_problem(422, "invalid_request")
        assert problem["fields"][0]["loc"] == ["body", "cut_off"]


async def test_keys_that_are_none(desk: Bureau) -> None:
    _, _, posts = await operations(desk)
    for path, body in posts[:3]:
        for key in ("", '""', "x" * 256, "two words", "ключ"):
            answer = await desk.finance.post(path, body, key=key)
            problem = answer.assert_problem(422, "invalid_request")
            assert problem["fields"][0]["loc"] == ["header", "Idempotency-Key"]
    # A key of an answer of another kind is another request.
    key = f"key-{uuid4()}"
    first = await desk.finance.post(*posts[2], key=key)
    assert first.status == 201
    (await desk.finance.post(*posts[1], key=key)).assert_problem(422, "idempotency_key_reused")
