"""Every problem code of the claim endpoints, through HTTP, from both forms of the service."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.claim import lane
from shared.embedded.servers import EmbeddedServers
from shared.ids import new_id
from tests import builders
from tests.builders import DropTerms
from tests.callers import Caller
from tests.claim.office import Office, claim

Form = Callable[[Office, Caller], Caller]


@pytest.fixture(params=["served", "documented"])
def form(request: pytest.FixtureRequest) -> Form:
    """The endpoint ahead of the framework, and the framework's own operation."""
    if request.param == "served":
        return lambda _, caller: caller
    return lambda office, caller: office.documented_to(caller)


def assert_retry_after(problem: dict[str, Any], headers: Any, least_ms: int, most_ms: int) -> None:  # noqa: ANN401 - any mapping of names
    wait_ms = problem["retry_after_ms"]
    assert problem["retryable"] is True
    assert least_ms <= wait_ms <= most_ms
    assert headers["retry-after"] == str(-(-wait_ms // 1000))


async def test_sold_out(office: Office, form: Form) -> None:
    drop_id = await office.open_drop(DropTerms(quota=1))
    assert (await claim(office.resident(), drop_id)).status == 201
    for _ in range(3):
        answer = await claim(form(office, office.resident()), drop_id)
        problem = answer.assert_problem(409, "sold_out")
        assert problem["retryable"] is False
        assert "retry-after" not in answer.headers


async def test_not_open(office: Office, form: Form) -> None:
    terms = DropTerms(opens_in=timedelta(hours=1), closes_in=timedelta(hours=2))
    drop_id = await office.open_drop(terms)
    for _ in range(3):
        answer = await claim(form(office, office.resident()), drop_id)
        problem = answer.assert_problem(425, "not_open")
        left = datetime.fromisoformat(problem["opens_at"]) - datetime.now(UTC)
        left_ms = left.total_seconds() * 1000
        assert 3_590_000 < left_ms <= 3_600_000
        # The crowd is spread over the first 300 ms, never sent back before the drop opens.
        assert_retry_after(problem, answer.headers, int(left_ms), int(left_ms) + 400)
    assert await office.issued_of(drop_id) == 0


async def test_a_drop_opens_by_itself_and_nobody_is_let_in_before(office: Office) -> None:
    terms = DropTerms(quota=50, opens_in=timedelta(seconds=0.8), closes_in=timedelta(hours=1))
    drop_id = await office.open_drop(terms)
    opens_at = await office.owner.fetchval(
        "SELECT opens_at FROM campaign.drops WHERE drop_id = $1", drop_id
    )
    early = await claim(office.resident(), drop_id)
    early.assert_problem(425, "not_open")
    resident = office.resident()
    for _ in range(500):
        asked_at = datetime.now(UTC)
        answer = await claim(resident, drop_id)
        if answer.status != 425:
            break
        assert asked_at < opens_at
        await asyncio.sleep(0.005)
    assert answer.status == 201
    assert datetime.fromisoformat(answer.body["claimed_at"]) >= opens_at


@pytest.mark.parametrize("winners", [0, 1])
async def test_closed(office: Office, form: Form, winners: int) -> None:
    drop_id = await office.open_drop(DropTerms(quota=3))
    winner = office.resident()
    if winners:
        assert (await claim(winner, drop_id)).status == 201
    await office.change(drop_id, "close")
    for _ in range(3):
        problem = (await claim(form(office, office.resident()), drop_id)).assert_problem(
            410, "closed"
        )
        assert problem["retryable"] is False
    if winners:
        assert (await claim(form(office, winner), drop_id)).status == 200


async def test_closed_by_time(later: Office) -> None:
    drop_id = await later.open_drop(DropTerms(quota=3))
    winner = later.resident()
    won = await claim(winner, drop_id)
    await later.owner.execute("SELECT campaign.advance_clock(7200 * 1000000::bigint)")
    await asyncio.sleep(1.2)  # the process asks for the offset twice a second
    for _ in range(3):
        (await claim(later.resident(), drop_id)).assert_problem(410, "closed")
    again = await claim(later.documented_to(winner), drop_id)
    assert (again.status, again.raw) == (200, won.raw)


async def test_paused_and_resumed(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=3))
    winner, loser = office.resident(), office.resident()
    assert (await claim(winner, drop_id)).status == 201
    await office.change(drop_id, "pause")
    for _ in range(3):
        answer = await claim(office.documented_to(loser), drop_id)
        assert_retry_after(answer.assert_problem(423, "paused"), answer.headers, 1000, 3000)
    assert (await claim(office.documented_to(winner), drop_id)).status == 200
    await office.change(drop_id, "resume")
    await asyncio.sleep(1.1)
    assert (await claim(office.documented_to(loser), drop_id)).status == 201


async def test_a_lost_resume_heals_without_anybodys_help(office: Office) -> None:
    """The campaign service dies between its commit and its hand-over."""
    drop_id = await office.open_drop(DropTerms(quota=3))
    await office.change(drop_id, "pause")
    loser = office.documented_to(office.resident())
    (await claim(loser, drop_id)).assert_problem(423, "paused")
    assert await builders.change_drop(office.owner, UUID(drop_id), "resume") == "done"
    for _ in range(40):
        answer = await claim(loser, drop_id)
        if answer.status == 201:
            return
        assert answer.body["code"] in {"paused", "busy"}
        await asyncio.sleep(0.05)
    raise AssertionError("the gate stayed paused")


async def test_unauthenticated(office: Office, form: Form) -> None:
    drop_id = await office.open_drop()
    token = office.resident().token
    assert token is not None
    expired = office.issuer.issue("late", ["resident"], ttl_s=-60)
    for caller in (
        office.bearer(None),
        office.bearer("nonsense"),
        office.bearer(token[:-4]),
        office.bearer(f"{token}A"),
        office.bearer(expired),
    ):
        answer = await claim(form(office, caller), drop_id)
        answer.assert_problem(401, "unauthenticated")
        assert answer.headers["www-authenticate"] == "Bearer"
    for header in ("", "Bearer", f"Basic {token}", f"Bearer  {token}", f"Bearer {token} x"):
        answer = await claim(
            form(office, office.bearer(None)), drop_id, headers={"Authorization": header}
        )
        answer.assert_problem(401, "unauthenticated")


async def test_forbidden(office: Office, form: Form) -> None:
    drop_id = await office.open_drop()
    (await claim(form(office, office.staff()), drop_id)).assert_problem(403, "forbidden")


async def test_not_found(office: Office, form: Form) -> None:
    resident = form(office, office.resident())
    programme = await builders.make_programme(office.owner)
    draft = await builders.make_drop(office.owner, programme)
    for drop_id in (
        *(str(draft), str(new_id(1)), str(new_id(4095)), str(UUID(int=0))),
        *("nonsense", "%00", "%F0%9F%8E%AB", "..", "x" * 300, str(draft) + "%20"),
    ):
        for asking in (resident, form(office, office.bearer(None))):
            answer = await claim(asking, drop_id)
            assert answer.body["code"] in {"not_found", "invalid_request"}, drop_id
            answer.assert_problem(answer.status, answer.body["code"])
            assert answer.status in {404, 422}


async def test_a_draft_is_found_once_it_is_published(office: Office) -> None:
    programme = await builders.make_programme(office.owner)
    draft = await builders.make_drop(office.owner, programme)
    resident = office.documented_to(office.resident())
    (await claim(resident, str(draft))).assert_problem(404, "not_found")
    await builders.publish(office.owner, draft)
    await asyncio.sleep(1.1)  # an unknown id is remembered for a second
    assert (await claim(resident, str(draft))).status == 201


async def test_invalid_request(office: Office, form: Form) -> None:
    drop_id = await office.open_drop(DropTerms(quota=9, limit_per_holder=2))
    resident = form(office, office.resident())
    problem = (await claim(resident, drop_id)).assert_problem(422, "invalid_request")
    assert problem["fields"][0]["loc"] == ["header", "Idempotency-Key"]
    for key in ('""', "x" * 256, "é", "a\tb", '"' + "x" * 256 + '"'):
        problem = (await claim(resident, drop_id, key=key)).assert_problem(422, "invalid_request")
        assert problem["fields"][0]["loc"] == ["header", "Idempotency-Key"]
    for data, loc in (
        (b'{"channel": "no good"}', ["body", "channel"]),
        (b'{"channel": ""}', ["body", "channel"]),
        (b'{"channel": 7}', ["body", "channel"]),
        (b'{"chanel": "alipay"}', ["body", "chanel"]),
        (b'{"device": "d-1"}', ["body", "device"]),
        (b"[]", ["body"]),
        (b"null", ["body"]),
        (b"{", ["body"]),
    ):
        problem = (await claim(resident, drop_id, data=data, key="k")).assert_problem(
            422, "invalid_request"
        )
        assert problem["fields"][0]["loc"] == loc, data
    assert await office.issued_of(drop_id) == 0


@pytest.mark.parametrize("size", [1025, 70_000, 900_000])
async def test_payload_too_large(office: Office, form: Form, size: int) -> None:
    drop_id = await office.open_drop()
    resident = form(office, office.resident())
    answer = await claim(resident, drop_id, data=b" " * size)
    answer.assert_problem(413, "payload_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(0, size, 500):
            yield b" " * 500

    async with resident.http.post(
        f"/v1/drops/{drop_id}/claims",
        data=pieces(),
        headers={"Authorization": f"Bearer {resident.token}"},
    ) as chunked:
        assert chunked.status == 413
    assert await office.issued_of(drop_id) == 0


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"]
)
async def test_unsupported_media_type(office: Office, form: Form, media_type: str) -> None:
    drop_id = await office.open_drop()
    answer = await claim(
        form(office, office.resident()),
        drop_id,
        data=b'{"channel":"alipay"}',
        headers={"Content-Type": media_type},
    )
    answer.assert_problem(415, "unsupported_media_type")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_method_not_allowed(office: Office, form: Form, method: str) -> None:
    drop_id = await office.open_drop()
    caller = form(office, office.resident())
    answer = await caller.send(method, f"/v1/drops/{drop_id}/claims")
    answer.assert_problem(405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_busy_while_the_gate_does_not_answer(
    office: Office, form: Form, servers: EmbeddedServers
) -> None:
    drop_id = await office.open_drop(DropTerms(quota=9))
    resident = form(office, office.resident())
    loop = asyncio.get_running_loop()
    running = servers.valkey.running
    assert running is not None
    with stopped(running.pid):
        asked_s = loop.time()
        answers = await asyncio.gather(*(claim(resident, drop_id) for _ in range(8)))
        assert loop.time() - asked_s < 4
    for answer in answers:
        assert_retry_after(answer.assert_problem(503, "busy"), answer.headers, 150, 600)
    assert await office.issued_of(drop_id) == 0
    assert (await claim(resident, drop_id)).status == 201


@asynccontextmanager
async def locked(office: Office, statement: str, *values: object) -> AsyncIterator[None]:
    """Hold what a statement locks until the block ends."""
    lock = office.owner.transaction()
    await lock.start()
    try:
        await office.owner.execute(statement, *values)
        yield
    finally:
        await lock.rollback()


async def test_busy_while_the_drop_is_locked_and_another_is_not_delayed(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=9))
    other_id = await office.open_drop(DropTerms(quota=50))
    loop = asyncio.get_running_loop()
    statement = "SELECT 1 FROM campaign.drops WHERE drop_id = $1 FOR UPDATE"
    async with locked(office, statement, drop_id):
        asked_s = loop.time()
        residents = [office.resident() for _ in range(4)]
        waiting = asyncio.gather(*(claim(resident, drop_id) for resident in residents))
        await asyncio.sleep(0.05)
        slowest_s = 0.0
        for _ in range(20):
            begun_s = loop.time()
            assert (await claim(office.resident(), other_id)).status == 201
            slowest_s = max(slowest_s, loop.time() - begun_s)
        assert slowest_s < 1
        for answer in await waiting:
            assert_retry_after(answer.assert_problem(503, "busy"), answer.headers, 150, 600)
        assert 1.5 < loop.time() - asked_s < 2.9  # two lock time-outs would take three seconds
    again = [await claim(resident, drop_id) for resident in residents]
    assert {answer.status for answer in again} <= {200, 201}
    assert await office.issued_of(drop_id) == 4


async def test_overloaded(office: Office, form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    drop_id = await office.open_drop(DropTerms(quota=99))
    monkeypatch.setattr(lane, "QUEUE_MAX", 3)
    statement = "SELECT 1 FROM campaign.drops WHERE drop_id = $1 FOR UPDATE"
    async with locked(office, statement, drop_id):
        # Two batches of one are in flight and three attempts wait.
        waiting = []
        for _ in range(5):
            waiting.append(asyncio.ensure_future(claim(form(office, office.resident()), drop_id)))
            await asyncio.sleep(0.05)
        answer = await claim(form(office, office.resident()), drop_id)
        assert_retry_after(answer.assert_problem(503, "overloaded"), answer.headers, 1000, 3000)
    assert {answer.status for answer in await asyncio.gather(*waiting)} == {201}
    assert (await claim(form(office, office.resident()), drop_id)).status == 201


async def test_unavailable(office: Office) -> None:
    """A drop is shown as the ledger states it, or not at all."""
    drop_id = await office.open_drop()
    reader = office.bearer(None)
    assert (await reader.get(f"/v1/drops/{drop_id}")).status == 200
    await asyncio.sleep(1.1)
    async with locked(office, "LOCK TABLE campaign.drops IN ACCESS EXCLUSIVE MODE"):
        answer = await reader.get(f"/v1/drops/{drop_id}")
        assert_retry_after(answer.assert_problem(503, "unavailable"), answer.headers, 500, 3000)
    assert (await reader.get(f"/v1/drops/{drop_id}")).status == 200
