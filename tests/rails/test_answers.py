"""What a counterparty answers is believed only where it proves something; else nothing is known."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.ledger.bank import Bank
from services.redeem.ecny_operator import EcnyOperator, Instruction
from shared.counterparties import (
    BANK,
    ECNY_OPERATOR,
    VARIABLES,
    Counterparty,
    Fate,
    find_counterparty,
    reach,
    url_file,
)
from shared.ids import new_id

NUMBER = new_id(1)
AT = datetime(2026, 5, 1, tzinfo=UTC)
PAY = Instruction(1, NUMBER, new_id(1), "pay", None, 700, "wallet", "payee", 2, AT)
REFUND = Instruction(1, NUMBER, new_id(1), "refund", new_id(1), 700, "wallet", "payee", 2, AT)
PAID: dict[str, Any] = {
    "end_to_end_no": str(NUMBER),
    "kind": "pay",
    "amount_fen": 700,
    "state": "confirmed",
    "operator_txn_no": "op-1",
    "completed_at": "2026-05-01T10:00:00Z",
    "something_new": [1],
}
PAID_OUT: dict[str, Any] = {
    "end_to_end_no": str(NUMBER),
    "amount_fen": 700,
    "state": "paid",
    "bank_txn_no": "bank-1",
}


@asynccontextmanager
async def answering(
    counterparty: str, answer: Callable[[], bytes | None]
) -> AsyncIterator[Counterparty]:
    """Reach a server that answers every request with these bytes, or with none at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        told = answer()
        if told is None:
            await asyncio.sleep(5)
        else:
            writer.write(told)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    environ = {VARIABLES[counterparty]: f"http://{host}:{port}/"}
    async with reach(
        counterparty, Path("/nowhere"), environ, answers_within_s=0.3, connections_max=4
    ) as reached:
        yield reached
    server.close()


def http(status: int, body: object, *headers: str) -> Callable[[], bytes]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close"]
    told = "\r\n".join([*head, *headers, "", ""]).encode() + content
    return lambda: told


@pytest.mark.parametrize(
    ("status", "body", "fate"),
    [
        (200, PAID, Fate.CONFIRMED),
        (200, PAID | {"state": "rejected", "reason": "a\x00b\nc"}, Fate.REJECTED),
        (200, PAID | {"state": "processing"}, Fate.PROCESSING),
        (404, {"code": "not_found"}, Fate.NOT_ARRIVED),
        (200, PAID | {"operator_txn_no": None}, Fate.UNKNOWN),
        (200, PAID | {"operator_txn_no": "x" * 65}, Fate.UNKNOWN),
        (200, PAID | {"operator_txn_no": "op\x001"}, Fate.UNKNOWN),
        (200, PAID | {"completed_at": None}, Fate.UNKNOWN),
        (200, PAID | {"completed_at": "0001-01-01T00:00:00Z"}, Fate.UNKNOWN),
        (200, PAID | {"completed_at": "9999-12-31T23:59:59-14:00"}, Fate.UNKNOWN),
        (200, PAID | {"completed_at": "2026-05-01T10:00:00"}, Fate.UNKNOWN),
        (200, PAID | {"amount_fen": 701}, Fate.UNKNOWN),
        (200, PAID | {"end_to_end_no": str(new_id(1))}, Fate.UNKNOWN),
        (200, PAID | {"kind": "refund"}, Fate.UNKNOWN),
        (200, PAID | {"state": "unknown"}, Fate.UNKNOWN),
        (200, PAID | {"state": "not_arrived"}, Fate.UNKNOWN),
        (200, {}, Fate.UNKNOWN),
        (200, [PAID], Fate.UNKNOWN),
        (200, None, Fate.UNKNOWN),
        (200, b"<html>", Fate.UNKNOWN),
        (200, b"\xff\xfe", Fate.UNKNOWN),
        (200, b"[" * 20_000, Fate.UNKNOWN),
        (200, b" " * 300_000 + json.dumps(PAID).encode(), Fate.UNKNOWN),
        (201, PAID, Fate.UNKNOWN),
        (302, PAID, Fate.UNKNOWN),
        (401, PAID, Fate.UNKNOWN),
        (409, {"code": "number_reused"}, Fate.UNKNOWN),
        (422, {"code": "invalid_request"}, Fate.UNKNOWN),
        (500, PAID, Fate.UNKNOWN),
        (503, {"code": "overloaded"}, Fate.UNKNOWN),
    ],
)
async def test_what_the_operator_says(status: int, body: object, fate: Fate) -> None:
    async with answering(ECNY_OPERATOR, http(status, body)) as reached:
        operator = EcnyOperator(reached)
        queried = await operator.query(PAY)
        sent = await operator.instruct(PAY)
    assert queried.fate is fate
    assert sent == queried
    if fate is Fate.CONFIRMED:
        assert (queried.txn_no, queried.completed_at) == (
            "op-1",
            datetime(2026, 5, 1, 10, tzinfo=UTC),
        )
    elif fate is Fate.REJECTED:
        assert queried.reason == "a b c"


async def test_a_refund_is_not_believed_from_its_payment() -> None:
    async with answering(ECNY_OPERATOR, http(200, PAID)) as reached:
        assert (await EcnyOperator(reached).query(REFUND)).fate is Fate.UNKNOWN
    async with answering(ECNY_OPERATOR, http(200, PAID | {"kind": "refund"})) as reached:
        assert (await EcnyOperator(reached).query(REFUND)).fate is Fate.CONFIRMED


