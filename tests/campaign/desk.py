"""The campaign service under test, and the staff who call it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
from redis.asyncio import Redis

from shared.auth.development_keys import DevelopmentIssuer
from shared.bookkeeping.accounts import family_of
from shared.bookkeeping.invariants import check_books
from shared.gate import keys
from shared.secrets import Secrets
from tests.callers import Caller


@dataclass(frozen=True, slots=True)
class Desk:
    """The running service, its books and its gate."""

    http: aiohttp.ClientSession
    issuer: DevelopmentIssuer
    owner: asyncpg.Connection
    redis: Redis
    secrets: Secrets

    def staff(self, role: str, *cities: str, subject: str = "staff-1") -> Caller:
        return Caller(self.http, self.issuer.issue(subject, [role], cities=cities))

    def operator(self, *cities: str) -> Caller:
        return self.staff("operator", *cities, subject="operator-1")

    def approver(self, *cities: str) -> Caller:
        return self.staff("approver", *cities, subject="approver-1")

    def nobody(self) -> Caller:
        return Caller(self.http, None)

    async def balances(self, programme_id: str) -> dict[str, int]:
        """Return the balances that are not zero, on the normal side, from the transfers alone."""
        rows = await self.owner.fetch(
            "SELECT a.code, coalesce(sum(CASE WHEN t.debit_account_id = a.account_id"
            " THEN t.amount_fen ELSE -t.amount_fen END), 0)::bigint AS debit_fen"
            " FROM ledger.accounts AS a JOIN ledger.transfers AS t"
            " ON a.account_id IN (t.debit_account_id, t.credit_account_id)"
            " WHERE a.programme_id = $1 GROUP BY a.code",
            programme_id,
        )
        signed = {
            code: debit if family_of(code).normal_side == "debit" else -debit
            for code, debit in rows
        }
        return {code: balance for code, balance in sorted(signed.items()) if balance}

    async def assert_books_are_sound(self) -> None:
        checks = await check_books(self.owner)
        assert [check for check in checks if check.offenders] == []

    async def gate_of(self, drop_id: str) -> tuple[int, int, str] | None:
        """Return the gate's (version, permits, state), None where it is not loaded."""
        found: Any = await self.redis.hgetall(keys.of_drop(UUID(drop_id))[0])
        if not found:
            return None
        return int(found[b"version"]), int(found[b"permits"]), found[b"state"].decode()
