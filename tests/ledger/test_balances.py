"""Balances, to the fen."""

from datetime import datetime, time, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from shared.clock import CITY_TIME, rfc3339
from tests import builders
from tests.callers import Caller
from tests.ledger.conftest import CITY, Book, Office

CITY_PACK_FEN, PLATFORM_PACK_FEN = 2334, 1169
MICROSECOND = timedelta(microseconds=1)


def final_balances(book: Book) -> dict[str, tuple[int, int]]:
    """9 packs are left of the quota, of which 2 are claimed."""
    drop_id = book.drop_id
    return {
        "available:city": (0, 1_000_000 - 9 * CITY_PACK_FEN),
        "available:platform": (0, 500_000 - 9 * PLATFORM_PACK_FEN),
        "bank:main": (1_200_000, 0),
        f"outstanding:city:{drop_id}": (0, 2 * CITY_PACK_FEN),
        f"outstanding:platform:{drop_id}": (0, 2 * PLATFORM_PACK_FEN),
        "pledge:platform": (300_000, 0),
        f"reserved:city:{drop_id}": (0, 7 * CITY_PACK_FEN),
        f"reserved:platform:{drop_id}": (0, 7 * PLATFORM_PACK_FEN),
    }


async def trial_balance(reader: Caller, query: str) -> dict[str, Any]:
    answer = await reader.get(f"/v1/trial-balance?{query}")
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.body
    return body


def sides(body: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {row["code"]: (row["debit_fen"], row["credit_fen"]) for row in body["accounts"]}


async def test_trial_balance_is_exact(office: Office) -> None:
    body = await trial_balance(office.staff(), office.book.query)
    assert sides(body) == final_balances(office.book)
    assert [row["code"] for row in body["accounts"]] == sorted(final_balances(office.book))
    assert (body["debit_total_fen"], body["credit_total_fen"]) == (1_500_000, 1_500_000)
    assert body["as_of"] is None


async def test_trial_balance_of_an_earlier_moment(office: Office) -> None:
    """To the microsecond: the last funding counts at its own time and not just before."""
    reader, book = office.staff(), office.book
    body = await trial_balance(reader, f"{book.query}&as_of={rfc3339(book.funded_at)}")
    assert sides(body) == {
        "available:city": (0, 1_000_000),
        "available:platform": (0, 500_000),
        "bank:main": (1_200_000, 0),
        "pledge:platform": (300_000, 0),
    }
    paid_at = await office.owner.fetchval(
        "SELECT posted_at FROM ledger.journals WHERE kind = 'J3' AND programme_id = $1",
        book.programme.programme_id,
    )
    at = await trial_balance(reader, f"{book.query}&as_of={rfc3339(paid_at)}")
    assert sides(at)["pledge:platform"] == (300_000, 0)
    just_before = rfc3339(paid_at - timedelta(microseconds=1))
    before = await trial_balance(reader, f"{book.query}&as_of={just_before}")
    assert sides(before)["pledge:platform"] == (500_000, 0)
    assert (before["debit_total_fen"], before["credit_total_fen"]) == (1_500_000, 1_500_000)


async def test_a_book_before_its_first_journal_is_empty(office: Office) -> None:
    body = await trial_balance(office.staff(), f"{office.book.query}&as_of=2020-01-01T00:00:00Z")
    assert (body["accounts"], body["debit_total_fen"], body["credit_total_fen"]) == ([], 0, 0)


async def test_a_date_stands_for_the_end_of_its_accounting_day(private_office: Office) -> None:
    """Booked in the city at 02:00 and 23:30 of one day and at 00:30 of the next."""
    owner, reader = private_office.owner, private_office.staff()
    programme = await builders.make_programme(owner, funded_fen=0)
    now = (await owner.fetchval("SELECT campaign.now()")).astimezone(CITY_TIME)
    day = now.date() + timedelta(days=1)
    for amount_fen, at in (
        (100, datetime.combine(day, time(2), CITY_TIME)),
        (20, datetime.combine(day, time(23, 30), CITY_TIME)),
        (3, datetime.combine(day + timedelta(days=1), time(0, 30), CITY_TIME)),
    ):
        ahead = at - await owner.fetchval("SELECT campaign.now()")
        await owner.execute("SELECT campaign.advance_clock($1)", ahead // MICROSECOND)
        await builders.fund(owner, programme, "city", amount_fen)

    for as_of, banked_fen in (
        (f"{day - timedelta(days=1)}", None),
        (f"{day}T02:00:00%2B08:00", None),
        (f"{day}", 120),
        (f"{day + timedelta(days=1)}T00:00:00%2B08:00", 120),
        (f"{day + timedelta(days=1)}", 123),
    ):
        body = await trial_balance(reader, f"programme_id={programme.programme_id}&as_of={as_of}")
        expected = {} if banked_fen is None else {"bank:main": (banked_fen, 0)}
        assert {c: s for c, s in sides(body).items() if c == "bank:main"} == expected, as_of


async def test_balance_of_each_account(office: Office) -> None:
    reader, book = office.staff("auditor"), office.book
    for code, (debit_fen, credit_fen) in final_balances(book).items():
        answer = await reader.get(f"/v1/accounts/{code}/balance?{book.query}")
        assert answer.status == 200, answer.body
        normal = "debit" if debit_fen else "credit"
        assert answer.body == {
            "code": code,
            "programme_id": str(book.programme.programme_id),
            "as_of": None,
            "normal_side": normal,
            "balance_fen": debit_fen + credit_fen,
            "debit_fen": debit_fen,
            "credit_fen": credit_fen,
        }


@pytest.mark.parametrize("code", ["pledge:platform", quote("pledge:platform", safe="")])
async def test_balance_of_an_earlier_moment(office: Office, code: str) -> None:
    book = office.book
    for as_of, balance_fen in (("2020-01-01", 0), (rfc3339(book.funded_at), 300_000)):
        answer = await office.staff().get(f"/v1/accounts/{code}/balance?{book.query}&as_of={as_of}")
        assert (answer.status, answer.body["balance_fen"]) == (200, balance_fen)


async def test_a_book_that_does_not_balance_is_not_answered(private_office: Office) -> None:
    """A credit that went to another book's account leaves this one's sums unequal."""
    await private_office.owner.execute("SET session_replication_role = replica")
    await private_office.owner.execute(
        "UPDATE ledger.transfers SET credit_account_id = (SELECT account_id FROM ledger.accounts"
        " WHERE programme_id = $2 AND code = 'available:city') WHERE programme_id = $1",
        private_office.book.programme.programme_id,
        private_office.book.other_programme.programme_id,
    )
    answer = await private_office.staff("finance", CITY).get(
        f"/v1/trial-balance?{private_office.book.query}"
    )
    answer.assert_problem(500, "internal")
