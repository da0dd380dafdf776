"""Whom the ledger refuses, and with which code."""

import asyncio
import base64
import json
import random
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from services.ledger import auditing
from shared.ids import new_id
from tests.databases import TEMPLATE, CloneDatabase
from tests.ledger.conftest import CITY, OTHER_CITY, Office, open_office

BOOK_PATHS = (
    "/v1/trial-balance?",
    "/v1/accounts?",
    "/v1/accounts/bank:main/balance?",
    "/v1/accounts/bank:main/transfers?",
    "/v1/journals?",
)
LISTS = ("/v1/accounts?", "/v1/accounts/bank:main/transfers?", "/v1/journals?")
ROLES = ("finance", "approver", "auditor")


def cursor(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize("path", [*BOOK_PATHS, "/v1/invariants?", f"/v1/journals/{UUID(int=7)}?"])
async def test_readers_are_finance_approvers_and_auditors(office: Office, path: str) -> None:
    (await office.nobody().get(path)).assert_problem(401, "unauthenticated")
    for role in ("operator", "resident"):
        answer = await office.staff(role).get(path + office.book.query)
        answer.assert_problem(403, "forbidden")
    for role in ROLES:
        answer = await office.staff(role).get(path + office.book.query)
        assert answer.status == (404 if "journals/" in path else 200), answer.body


@pytest.mark.parametrize("path", BOOK_PATHS)
async def test_the_book_of_another_city_does_not_exist(office: Office, path: str) -> None:
    other = f"programme_id={office.book.other_programme.programme_id}"
    (await office.staff("finance", CITY).get(path + other)).assert_problem(404, "not_found")
    (await office.staff("finance", "999999").get(path + other)).assert_problem(404, "not_found")
    assert (await office.staff("finance", CITY, OTHER_CITY).get(path + other)).status == 200
    assert (await office.staff("finance", "*").get(path + other)).status == 200


async def test_a_journal_of_another_city_does_not_exist(office: Office) -> None:
    other = await office.owner.fetchval(
        "SELECT journal_id FROM ledger.journals WHERE programme_id = $1 LIMIT 1",
        office.book.other_programme.programme_id,
    )
    answer = await office.staff("auditor", CITY).get(f"/v1/journals/{other}")
    answer.assert_problem(404, "not_found")
    assert (await office.staff("auditor", OTHER_CITY).get(f"/v1/journals/{other}")).status == 200


@pytest.mark.parametrize("path", BOOK_PATHS)
async def test_unknown_programmes(office: Office, path: str) -> None:
    reader = office.staff()
    for programme_id in (str(new_id(1)), str(uuid4()), "x", "%20", "1" * 400):
        answer = await reader.get(f"{path}programme_id={programme_id}")
        answer.assert_problem(404, "not_found")
    problem = (await reader.get(path)).assert_problem(422, "invalid_request")
    assert problem["fields"][0]["loc"] == ["query", "programme_id"]


async def test_unknown_accounts_and_journals(office: Office) -> None:
    reader, query = office.staff(), office.book.query
    for path in (
        f"/v1/accounts/bank:other/balance?{query}",
        f"/v1/accounts/bank:other/transfers?{query}",
        f"/v1/accounts/held:city:{office.book.drop_id}/balance?{query}",
        f"/v1/journals/{new_id(1)}",
        "/v1/journals/x",
        "/v1/journals/x/proof",
    ):
        (await reader.get(path)).assert_problem(404, "not_found")


@pytest.mark.parametrize("path", BOOK_PATHS)
@pytest.mark.parametrize("name", ["known_at", "as_off"])
async def test_what_is_not_built_is_refused_and_not_ignored(
    office: Office, path: str, name: str
) -> None:
    answer = await office.staff().get(f"{path}{office.book.query}&{name}=2026-05-01")
    problem = answer.assert_problem(422, "invalid_request")
    assert problem["fields"][0]["loc"] == ["query", name]


@pytest.mark.parametrize(
    "as_of",
    [
        *("", "1", "yesterday", "2026-05-01T10", "2026-05-01T10:00:00", "%F0%9F%92%A5"),
        *("2026-13-01", "2026-02-30", "0000-01-01", "9999-12-31", "2026-05-01T10:00:00%2B99:00"),
        "1" * 5000,
    ],
)
async def test_times_that_are_none(office: Office, as_of: str) -> None:
    for path in ("/v1/trial-balance?", "/v1/accounts/bank:main/balance?"):
        answer = await office.staff().get(f"{path}{office.book.query}&as_of={as_of}")
        answer.assert_problem(422, "invalid_request")


@pytest.mark.parametrize("path", LISTS)
async def test_cursors_and_limits_that_are_none(office: Office, path: str) -> None:
    reader = office.staff()
    tampered = [
        *("x", "!", "%00", "a" * 600, cursor(None), cursor("\0"), cursor(["\0"]), cursor({})),
        *(cursor([str(uuid4()), n]) for n in (0, -1, 40_000, 10**30, "1; DROP TABLE x")),
        *(
            cursor([at, str(uuid4())])
            for at in ("0001-01-01T00:00:00+14:00", "2026-05-01", "9999-12-31T23:59:59-14:00", 1)
        ),
    ]
    for wanted in [f"cursor={text}" for text in tampered] + [
        f"limit={limit}" for limit in ("0", "-1", "501", "x", "9" * 30, "1e2")
    ]:
        answer = await reader.get(f"{path}{office.book.query}&{wanted}")
        answer.assert_problem(422, "invalid_request")


@pytest.mark.parametrize("kind", ["", "j6", "J", "J6; DROP", "J6%00", "6", "J99999", "%E5%88%B8"])
async def test_journal_kinds_that_are_none(office: Office, kind: str) -> None:
    answer = await office.staff().get(f"/v1/journals?{office.book.query}&kind={kind}")
    answer.assert_problem(422, "invalid_request")


async def test_hostile_paths_and_queries_are_problems(office: Office) -> None:
    """Random bytes wherever a client can put some: a 4xx problem, never a 500."""
    chosen = random.Random(7)
    reader = office.staff()
    for _ in range(150):
        junk = quote(chosen.randbytes(chosen.randrange(1, 60)), safe="")
        path = chosen.choice(
            [
                f"/v1/accounts/{junk}/balance?{office.book.query}",
                f"/v1/accounts/{junk}/transfers?{office.book.query}",
                f"/v1/journals/{junk}",
                f"/v1/journals?programme_id={junk}",
                f"/v1/journals?{office.book.query}&cursor={junk}",
                f"/v1/trial-balance?{office.book.query}&as_of={junk}",
                f"/v1/trial-balance?{office.book.query}&{junk}=1",
                f"/v1/accounts?{office.book.query}&limit={junk}",
            ]
        )
        answer = await reader.get(path)
        assert answer.status in {404, 422}, (path, answer.body)
        answer.assert_problem(answer.status, answer.body["code"])


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_the_books_are_only_read(office: Office, method: str) -> None:
    for path in (*BOOK_PATHS, "/v1/invariants"):
        answer = await office.staff().send(method, path)
        answer.assert_problem(405, "method_not_allowed")


async def test_one_check_of_the_invariants_at_a_time(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "_PATIENCE_S", 0.05)
    async with office.app.state.resources.auditing:
        answer = await office.staff().get("/v1/invariants")
    problem = answer.assert_problem(503, "overloaded")
    assert problem["retryable"]
    assert int(answer.headers["retry-after"]) * 1000 >= problem["retry_after_ms"] > 0
    answers = await asyncio.gather(*(office.staff().get("/v1/invariants") for _ in range(3)))
    # They wait their turn, and each turn is far longer than this patience or all get through.
    assert {answer.status for answer in answers} <= {200, 503}
    assert 200 in {answer.status for answer in answers}


async def test_the_books_are_readable_without_the_gate(
    clone_database: CloneDatabase, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with open_office(
        await clone_database(TEMPLATE),
        "unix:///nowhere/valkey.sock",
        tmp_path_factory.mktemp("gateless"),
    ) as office:
        # The contract's drop is published, but nothing can be said about its gate.
        problem = (await office.staff().get("/v1/invariants")).assert_problem(503, "unavailable")
        assert problem["retryable"]
        answer = await office.staff().get(f"/v1/trial-balance?{office.book.query}")
        assert answer.status == 200
        assert (await office.nobody().get("/readyz")).status == 200


# What an operation may answer beside what any operation may.
CODES = {
    ("get", "/v1/invariants"): set(),
    ("post", "/v1/settlement-batches"): {"not_found", "nothing_due", "day_not_over"},
    ("post", "/v1/settlement-batches/{batch_id}/approve"): {
        *("not_found", "same_person", "decided", "insufficient_funds"),
    },
    ("post", "/v1/settlement-batches/{batch_id}/reject"): {"not_found", "same_person", "decided"},
    ("get", "/v1/settlement-batches/{batch_id}/payout-file"): {
        *("not_found", "not_approved", "nothing_to_pay"),
    },
    ("post", "/v1/returns"): {
        *("not_found", "nothing_to_return", "return_proposed", "insufficient_funds"),
    },
    ("post", "/v1/returns/{return_id}/approve"): {
        *("not_found", "same_person", "decided", "insufficient_funds"),
    },
    ("post", "/v1/returns/{return_id}/reject"): {"not_found", "same_person", "decided"},
    ("post", "/v1/statements"): {"not_found"},
    ("post", "/v1/reconciliations"): {"not_found", "superseded", "day_not_over"},
    ("post", "/v1/breaks/{break_id}/propose"): {
        *("not_found", "decided", "cleared", "already_proposed", "nothing_to_post"),
    },
    ("post", "/v1/breaks/{break_id}/approve"): {
        *("not_found", "not_proposed", "same_person", "insufficient_funds"),
    },
    ("post", "/v1/breaks/{break_id}/reject"): {"not_found", "decided", "cleared"},
}
CREATING = {path for method, path in CODES if method == "post" and "{" not in path}


async def test_openapi_states_every_code(office: Office) -> None:
    paths = (await office.nobody().get("/openapi.json")).body["paths"]
    seen = set()
    for path, operations in paths.items():
        if not path.startswith("/v1/"):
            continue
        for method, operation in operations.items():
            codes = {
                code
                for response in operation["responses"].values()
                for media in response.get("content", {}).values()
                for code in media["schema"].get("properties", {}).get("code", {}).get("enum", [])
            }
            expected = {"unauthenticated", "forbidden", "invalid_request", "overloaded", "busy"}
            expected |= {"unavailable", "internal", "payload_too_large"}
            expected |= CODES.get((method, path), {"not_found"})
            if "requestBody" in operation:
                expected |= {"unsupported_media_type"}
            if method == "post" and path in CREATING:
                expected |= {"in_progress", "idempotency_key_reused"}
            assert codes == expected, (method, path)
            seen.add((method, path))
    assert seen >= CODES.keys()
