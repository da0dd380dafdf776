"""Accounts, transfers and journals, page by page."""

from typing import Any

from tests.callers import Caller
from tests.ledger.conftest import Office

MOVES = {"J1": 1, "J2": 1, "J3": 1, "J4": 2, "J6": 2, "J7a": 2, "J7b": 2}


async def all_pages(reader: Caller, path: str, limit: int) -> list[dict[str, Any]]:
    """Follow the cursors to the end; every page but the last is full."""
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await reader.get(f"{path}&limit={limit}" + (cursor and f"&cursor={cursor}"))
        assert answer.status == 200, answer.body
        items += answer.body["items"]
        cursor = answer.body["next_cursor"]
        assert len(answer.body["items"]) == limit or cursor is None
    return items


async def test_accounts_are_listed_by_code(office: Office) -> None:
    drop_id = office.book.drop_id
    found = await all_pages(office.staff(), f"/v1/accounts?{office.book.query}", 3)
    assert [account["code"] for account in found] == [
        "available:city",
        "available:platform",
        "bank:main",
        f"outstanding:city:{drop_id}",
        f"outstanding:platform:{drop_id}",
        "pledge:platform",
        f"reserved:city:{drop_id}",
        f"reserved:platform:{drop_id}",
    ]
    assert found[2] == {
        "code": "bank:main",
        "family": "bank",
        "chart_code": "1001",
        "normal_side": "debit",
        "meaning": "supervised bank account",
    }


async def test_journals_are_listed_newest_first(office: Office) -> None:
    path = f"/v1/journals?{office.book.query}"
    found = await all_pages(office.staff(), path, 2)
    assert [journal["kind"] for journal in found] == list(reversed(MOVES))
    assert {journal["kind"]: len(journal["transfers"]) for journal in found} == MOVES
    # Page by page or at once: the same.
    assert found == await all_pages(office.staff(), path, 500)
    assert found == (await office.staff().get(path)).body["items"]


async def test_journals_are_filtered_by_kind(office: Office) -> None:
    reader = office.staff()
    found = await all_pages(reader, f"/v1/journals?{office.book.query}&kind=J6", 1)
    assert [journal["kind"] for journal in found] == ["J6"]
    assert await all_pages(reader, f"/v1/journals?{office.book.query}&kind=J18", 1) == []


async def test_a_journal_shows_what_it_moved(office: Office) -> None:
    reader, drop_id = office.staff("approver"), office.book.drop_id
    listed = (await reader.get(f"/v1/journals?{office.book.query}&kind=J6")).body["items"][0]
    answer = await reader.get(f"/v1/journals/{listed['journal_id']}")
    assert (answer.status, answer.body) == (200, listed)
    row = await office.owner.fetchrow(
        "SELECT accounting_date, posted_at FROM ledger.journals WHERE kind = 'J6'"
    )
    assert row is not None
    posted_at = row["posted_at"].isoformat().replace("+00:00", "Z")
    assert listed == {
        "journal_id": listed["journal_id"],
        "programme_id": str(office.book.programme.programme_id),
        "kind": "J6",
        "event": f"{drop_id}:2",
        "drop_id": str(drop_id),
        "accounting_date": str(row["accounting_date"]),
        "posted_at": posted_at,
        "actor": "claim",
        "transfers": [
            {
                "line": 1,
                "debit": f"reserved:city:{drop_id}",
                "credit": f"outstanding:city:{drop_id}",
                "amount_fen": 4 * 2334,
            },
            {
                "line": 2,
                "debit": f"reserved:platform:{drop_id}",
                "credit": f"outstanding:platform:{drop_id}",
                "amount_fen": 4 * 1169,
            },
        ],
    }


async def test_transfers_of_an_account_from_both_sides_newest_first(office: Office) -> None:
    drop_id = office.book.drop_id
    path = f"/v1/accounts/reserved:city:{drop_id}/transfers?{office.book.query}"
    found = await all_pages(office.staff(), path, 2)
    reserved, outstanding = f"reserved:city:{drop_id}", f"outstanding:city:{drop_id}"
    assert [(t["kind"], t["debit"], t["credit"], t["amount_fen"]) for t in found] == [
        ("J7a", outstanding, reserved, 2334),
        ("J6", reserved, outstanding, 4 * 2334),
        ("J4", "available:city", reserved, 10 * 2334),
    ]
    assert all(transfer["drop_id"] == str(drop_id) for transfer in found)
    assert found == await all_pages(office.staff(), path, 500)


async def test_the_transfers_of_an_account_sum_to_its_balance(office: Office) -> None:
    reader, query = office.staff(), office.book.query
    for account in await all_pages(reader, f"/v1/accounts?{query}", 500):
        code = account["code"]
        moved = await all_pages(reader, f"/v1/accounts/{code}/transfers?{query}", 1)
        debit_fen = sum(
            transfer["amount_fen"] * (1 if transfer["debit"] == code else -1) for transfer in moved
        )
        balance = (await reader.get(f"/v1/accounts/{code}/balance?{query}")).body
        assert balance["debit_fen"] - balance["credit_fen"] == debit_fen
