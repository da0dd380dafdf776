"""gate.lua on a real Valkey: it counts exactly, and believes nothing that it did not write."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.gate import keys
from shared.gate.gate import KEPT_AFTER_LAST_STATEMENT_MS, Gate, connect
from shared.gate.statement import Statement, microseconds
from shared.ids import new_id

DAY_US = 24 * 3600 * 1_000_000
NOW_US = microseconds(datetime(2026, 5, 1, tzinfo=UTC))
LIVE = Statement(
    version=5,
    state="live",
    remaining=3,
    issued=7,
    quota=10,
    opens_us=NOW_US - DAY_US,
    closes_us=NOW_US + 36_500 * DAY_US,
)


def holders(count: int, first: int = 0) -> list[bytes]:
    return [n.to_bytes(8, "big") for n in range(first, first + count)]


class OneGate:
    """The gate of one drop that nobody else knows."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.gate = Gate(redis)
        self.drop_id = new_id(1)
        self.key, self.holders_key = keys.of_drop(self.drop_id)

    async def take(self, statement: Statement, *, denied: int | None = None) -> tuple[int, int]:
        return await self.gate.take(self.drop_id, statement, denied_version=denied)

    async def ask(self, asking: list[bytes], offset_us: int = 0) -> str:
        return (await self.gate.admit(self.drop_id, asking, offset_us)).answers

    async def now_us(self) -> int:
        seconds, us = await self.redis.time()
        return int(seconds) * 1_000_000 + int(us)

    async def stored(self) -> dict[Any, Any]:
        return await self.redis.hgetall(self.key)

    async def write(self, fields: Mapping[str, str]) -> None:
        for name, text in fields.items():
            await self.redis.hset(self.key, name, text)


@pytest_asyncio.fixture
async def one(redis: Redis) -> AsyncIterator[OneGate]:
    one = OneGate(redis)
    yield one
    await redis.delete(one.key, one.holders_key)


async def test_a_gate_that_is_not_loaded_changes_nothing(one: OneGate) -> None:
    admission = await one.gate.admit(one.drop_id, holders(3), 0)
    assert (admission.answers, admission.version, admission.rank) == ("LLL", -1, 0)
    assert await one.redis.exists(one.key, one.holders_key) == 0


async def test_permits_are_given_in_the_order_of_the_batch(one: OneGate) -> None:
    assert await one.take(LIVE) == (5, 3)
    asking = holders(5)
    first = await one.gate.admit(one.drop_id, asking, 0)
    assert (first.answers, first.version, first.rank) == ("PPPNN", 5, 0)
    second = await one.gate.admit(one.drop_id, [*reversed(asking), b"stranger"], 0)
    assert (second.answers, second.rank) == ("NNSSSN", 5)
    assert await one.redis.smembers(one.holders_key) == set(asking[:3])
    assert (await one.stored())[b"permits"] == b"0"


async def test_every_permit_is_given_once_whoever_asks_at_once(one: OneGate) -> None:
    """50 batches of 40 holders for 777 permits, the last of them twice in the same batch."""
    await one.take(replace(LIVE, remaining=777))
    batches = [holders(40, first=40 * n) for n in range(50)]
    admissions = await asyncio.gather(*(one.gate.admit(one.drop_id, batch, 0) for batch in batches))
    answers = Counter("".join(admission.answers for admission in admissions))
    assert answers == {"P": 777, "N": 50 * 40 - 777}
    assert await one.redis.scard(one.holders_key) == 777
    assert sorted(admission.rank for admission in admissions) == [40 * n for n in range(50)]
    permitted = {
        holder
        for batch, admission in zip(batches, admissions, strict=True)
        for holder, answer in zip(batch, admission.answers, strict=True)
        if answer == "P"
    }
    assert await one.redis.smembers(one.holders_key) == permitted


@pytest.mark.parametrize(("state", "letter"), [("paused", "Z"), ("closed", "C"), ("draft", "E")])
async def test_whoever_was_seen_hears_so_whatever_the_state(
    one: OneGate, state: str, letter: str
) -> None:
    await one.take(LIVE)
    assert await one.ask(holders(1)) == "P"
    await one.take(replace(LIVE, version=6, state=state))
    assert await one.ask(holders(2)) == f"S{letter}"
    assert (await one.stored())[b"permits"] == b"3"


