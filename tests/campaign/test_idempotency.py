"""The same key creates once, whatever happens in between."""

import asyncio
from collections import Counter
from uuid import uuid4

import pytest

from tests.callers import Answer
from tests.campaign.desk import Desk
from tests.campaign.terms import (
    CITY,
    drop_terms,
    fund,
    make_merchant,
    make_programme,
    merchant_terms,
    programme_terms,
)

REPLAYED = "idempotent-replayed"


def key() -> str:
    return f"key-{uuid4()}"


async def test_every_creating_post_is_replayed(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    merchant_id = await make_merchant(operator, programme_id)
    funding = {"funder_id": "city", "amount_fen": 700, "reference": "once"}
    for path, body in (
        ("/v1/programmes", programme_terms()),
        (f"/v1/programmes/{programme_id}/funding", funding),
        ("/v1/drops", drop_terms(programme_id)),
        ("/v1/merchants", merchant_terms(programme_id)),
        (f"/v1/merchants/{merchant_id}/terminals", {}),
    ):
        once = key()
        first = await operator.post(path, body, key=once)
        again = await operator.post(path, dict(reversed(body.items())), key=once)
        assert (first.status, again.status) == (201, 201), path
        assert (REPLAYED in first.headers, again.headers.get(REPLAYED)) == (False, "true")
        assert list(first.body.items()) == list(again.body.items())
        another = await operator.post(path, body, key=key())
        assert another.status == 201
        assert another.body != first.body
    # The funding was sent three times under two keys.
    assert (await desk.balances(programme_id))["bank:main"] == 2 * 700


async def test_without_a_key_every_request_is_new(desk: Desk) -> None:
    operator = desk.operator(CITY)
    assert await make_programme(operator) != await make_programme(operator)


async def test_a_key_belongs_to_one_request(desk: Desk) -> None:
    operator = desk.operator(CITY)
    once = key()
    first = await operator.post("/v1/programmes", programme_terms(), key=once)
    other = await operator.post("/v1/programmes", programme_terms(name="Other"), key=once)
    other.assert_problem(422, "idempotency_key_reused")
    programme_id = first.body["programme_id"]
    elsewhere = await operator.post("/v1/drops", drop_terms(programme_id), key=once)
    elsewhere.assert_problem(422, "idempotency_key_reused")
    assert (await operator.post("/v1/programmes", programme_terms(), key=once)).body == first.body


async def test_keys_are_kept_per_actor_and_city(desk: Desk) -> None:
    once = key()
    answers = [
        await desk.staff("operator", "*", subject=subject).post(
            "/v1/programmes", programme_terms(city_code=city), key=once
        )
        for subject in ("ada", "ben")
        for city in ("310000", "440300")
    ]
    assert [answer.status for answer in answers] == [201] * 4
    assert len({answer.body["programme_id"] for answer in answers}) == 4


async def test_refusals_leave_the_key_free(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    path = f"/v1/programmes/{programme_id}/funding"
    payment = {
        "funder_id": "platform",
        "amount_fen": 100,
        "reference": "paid",
        "settles_pledge": True,
    }
    once = key()
    early = await operator.post(path, payment, key=once)
    early.assert_problem(409, "pledge_exceeded")
    await fund(operator, programme_id, "platform", 100)
    assert (await operator.post(path, payment, key=once)).status == 201
    assert (await operator.post(path, payment, key=once)).headers[REPLAYED] == "true"
    assert (await desk.balances(programme_id))["bank:main"] == 100


async def test_a_second_attempt_does_not_wait_for_the_first(desk: Desk) -> None:
    operator = desk.operator(CITY)
    once = key()
    async with desk.owner.transaction():
        await desk.owner.execute("LOCK TABLE campaign.programmes IN SHARE MODE")
        first = asyncio.ensure_future(operator.post("/v1/programmes", programme_terms(), key=once))
        waits = 0
        while not waits:
            await asyncio.sleep(0.01)
            waits = await desk.owner.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE usename = 'fairdrop_campaign' AND wait_event_type = 'Lock'"
            )
        second = await operator.post("/v1/programmes", programme_terms(), key=once)
        assert not first.done()
    problem = second.assert_problem(409, "in_progress")
    assert (problem["retryable"], second.headers["retry-after"]) == (True, "1")
    made = await first
    assert made.status == 201
    assert (await operator.post("/v1/programmes", programme_terms(), key=once)).body == made.body


async def test_fifty_at_once_create_one(desk: Desk) -> None:
    operator = desk.operator("500000")
    once = key()

    async def send() -> Answer:
        return await operator.post("/v1/programmes", programme_terms(city_code="500000"), key=once)

    answers = await asyncio.gather(*(send() for _ in range(50)))
    made = [answer for answer in answers if answer.status == 201]
    assert {answer.status for answer in answers} <= {201, 409}
    assert Counter(REPLAYED in answer.headers for answer in made)[False] == 1
    assert len({answer.body["programme_id"] for answer in made}) == 1
    for answer in answers:
        if answer.status == 409:
            answer.assert_problem(409, "in_progress")
    assert len((await operator.get("/v1/programmes")).body["items"]) == 1


async def test_fifty_fundings_at_once_book_one(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    once = key()
    path = f"/v1/programmes/{programme_id}/funding"
    body = {"funder_id": "city", "amount_fen": 900, "reference": "once"}
    await asyncio.gather(*(operator.post(path, body, key=once) for _ in range(50)))
    assert await desk.balances(programme_id) == {"available:city": 900, "bank:main": 900}


async def test_fifty_different_fundings_at_once_book_fifty(desk: Desk) -> None:
    operator = desk.operator(CITY)
    programme_id = await make_programme(operator)
    path = f"/v1/programmes/{programme_id}/funding"
    body = {"funder_id": "city", "amount_fen": 900, "reference": "one of fifty"}
    answers = await asyncio.gather(*(operator.post(path, body, key=key()) for _ in range(50)))
    assert [answer.status for answer in answers] == [201] * 50
    booked = 50 * 900
    assert await desk.balances(programme_id) == {"available:city": booked, "bank:main": booked}


async def test_a_quoted_key_is_the_bare_key(desk: Desk) -> None:
    operator = desk.operator(CITY)
    once = 'say"\\' + key()
    quoted = '"' + once.replace("\\", "\\\\").replace('"', '\\"') + '"'
    first = await operator.post("/v1/programmes", programme_terms(), key=quoted)
    again = await operator.post("/v1/programmes", programme_terms(), key=once)
    assert (again.headers[REPLAYED], again.body) == ("true", first.body)


@pytest.mark.parametrize("bad", ["", '""', "x" * 256, "two words", "ключ", "tab\tbed"])
async def test_malformed_keys(desk: Desk, bad: str) -> None:
    operator = desk.operator(CITY)
    answer = await operator.post("/v1/programmes", programme_terms(), key=bad)
    problem = answer.assert_problem(422, "invalid_request")
    assert problem["fields"][0]["loc"] == ["header", "Idempotency-Key"]


async def test_the_longest_key(desk: Desk) -> None:
    operator = desk.operator(CITY)
    longest = key().ljust(255, "~")
    assert (await operator.post("/v1/programmes", programme_terms(), key=longest)).status == 201
