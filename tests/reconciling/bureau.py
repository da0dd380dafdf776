"""The people who settle and reconcile, and how they work."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg

from shared.auth.development_keys import DevelopmentIssuer
from shared.bookkeeping.invariants import check_books
from shared.clock import CITY_TIME
from tests import tills
from tests.builders import CITY_CODE
from tests.callers import Answer, Caller

CSV = {"Content-Type": "text/csv"}
# Fewer than the service has connections.
_TOGETHER = 4
_PATIENCE_S = 20


@dataclass(frozen=True, slots=True)
class Bureau:
    """The running service and its database."""

    http: aiohttp.ClientSession
    issuer: DevelopmentIssuer
    owner: asyncpg.Connection
    database_url: str
    data_dir: Path

    def staff(self, subject: str, *roles: str, city: str = CITY_CODE) -> Caller:
        return Caller(self.http, self.issuer.issue(subject, list(roles), cities=[city]))

    @property
    def finance(self) -> Caller:
        return self.staff("finance-1", "finance")

    @property
    def approver(self) -> Caller:
        return self.staff("approver-1", "approver")

    async def today(self) -> date:
        day: date = await self.owner.fetchval("SELECT ledger.accounting_date(campaign.now())")
        return day

    async def to_noon_of_a_new_day(self) -> None:
        """Move the clock to noon: nothing that is booked now is near a cut-off."""
        now: datetime = await self.owner.fetchval("SELECT campaign.now()")
        noon = datetime.combine(
            now.astimezone(CITY_TIME).date() + timedelta(days=1), time(12), CITY_TIME
        )
        await tills.advance(self.owner, noon - now)

    async def to(self, moment: time) -> None:
        """Move the clock to a time of this day, or of the next one if it has passed."""
        now: datetime = await self.owner.fetchval("SELECT campaign.now()")
        there = datetime.combine(now.astimezone(CITY_TIME).date(), moment, CITY_TIME)
        await tills.advance(
            self.owner, there - now if there > now else there + timedelta(days=1) - now
        )

    async def upload(self, programme_id: UUID, form: str, content: bytes, **headers: str) -> Answer:
        return await self.finance.send(
            "POST",
            f"/v1/statements?format={form}&programme_id={programme_id}",
            data=BytesIO(content),
            headers={**CSV, **headers},
        )

    async def take(self, programme_id: UUID, form: str, content: bytes) -> dict[str, Any]:
        """Upload a statement that must be taken."""
        answer = await self.upload(programme_id, form, content)
        assert answer.status == 201, answer.body
        statement: dict[str, Any] = answer.body
        return statement

    async def run(self, statement_id: str) -> dict[str, Any]:
        """Reconcile a statement; it must be done."""
        answer = await self.finance.post("/v1/reconciliations", {"statement_id": statement_id})
        assert answer.status == 201, answer.body
        run: dict[str, Any] = answer.body
        return run

    async def breaks(self, programme_id: UUID, restriction: str = "") -> list[dict[str, Any]]:
        """Return all breaks of a programme, the first found first."""
        items: list[dict[str, Any]] = []
        cursor = ""
        while True:
            answer = await self.finance.get(
                f"/v1/breaks?programme_id={programme_id}{restriction}&limit=500{cursor}"
            )
            assert answer.status == 200, answer.body
            items += answer.body["items"]
            if answer.body["next_cursor"] is None:
                return items[::-1]
            cursor = f"&cursor={answer.body['next_cursor']}"

    async def settle(self, break_id: str, proposal: str) -> dict[str, Any]:
        """Have one person propose, and another approve."""
        answer = await self.finance.post(
            f"/v1/breaks/{break_id}/propose", {"proposal": proposal, "reason": "as the bank says"}
        )
        assert (answer.status, answer.body["state"]) == (200, "proposed"), answer.body
        answer = await self.approver.post(f"/v1/breaks/{break_id}/approve")
        assert answer.status == 200, answer.body
        settled: dict[str, Any] = answer.body
        return settled

    async def at_once(self, row: str, calls: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
        """Make calls that all want the row that a statement selects, and let them go together.

        Somebody holds the row until several wait for it.
        """
        async with self.owner.transaction():
            await self.owner.execute(f"{row} FOR UPDATE")
            answers = asyncio.gather(*calls)
            waiting = 0
            async with asyncio.timeout(_PATIENCE_S):
                while waiting < min(len(calls), _TOGETHER):
                    await asyncio.sleep(0.01)
                    # A transaction would see the same for ever.
                    await self.owner.execute("SELECT pg_stat_clear_snapshot()")
                    waiting = await self.owner.fetchval(
                        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fairdrop_ledger'"
                        " AND wait_event_type = 'Lock' AND datname = current_database()"
                    )
        return await answers

    async def assert_books_are_sound(self) -> None:
        broken = {c.name: c.sample for c in await check_books(self.owner) if c.offenders}
        assert broken == {}
