"""Whatever is sent, the answer is a problem that names the sender's fault, never a 500."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from tests import builders
from tests.callers import Caller
from tests.campaign.desk import Desk
from tests.campaign.terms import (
    CITY,
    VOID,
    Body,
    drop_terms,
    kind,
    make_live_drop,
    make_merchant,
    make_programme,
    make_terminal,
    merchant_terms,
    moment,
    programme_terms,
)

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, -0.0, 2**31, 2**63, -(2**63) - 1, 10**300, 1e308),
    *("", " ", "\x00", "a\x00b", "\ud800", "\u202e", "x" * 5000, "'; DROP TABLE drops; --"),
    *("NaN", "2026-13-45T99:99:99Z", "0001-01-01T00:00:00+14:00", "٣٣"),
    *([], [[]], [None] * 200, {}, {"$gt": 1}, {"": {"": []}}),
)
BYTES = (
    b"",
    b" ",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"17",
    b"NaN",
    b"\xff\xfe\x00",
    b"\x00" * 64,
    b'{"name": NaN}',
    b'{"quota": Infinity}',
    b'{"quota": 1e999}',
    b'{"quota": ' + b"9" * 5000 + b"}",
    b'{"\xed\xa0\x80": 1}',
    b'{"\\ud800": 1}',
    b'{"quota": 1, "quota": {}}',
    b"[" * 30_000,
    b'{"a":' * 10_000,
    b"\xef\xbb\xbf{}",
)
JSON = {"Content-Type": "application/json"}
OTHER_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", "")


def _replaced(body: Any, value: object) -> Iterator[Any]:  # noqa: ANN401 - JSON of any shape
    """Return copies of `body` in each of which one part is replaced, or has one member more."""
    yield value
    if isinstance(body, dict):
        for name in body:
            for part in _replaced(body[name], value):
                yield body | {name: part}
        yield body | {"unknown": value}
    elif isinstance(body, list):
        for at, element in enumerate(body):
            for part in _replaced(element, value):
                yield [*body[:at], part, *body[at + 1 :]]


async def _operations(desk: Desk, operator: Caller) -> list[tuple[str, str, Body]]:
    programme_id = await make_programme(operator)
    _, drop_id = await make_live_drop(operator)
    claim_id = (await builders.issue(desk.owner, UUID(drop_id), 1)).won[0]
    merchant_id = await make_merchant(operator, programme_id)
    merchant = merchant_terms(
        programme_id, mcc="5812", region_code="330106", payout_account="1", wallet_id="1"
    )
    drop = drop_terms(programme_id, pack=[kind("a", valid_days=None, valid_until=moment(days=9))])
    return [
        ("POST", "/v1/programmes", programme_terms()),
        (
            "POST",
            f"/v1/programmes/{programme_id}/funding",
            {"funder_id": "city", "amount_fen": 1, "reference": "x", "settles_pledge": False},
        ),
        ("POST", "/v1/drops", drop),
        ("PATCH", f"/v1/drops/{drop_id}", {"quota": 12}),
        ("POST", f"/v1/claims/{claim_id}/void", VOID),
        ("POST", "/v1/merchants", merchant),
        ("POST", f"/v1/merchants/{merchant_id}/programmes", {"programme_id": programme_id}),
        ("POST", f"/v1/merchants/{merchant_id}/terminals", {}),
    ]


async def test_every_field_of_every_body(desk: Desk) -> None:
    operator = desk.operator(CITY)
    for method, path, sound in await _operations(desk, operator):
        for value in VALUES:
            for body in _replaced(sound, value):
                # Some replacements are sound, as a free text that is only odd.
                answer = await operator.send(
                    method, path, data=json.dumps(body).encode(), headers=JSON
                )
                if answer.status not in {200, 201}:
                    assert answer.status in {403, 404, 409, 422}, (path, value, answer.body)
                    answer.assert_problem(answer.status, answer.body["code"])


async def test_bytes_that_are_no_body(desk: Desk) -> None:
    operator = desk.operator(CITY)
    for method, path, sound in await _operations(desk, operator):
        for data in BYTES:
            answer = await operator.send(method, path, data=data, headers=JSON)
            if sound == {} and data == BYTES[-1]:  # a byte order mark, and what is wanted
                assert answer.status == 201
                continue
            answer.assert_problem(422, "invalid_request")
        for media_type in OTHER_TYPES:
            answer = await operator.send(
                method, path, data=b'{"quota": 12}', headers={"Content-Type": media_type}
            )
            assert answer.status in {415, 422}, (media_type, answer.body)
            answer.assert_problem(answer.status, answer.body["code"])
        answer = await operator.send(method, path, data=b" " * 65_537, headers=JSON)
        answer.assert_problem(413, "payload_too_large")


async def test_bodies_where_none_is_wanted_are_ignored(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    for change in ("publish", "pause", "resume", "close"):
        for data in BYTES[:9]:
            answer = await operator.send(
                "POST", f"/v1/drops/{drop_id}/{change}", data=data, headers=JSON
            )
            assert answer.status == 200, (change, data, answer.body)
    merchant = f"/v1/merchants/{await make_merchant(operator)}"
    terminal = (await make_terminal(operator, merchant.rpartition("/")[2]))["terminal_id"]
    for caller, path in (
        (desk.approver(CITY), f"{merchant}/approve"),
        (operator, f"{merchant}/terminals/{terminal}/suspend"),
        (operator, f"{merchant}/suspend"),
    ):
        for data in BYTES[:9]:
            answer = await caller.send("POST", path, data=data, headers=JSON)
            assert answer.status == 200, (path, data, answer.body)


async def test_paths_and_queries(desk: Desk) -> None:
    operator = desk.operator("*")
    for hostile in ("%00", "%FF%FE", "..%2f", "%F0%9F%8E%AB", "x" * 3000, "'", "%ED%A0%80"):
        for path in (
            f"/v1/programmes/{hostile}",
            f"/v1/drops/{hostile}",
            f"/v1/drops?programme_id={hostile}",
            f"/v1/drops?cursor={hostile}",
            f"/v1/programmes?limit={hostile}",
            f"/v1/programmes?{hostile}={hostile}",
            f"/v1/merchants/{hostile}",
            f"/v1/merchants/{hostile}/terminals?cursor={hostile}",
            f"/v1/merchants?state={hostile}",
        ):
            answer = await operator.get(path)
            assert answer.status in {200, 404, 422}, (path, answer.body)
            if answer.status != 200:
                answer.assert_problem(answer.status, answer.body["code"])
