"""What the ledger holds, read the plain way."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import asyncpg

from shared.bookkeeping.invariants import check_books
from shared.bookkeeping.splitting import split_by_largest_remainder
from tests.builders import PACK, Kind, Programme

Lines = dict[tuple[str, str], int]
"""Amounts in fen by (debit account, credit account)."""


async def journal(owner: asyncpg.Connection, kind: str, event: object) -> Lines | None:
    """Return the lines of one event's journal, None when it has none."""
    journal_id = await owner.fetchval(
        "SELECT journal_id FROM ledger.journals WHERE kind = $1 AND event = $2", kind, str(event)
    )
    if journal_id is None:
        return None
    rows = await owner.fetch(
        "SELECT d.code AS debit, c.code AS credit, t.amount_fen FROM ledger.transfers AS t"
        " JOIN ledger.accounts AS d ON d.account_id = t.debit_account_id"
        " JOIN ledger.accounts AS c ON c.account_id = t.credit_account_id"
        " WHERE t.journal_id = $1 ORDER BY t.line",
        journal_id,
    )
    lines = {(row["debit"], row["credit"]): row["amount_fen"] for row in rows}
    assert len(lines) == len(rows), "two lines between the same accounts"
    return lines


async def count_journals(owner: asyncpg.Connection, drop_id: UUID, kind: str) -> int:
    found: int = await owner.fetchval(
        "SELECT count(*) FROM ledger.journals WHERE drop_id = $1 AND kind = $2", drop_id, kind
    )
    return found


def pack_shares(programme: Programme, pack: Sequence[Kind] = PACK) -> Mapping[str, int]:
    """Return what one pack costs each funder, in fen: each voucher split by largest remainder."""
    shares = dict.fromkeys(programme.shares, 0)
    for kind in pack:
        for funder, fen in split_by_largest_remainder(kind.face_fen, programme.shares).items():
            shares[funder] += kind.count * fen
    return shares


async def balance(owner: asyncpg.Connection, programme: Programme, code: str) -> int:
    """Return an account's balance in fen on its normal side, from its transfers."""
    balance_fen: int = await owner.fetchval(
        "SELECT coalesce(sum(CASE WHEN (t.debit_account_id = a.account_id)"
        "   = (f.normal_side = 'debit') THEN t.amount_fen ELSE -t.amount_fen END), 0)::bigint"
        " FROM ledger.accounts AS a JOIN ledger.account_families AS f USING (family)"
        " JOIN ledger.transfers AS t ON a.account_id IN (t.debit_account_id, t.credit_account_id)"
        " WHERE a.programme_id = $1 AND a.code = $2",
        *(programme.programme_id, code),
    )
    return balance_fen


async def assert_sound(owner: asyncpg.Connection) -> None:
    offended = {check.name: check.sample for check in await check_books(owner) if check.offenders}
    assert offended == {}
