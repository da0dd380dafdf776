"""A pack is claimed over HTTP: what the answer says, and that asking again says the same."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import aiohttp
import pytest

from shared.ids import city_of
from tests import builders
from tests.builders import DropTerms
from tests.callers import Caller
from tests.claim.office import ClaimAnswer, Office, claim

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
MIDNIGHT_IN_THE_CITY = "T16:00:00.000000Z"

Form = Callable[[Office, Caller], Caller]


@pytest.fixture(params=["served", "documented"])
def form(request: pytest.FixtureRequest) -> Form:
    """The endpoint ahead of the framework, and the framework's own operation."""
    if request.param == "served":
        return lambda _, caller: caller
    return lambda office, caller: office.documented_to(caller)


async def test_a_won_pack_field_by_field(office: Office, form: Form) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    resident = form(office, office.resident())
    before = datetime.now(UTC)
    won = await claim(resident, drop_id)
    assert won.status == 201
    assert won.headers["content-type"] == "application/json"
    assert won.body.keys() == {"claim_id", "drop_id", "serial", "claimed_at", "vouchers"}
    assert (won.body["drop_id"], won.body["serial"]) == (drop_id, 1)
    assert city_of(UUID(won.body["claim_id"])) == city_of(UUID(drop_id))
    claimed_at = datetime.fromisoformat(won.body["claimed_at"])
    assert INSTANT.fullmatch(won.body["claimed_at"])
    assert before - timedelta(seconds=1) < claimed_at < datetime.now(UTC) + timedelta(seconds=1)

    vouchers = won.body["vouchers"]
    assert [(v["kind_id"], v["face_fen"], v["min_spend_fen"]) for v in vouchers] == [
        *[("meal", 1001, 4000)] * 3,
        ("book", 500, 4000),
    ]
    for voucher in vouchers:
        assert voucher.keys() == {
            *("voucher_id", "kind_id", "category", "face_fen", "min_spend_fen"),
            *("valid_from", "valid_until", "state"),
        }
        assert (voucher["category"], voucher["state"]) == ("catering", "active")
        assert voucher["valid_from"] == won.body["claimed_at"]
        # Seven days, today's counted, to 24:00 in the city, which is UTC+8.
        assert voucher["valid_until"].endswith(MIDNIGHT_IN_THE_CITY)
        left = datetime.fromisoformat(voucher["valid_until"]) - claimed_at
        assert timedelta(days=6) < left <= timedelta(days=7)
    assert len({voucher["voucher_id"] for voucher in vouchers}) == 4


async def test_asking_again_gives_the_same_bytes(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    resident = office.resident()
    first = await claim(resident, drop_id)
    at_once = await claim(resident, drop_id)
    await asyncio.sleep(1.1)  # the process has forgotten the win; the ledger has not
    later = await claim(resident, drop_id)
    other_process = await claim(office.documented_to(resident), drop_id, data=b"{}")
    answers = (first, at_once, later, other_process)
    assert [answer.status for answer in answers] == [201, 200, 200, 200]
    assert {answer.raw for answer in answers} == {first.raw}
    assert await office.issued_of(drop_id) == 1


async def test_the_claim_can_be_read_in_the_same_words(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    resident = office.resident()
    won = await claim(resident, drop_id)
    read = await resident.get(f"/v1/claims/{won.body['claim_id']}")
    assert (read.status, read.body) == (200, won.body)


async def test_one_resident_on_forty_connections(office: Office) -> None:
    """Twenty at each of two processes: one is told that the claim is new, all get the same."""
    drop_id = await office.open_drop(DropTerms(quota=5))
    resident = office.resident()
    answers = await asyncio.gather(
        *(claim(resident, drop_id) for _ in range(20)),
        *(claim(office.documented_to(resident), drop_id) for _ in range(20)),
    )
    assert Counter(answer.status for answer in answers) == {201: 1, 200: 39}
    assert len({answer.raw for answer in answers}) == 1
    assert await office.issued_of(drop_id) == 1


async def test_sixty_residents_race_for_twenty_packs(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=20))
    residents = [office.resident() for _ in range(60)]
    outcomes = await asyncio.gather(
        *(_until_final(office, resident, drop_id) for resident in residents)
    )
    assert Counter(answer.status for answer in outcomes) == {201: 20, 409: 40}
    wins = [answer.body for answer in outcomes if answer.status == 201]
    assert sorted(win["serial"] for win in wins) == list(range(1, 21))
    assert len({win["claim_id"] for win in wins}) == 20
    assert {answer.body["code"] for answer in outcomes if answer.status == 409} == {"sold_out"}


async def _until_final(office: Office, resident: Caller, drop_id: str) -> ClaimAnswer:
    for turn in range(50):
        asking = resident if turn % 2 else office.documented_to(resident)
        answer = await claim(asking, drop_id)
        if answer.status != 503:
            return answer
        await asyncio.sleep(answer.body["retry_after_ms"] / 1000)
    raise AssertionError("nothing final was said")


async def test_a_winner_is_never_told_sold_out(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=1))
    winner, loser = office.resident(), office.resident()
    won = await claim(winner, drop_id)
    for asking in (loser, office.documented_to(loser)):
        (await claim(asking, drop_id)).assert_problem(409, "sold_out")
        # Now this process answers losers from memory.
        (await claim(asking, drop_id)).assert_problem(409, "sold_out")
    for asking in (winner, office.documented_to(winner)):
        again = await claim(asking, drop_id)
        assert (again.status, again.raw) == (200, won.raw)
    await office.redis.flushdb()
    await asyncio.sleep(1.3)
    again = await claim(winner, drop_id)
    assert (again.status, again.raw) == (200, won.raw)