@pytest.mark.parametrize(
    ("distance_us", "at_opening", "at_closing"),
    [(-1, "E", "N"), (0, "N", "C"), (1, "N", "C")],
)
@pytest.mark.parametrize("offset_us", [0, 8 * DAY_US, -1])
async def test_the_window_opens_and_closes_at_the_microsecond(
    one: OneGate, offset_us: int, distance_us: int, at_opening: str, at_closing: str
) -> None:
    """The library under a clock that stands still at NOW_US."""
    standing = (files("shared.gate") / "gate.lua").read_text()
    for written, instead in (
        ("name=fairdrop", "name=standing"),
        ("'fairdrop_", "'standing_"),
        ("redis.call('TIME')", f"{{'{NOW_US // 1_000_000}', '{NOW_US % 1_000_000}'}}"),
    ):
        assert written in standing
        standing = standing.replace(written, instead)
    await one.redis.function_load(standing, replace=True)
    edge_us = NOW_US + offset_us - distance_us
    try:
        for window, expected in (
            ((edge_us, edge_us + DAY_US), at_opening),
            ((edge_us - DAY_US, edge_us), at_closing),
        ):
            await one.take(replace(LIVE, remaining=0, opens_us=window[0], closes_us=window[1]))
            reply: Any = await one.redis.fcall(
                "standing_admit", 2, one.key, one.holders_key, offset_us, b"somebody"
            )
            assert reply[:2] == [expected.encode(), str(NOW_US + offset_us).encode()]
    finally:
        await one.redis.function_delete("standing")


async def test_the_clock_is_the_servers_plus_the_offset(one: OneGate) -> None:
    for offset_us in (0, 5 * DAY_US, -5 * DAY_US):
        before_us = await one.now_us()
        admission = await one.gate.admit(one.drop_id, holders(1), offset_us)
        assert before_us <= admission.now_us - offset_us <= await one.now_us()


async def test_closed_comes_before_paused_and_paused_before_not_open(one: OneGate) -> None:
    opens_us = NOW_US + 36_000 * DAY_US
    later = replace(LIVE, opens_us=opens_us, closes_us=opens_us + DAY_US)
    await one.take(replace(later, state="paused"))
    assert await one.ask(holders(1)) == "Z"
    assert await one.ask(holders(1), offset_us=36_002 * DAY_US) == "C"
    await one.take(later)
    assert await one.ask(holders(1)) == "E"


async def test_a_newer_statement_is_taken_and_an_older_is_not(one: OneGate) -> None:
    await one.take(LIVE)
    assert await one.take(replace(LIVE, version=7, remaining=9)) == (7, 9)
    assert await one.take(replace(LIVE, version=6, remaining=1, state="closed")) == (7, 9)
    assert (await one.stored())[b"state"] == b"live"
    assert await one.take(replace(LIVE, version=7, remaining=2)) == (7, 2)


async def test_versions_are_compared_as_numbers(one: OneGate) -> None:
    await one.take(replace(LIVE, version=10))
    assert await one.take(replace(LIVE, version=9)) == (10, 3)
    assert await one.take(replace(LIVE, version=100, remaining=4)) == (100, 4)


async def test_a_version_that_the_ledger_denies_gives_way(one: OneGate) -> None:
    await one.take(replace(LIVE, version=900, remaining=1_000_000))
    assert await one.take(LIVE, denied=899) == (900, 1_000_000)
    assert await one.take(LIVE, denied=900) == (5, 3)
    assert await one.take(replace(LIVE, version=4), denied=900) == (5, 3)


async def test_rank_and_holders_outlive_a_statement(one: OneGate) -> None:
    await one.take(LIVE)
    await one.ask(holders(2))
    await one.take(replace(LIVE, version=6))
    admission = await one.gate.admit(one.drop_id, holders(3), 0)
    assert (admission.answers, admission.rank) == ("SSP", 2)