@pytest.mark.parametrize(
    ("status", "body", "fate"),
    [
        (200, PAID_OUT, Fate.CONFIRMED),
        (200, PAID_OUT | {"state": "rejected"}, Fate.REJECTED),
        (200, PAID_OUT | {"state": "processing"}, Fate.PROCESSING),
        (404, None, Fate.NOT_ARRIVED),
        (200, PAID_OUT | {"bank_txn_no": ""}, Fate.UNKNOWN),
        (200, PAID_OUT | {"bank_txn_no": "b\x00"}, Fate.UNKNOWN),
        (200, PAID_OUT | {"amount_fen": 699}, Fate.UNKNOWN),
        (200, PAID_OUT | {"end_to_end_no": "x"}, Fate.UNKNOWN),
        (200, PAID_OUT | {"state": "confirmed"}, Fate.UNKNOWN),
        (200, b"", Fate.UNKNOWN),
        (502, PAID_OUT, Fate.UNKNOWN),
    ],
)
async def test_what_the_bank_says(status: int, body: object, fate: Fate) -> None:
    async with answering(BANK, http(status, body)) as reached:
        assert (await Bank(reached).query(NUMBER, 700)).fate is fate


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (201, False), (409, False), (422, False), (500, False)]
)
async def test_a_file_is_given_where_the_bank_says_so(status: int, *, taken: bool) -> None:
    async with answering(BANK, http(status, {})) as reached:
        assert await Bank(reached).give(NUMBER, b"file", AT) is taken


@pytest.mark.parametrize(
    "told",
    [
        None,
        b"",
        b"\x00\x01\x02\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * 70_000 + b"\r\n\r\n",
    ],
)
async def test_no_whole_answer_means_that_nothing_is_known(told: bytes | None) -> None:
    async with answering(ECNY_OPERATOR, lambda: told) as reached:
        assert (await EcnyOperator(reached).instruct(PAY)).fate is Fate.UNKNOWN


async def test_nothing_is_unpacked() -> None:
    """It was not asked to pack, and could pack more than there is memory for."""
    packed = http(200, gzip.compress(json.dumps(PAID).encode()), "content-encoding: gzip")
    async with answering(ECNY_OPERATOR, packed) as reached:
        assert (await EcnyOperator(reached).instruct(PAY)).fate is Fate.UNKNOWN


async def test_a_redirect_is_not_followed() -> None:
    """Else whoever redirects could see what is sent, and answer it."""
    followed: list[int] = []

    def elsewhere() -> bytes:
        followed.append(1)
        return http(307, {}, "location: /elsewhere")()

    async with answering(ECNY_OPERATOR, elsewhere) as reached:
        assert (await EcnyOperator(reached).instruct(PAY)).fate is Fate.UNKNOWN
    assert len(followed) == 1


def may_be_asked(reached: Counterparty | EcnyOperator) -> bool:
    return reached.may_be_asked


async def test_one_that_is_gone_is_left_alone_for_longer_and_longer(tmp_path: Path) -> None:
    url_file(tmp_path, BANK).parent.mkdir()
    async with reach(BANK, tmp_path, {}, answers_within_s=0.3, connections_max=4) as reached:
        assert not may_be_asked(reached), "there is none"
        url_file(tmp_path, BANK).write_text("http://127.0.0.1:1\n")
        rests: list[float] = []
        for _ in range(3):
            assert may_be_asked(reached)
            assert await reached.ask("GET", "/") is None
            assert reached.is_doubtful
            began_s = asyncio.get_running_loop().time()
            while not may_be_asked(reached):  # noqa: ASYNC110 - only time tells
                await asyncio.sleep(0.01)
            rests.append(asyncio.get_running_loop().time() - began_s)
        assert rests[0] < rests[1] < rests[2] < 3


async def test_one_silent_answer_does_not_stop_the_others() -> None:
    """Eight in a row do; any answer clears it."""
    answers: list[bytes | None] = [None, *[http(200, PAID)()] * 2, *[None] * 8]
    async with answering(ECNY_OPERATOR, lambda: answers.pop(0)) as reached:
        operator = EcnyOperator(reached)
        assert (await operator.query(PAY)).fate is Fate.UNKNOWN
        assert reached.is_doubtful
        assert may_be_asked(operator)
        await operator.query(PAY)
        assert (await operator.query(PAY)).fate is Fate.CONFIRMED
        assert not operator.is_doubtful
        words = await asyncio.gather(*(operator.query(PAY) for _ in range(8)))
        assert {word.fate for word in words} == {Fate.UNKNOWN}
        assert not may_be_asked(operator)


def test_a_counterparty_is_named_or_found(tmp_path: Path) -> None:
    assert find_counterparty(BANK, tmp_path, {}) is None
    url_file(tmp_path, BANK).parent.mkdir()
    url_file(tmp_path, BANK).write_text("http://127.0.0.1:9/\n")
    assert find_counterparty(BANK, tmp_path, {}) == "http://127.0.0.1:9"
    assert find_counterparty(ECNY_OPERATOR, tmp_path, {}) is None
    named = {"FAIRDROP_BANK_URL": "https://bank.example/"}
    assert find_counterparty(BANK, tmp_path, named) == "https://bank.example"
