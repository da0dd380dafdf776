"""Whatever a simulator is sent, it answers with a problem of the sender's, never with a 500."""

import json
from collections.abc import Iterator
from typing import Any

from tests.callers import Caller
from tests.simulating.asking import ACCOUNT, AT, DAY, SHOP, WALLET, deposit, give, pay, top_up

VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1.5, 2**31, 2**63, -(2**63) - 1, 10**300, 10**13),
    *("", " ", "\x00", "a\x00b", "\ud800", "\u202e", "a|b", "a;b=c", "a\nb", "x" * 5000),
    *("2026-13-45T99:99:99Z", "0001-01-01T00:00:00+14:00", "0001-01-01", "9999-12-31", "٣"),
    *([], [[]], [None] * 200, {}, {"": {"": []}}),
)
BYTES = (b"", b"{", b"null", b"[]", b"17", b"NaN", b"\xff\xfe\x00", b"[" * 30_000, b'{"a":' * 9_000)
JSON = {"Content-Type": "application/json"}
LIE = {"account": WALLET, "day": DAY.isoformat(), "seed": 1, "lies": [{"what": "extra"}]}
FAULT = {"on": "refunds", "do": "delay", "times": 1, "every": 9, "delay_ms": 1, "match": "nobody"}
COMMANDS = [
    ("/simulate/clock", {"now": AT}),
    ("/simulate/faults", {"faults": [FAULT]}),
    ("/simulate/lies", LIE),
]
OPERATOR = [
    *COMMANDS,
    (
        "/v1/payments",
        {
            "end_to_end_no": "e-9",
            "wallet": WALLET,
            "payee_wallet": SHOP,
            "amount_fen": 1,
            "instructed_at": AT,
        },
    ),
    (
        "/v1/refunds",
        {"end_to_end_no": "r-9", "original_end_to_end_no": "e-1", "amount_fen": 1},
    ),
    (
        f"/v1/wallets/{WALLET}/transfers",
        {"reference": "move-9", "direction": "in", "amount_fen": 1, "instructed_at": AT},
    ),
]
BANK = [
    ("/simulate/lies", LIE | {"account": ACCOUNT}),
    (
        "/v1/deposits",
        {
            "account": ACCOUNT,
            "reference": "in-9",
            "amount_fen": 1,
            "counterparty": "x",
            "instructed_at": AT,
        },
    ),
    ("/v1/transfers", {"account": ACCOUNT, "reference": "out-9", "amount_fen": 1}),
]


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


async def _try_everything(caller: Caller, operations: list[tuple[str, Any]]) -> None:
    for path, sound in operations:
        for value in VALUES:
            for body in _replaced(sound, value):
                # Some replacements are sound, as a free text that is only odd.
                answer = await caller.send(
                    "POST", path, data=json.dumps(body).encode(), headers=JSON
                )
                if answer.status not in {200, 201}:
                    assert answer.status in {404, 409, 422}, (path, value, answer.body)
                    answer.assert_problem(answer.status, answer.body["code"])
        for data in BYTES:
            answer = await caller.send("POST", path, data=data, headers=JSON)
            answer.assert_problem(422, "invalid_request")


async def _try_paths(caller: Caller, *paths: str) -> None:
    hostile = ("%00", "%FF%FE", "..%2f", "%F0%9F%8E%AB", "x" * 3000, "'", "a%7Cb", "a%3Bb", "%0A")
    days = ("2026-13-01", "0001-01-01", "9999-12-31", "1e9", "99999999999999", "-1", "%00", "٣")
    for path in paths:
        for name in hostile:
            for day in (DAY.isoformat(), *days):
                answer = await caller.send("GET", path.format(name=name, day=day))
                assert answer.status in {404, 422}, (path, name, day, answer.body)


async def test_the_operator(operator: Caller) -> None:
    await top_up(operator)
    await pay(operator, "e-1")
    await _try_everything(operator, OPERATOR)
    await _try_paths(
        operator, "/v1/payments/{name}", "/v1/wallets/{name}", "/v1/files/{name}/{day}"
    )
    # Whatever was taken of all this, the files can still be written.
    async with operator.http.get(f"/v1/files/{WALLET}/{DAY}") as answer:
        assert answer.status == 200


async def test_the_bank(bank: Caller) -> None:
    await deposit(bank)
    await _try_everything(bank, BANK)
    await _try_paths(
        bank, "/v1/payouts/{name}", "/v1/accounts/{name}", "/v1/statements/{name}/{day}"
    )
    for data in BYTES:
        (await give(bank, data)).assert_problem(422, "file_refused")
    async with bank.http.get(f"/v1/statements/{ACCOUNT}/{DAY}") as answer:
        assert answer.status == 200


async def test_days_at_the_ends_of_time_have_files_too(operator: Caller, bank: Caller) -> None:
    await top_up(operator)
    await deposit(bank)
    for day in ("0001-01-01", "9999-12-31"):
        lies = {"day": day, "lies": [{"what": "extra"}]}
        for caller, account, path in (
            (operator, WALLET, f"/v1/files/{WALLET}/{day}"),
            (bank, ACCOUNT, f"/v1/statements/{ACCOUNT}/{day}"),
        ):
            answer = await caller.post("/simulate/lies", lies | {"account": account})
            assert answer.status == 201, answer.body
            async with caller.http.get(path) as file:
                assert file.status == 200


async def test_an_account_holds_no_more_than_a_statement_can_say(bank: Caller) -> None:
    for number in range(99):
        assert (await deposit(bank, 10**13, reference=f"in-{number}")).status == 201
    most = 10**15 - 1 - 99 * 10**13
    assert (await deposit(bank, most, reference="last")).status == 201
    full = await deposit(bank, 1, reference="one more")
    full.assert_problem(409, "insufficient_balance")
    async with bank.http.get(f"/v1/statements/{ACCOUNT}/{DAY}") as answer:
        assert answer.status == 200


async def test_what_both_say_of_themselves(operator: Caller, bank: Caller) -> None:
    for caller in (operator, bank):
        told = (await caller.get("/openapi.json")).body
        assert "Simulated" in told["info"]["title"]
        for path, operations in told["paths"].items():
            for method, operation in operations.items():
                assert operation.get("description") or operation.get("summary"), (method, path)
        assert (await caller.get("/readyz")).status == 200