@pytest.mark.parametrize(
    "fields",
    [
        *({name: ""} for name in ("version", "permits", "opens_us", "closes_us", "rank")),
        *({"version": text} for text in ("x", "nan", "inf", "1e9", "0x10", " 7", "7.5", "9" * 40)),
        *({"permits": text} for text in ("x", "nan", "1e9", "1.5", "--1", "9" * 17)),
        {"rank": "many"},
        {"rank": "9223372036854775807"},
        {"closes_us": "nan"},
        {"version": "999", "permits": "x"},
    ],
)
async def test_what_it_did_not_write_is_no_gate(one: OneGate, fields: Mapping[str, str]) -> None:
    await one.take(LIVE)
    await one.write(fields)
    before = await one.stored()
    admission = await one.gate.admit(one.drop_id, holders(2), 0)
    assert (admission.answers, admission.version) == ("LL", -1)
    assert await one.stored() == before
    assert await one.redis.exists(one.holders_key) == 0
    # Any statement of the ledger mends it, an old one too.
    assert await one.take(replace(LIVE, version=1)) == (1, 3)
    assert await one.ask(holders(2)) == "PP"


@pytest.mark.parametrize("missing", ["version", "permits", "state", "opens_us", "closes_us"])
async def test_a_field_that_is_gone(one: OneGate, missing: str) -> None:
    await one.take(replace(LIVE, version=999))
    await one.redis.hdel(one.key, missing)
    assert await one.ask(holders(1)) == "L"
    assert await one.take(LIVE) == (5, 3)


@pytest.mark.parametrize("which", ["key", "holders_key"])
async def test_a_key_of_another_type_is_removed(one: OneGate, which: str) -> None:
    await one.take(LIVE)
    key = getattr(one, which)
    await one.redis.delete(key)
    await one.redis.set(key, "not ours")
    with pytest.raises(ResponseError):
        await one.ask(holders(2))
    assert await one.take(LIVE) == (5, 3)
    admission = await one.gate.admit(one.drop_id, holders(2), 0)
    assert (admission.answers, admission.rank) == ("PP", 0)


async def test_a_server_that_cannot_write_keeps_the_gate(one: OneGate) -> None:
    """Out of memory is a fault of the moment; what the gate counted is not thrown away for it."""
    await one.take(LIVE)
    await one.ask(holders(1))
    await one.redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(ResponseError):
            await one.ask(holders(2))
    finally:
        await one.redis.config_set("maxmemory", "0")
    assert await one.ask(holders(2)) == "SP"


async def test_negative_permits_admit_nobody(one: OneGate) -> None:
    await one.take(LIVE)
    await one.redis.hset(one.key, "permits", "-4")
    assert await one.ask(holders(3)) == "NNN"
    assert (await one.stored())[b"permits"] == b"-4"


async def test_a_lost_library_is_installed_again(one: OneGate) -> None:
    await one.take(LIVE)
    await one.redis.function_flush()
    asked = await asyncio.gather(*(one.ask([holder]) for holder in holders(5)))
    assert Counter(asked) == {"P": 3, "N": 2}


async def test_both_keys_expire_when_nobody_asks_any_more(one: OneGate) -> None:
    await one.take(LIVE)
    await one.ask(holders(1))
    await one.take(replace(LIVE, version=6))
    for key in (one.key, one.holders_key):
        left_ms = await one.redis.pttl(key)
        assert KEPT_AFTER_LAST_STATEMENT_MS - 60_000 < left_ms <= KEPT_AFTER_LAST_STATEMENT_MS


async def test_batches_of_the_largest_size(one: OneGate) -> None:
    await one.take(replace(LIVE, remaining=500))
    assert Counter(await one.ask(holders(512))) == {"P": 500, "N": 12}


async def test_request_keys_are_bytes_to_the_gate(one: OneGate) -> None:
    await one.take(LIVE)
    assert await one.ask([b"\0\r\n\xff" * 2, b"\0\r\n\xff" * 2 + b"key $1 {x}"]) == "PP"
    assert await one.ask([b"\0\r\n\xff" * 2]) == "S"


async def test_a_pool_that_is_used_up_waits_and_does_not_hang(one: OneGate, redis: Redis) -> None:
    url = redis.connection_pool.connection_kwargs
    small = connect(f"unix://{url['path']}")
    try:
        asked = await asyncio.gather(
            *(Gate(small).admit(one.drop_id, holders(1), 0) for _ in range(200))
        )
        assert {admission.answers for admission in asked} == {"L"}
    finally:
        await small.aclose(close_connection_pool=True)


def test_moments_are_exact_microseconds() -> None:
    for us in (0, 1, 999_999, 123_456):
        moment = datetime(2200, 12, 31, 23, 59, 59, us, tzinfo=UTC)
        assert microseconds(moment) % 1_000_000 == us