async def test_each_request_of_a_larger_limit_has_its_own_pack(office: Office, form: Form) -> None:
    drop_id = await office.open_drop(DropTerms(quota=9, limit_per_holder=3))
    resident = form(office, office.resident())
    answers = {key: await claim(resident, drop_id, key=key) for key in ("a", "b", "c")}
    assert [answer.status for answer in answers.values()] == [201, 201, 201]
    assert sorted(answer.body["serial"] for answer in answers.values()) == [1, 2, 3]
    # A structured-field string is the same key.
    again = await claim(resident, drop_id, key='"b"')
    assert (again.status, again.raw) == (200, answers["b"].raw)
    (await claim(resident, drop_id, key="d")).assert_problem(409, "limit_reached")


async def test_one_resident_asks_for_everything_at_once(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=30, limit_per_holder=5))
    resident = office.resident()
    answers = await asyncio.gather(
        *(
            claim(asking, drop_id, key=f"request-{n}")
            for n in range(12)
            for asking in (resident, office.documented_to(resident))
        )
    )
    assert Counter(answer.status for answer in answers) == {201: 5, 200: 5, 409: 14}
    assert await office.issued_of(drop_id) == 5


async def test_where_one_pack_is_the_limit_the_key_means_nothing(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    resident = office.resident()
    answers = [await claim(resident, drop_id, key=key) for key in ("one", "two", None)]
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert len({answer.raw for answer in answers}) == 1


@pytest.mark.parametrize(
    ("data", "channel"),
    [
        (b"", None),
        (b" \n", None),
        (b"{}", None),
        (b'{"channel": null}', None),
        (b'{"channel":"alipay"}', "alipay"),
    ],
)
async def test_a_body_is_optional(
    office: Office, form: Form, data: bytes, channel: str | None
) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    won = await claim(form(office, office.resident()), drop_id, data=data)
    assert won.status == 201
    kept = await office.owner.fetchval(
        "SELECT channel FROM claim.claims WHERE drop_id = $1", drop_id
    )
    assert kept == channel


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_a_media_type_may_be_spelled_out(office: Office, form: Form, media_type: str) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    won = await claim(
        form(office, office.resident()),
        drop_id,
        data=b'{"channel":"wechat"}',
        headers={"Content-Type": media_type},
    )
    assert won.status == 201


async def test_a_body_in_chunks(office: Office, form: Form) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    resident = form(office, office.resident())

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"chan', b'nel":', b'"alipay"}'):
            yield piece
            await asyncio.sleep(0.01)

    async with resident.http.post(
        f"/v1/drops/{drop_id}/claims",
        data=pieces(),
        headers={
            "Authorization": f"Bearer {resident.token}",
            "Content-Type": "application/json",
        },
    ) as answer:
        assert answer.status == 201


async def test_ids_of_the_request_come_back(office: Office, form: Form) -> None:
    drop_id = await office.open_drop(DropTerms(quota=5))
    resident = form(office, office.resident())
    traceparent = f"00-{'4' * 32}-{'7' * 16}-01"
    won = await claim(
        resident, drop_id, headers={"X-Request-ID": "mine-1", "traceparent": traceparent}
    )
    assert won.headers["x-request-id"] == "mine-1"
    assert won.headers["traceparent"] == traceparent


async def test_a_client_that_leaves_breaks_nobodys_batch(office: Office) -> None:
    """Ten leave while the ledger is locked; ten who wait beside them are served."""
    drop_id = await office.open_drop(DropTerms(quota=20))
    leaving = [office.resident() for _ in range(10)]
    staying = [office.resident() for _ in range(10)]
    lock = office.owner.transaction()
    await lock.start()
    await office.owner.execute(
        "SELECT 1 FROM campaign.drops WHERE drop_id = $1 FOR UPDATE", drop_id
    )
    timeout = aiohttp.ClientTimeout(total=0.4)
    gone = asyncio.gather(
        *(
            resident.http.post(
                f"/v1/drops/{drop_id}/claims",
                headers={"Authorization": f"Bearer {resident.token}"},
                timeout=timeout,
            )
            for resident in leaving
        ),
        return_exceptions=True,
    )
    waiting = asyncio.gather(*(claim(resident, drop_id) for resident in staying))
    assert {type(fault) for fault in await gone} == {TimeoutError}
    await lock.rollback()
    assert {answer.status for answer in await waiting} == {201}
    # Whoever left was decided all the same, and is told so when they come back.
    again = [await claim(resident, drop_id) for resident in leaving]
    assert {answer.status for answer in again} == {200}
    assert await office.issued_of(drop_id) == 20


async def test_a_released_claim_frees_the_pack_for_somebody_else(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=1))
    winner, loser = office.resident(), office.resident()
    won = await claim(winner, drop_id)
    (await claim(loser, drop_id)).assert_problem(409, "sold_out")
    claim_id = UUID(won.body["claim_id"])
    assert await builders.release(office.owner, claim_id, reopen=True) == "released"
    await office.load_gate(UUID(drop_id))
    await asyncio.sleep(1.3)  # until nobody can say "sold out" or replay the win from memory
    (await claim(winner, drop_id)).assert_problem(409, "limit_reached")
    assert (await claim(loser, drop_id)).body["serial"] == 2


async def test_a_reclaimable_pack_goes_back_to_the_same_holder(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=1, reclaim_after_release=True))
    winner = office.resident()
    first = await claim(winner, drop_id)
    assert (
        await builders.release(office.owner, UUID(first.body["claim_id"]), reopen=True)
        == "released"
    )
    await asyncio.sleep(1.3)
    second = await claim(winner, drop_id)
    assert (second.status, second.body["serial"]) == (201, 2)
    assert second.body["claim_id"] != first.body["claim_id"]


async def test_arrivals_are_kept_for_evaluation(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=2))
    for _ in range(3):
        await claim(office.resident(), drop_id)
    for _ in range(100):
        kept = await office.owner.fetch(
            "SELECT arrival_rank, outcome FROM claim.attempts WHERE drop_id = $1 ORDER BY 1",
            drop_id,
        )
        if len(kept) == 3:
            break
        await asyncio.sleep(0.02)
    assert [tuple(row) for row in kept] == [(1, "won"), (2, "won"), (3, "sold_out")]


async def test_the_body_is_compact_json(office: Office) -> None:
    drop_id = await office.open_drop(DropTerms(quota=2))
    won = await claim(office.resident(), drop_id)
    assert won.raw == json.dumps(won.body, separators=(",", ":"), ensure_ascii=False).encode()
    assert won.headers["content-length"] == str(len(won.raw))
