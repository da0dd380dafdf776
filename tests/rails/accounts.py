"""A programme on the bank rail: merchants that are owed money, and its account at the bank."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from services.ledger import paying as worker
from services.ledger.paying import paying
from shared.db.database import Database
from shared.db.urls import service_url
from shared.formats import bank_statement
from shared.formats.faults import FormatFault
from shared.ids import new_id
from shared.settings import Settings
from tests import builders, tills
from tests.builders import DropTerms, Kind, Programme
from tests.databases import SECRETS
from tests.simulating.running import SimulatorProcess
from tests.tills import Asked, Till

FACE_FEN = 1001
CASH_FEN = 667
FINANCE, APPROVER = "finance-1", "approver-1"
ANSWERS_WITHIN_S = 0.5
_SETTLES_WITHIN_S = 40.0
_STEP = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Shops:
    """Merchants that took vouchers yesterday, and vouchers that nobody has taken yet."""

    owner: asyncpg.Connection
    bank: SimulatorProcess
    since: date
    programme: Programme
    redeemed: list[Asked]
    claims: list[UUID]

    @property
    def account(self) -> str:
        return str(self.programme.programme_id)

    async def take_voucher(self, till: Till) -> None:
        """Redeem one more voucher at a till."""
        self.redeemed.append(await tills.redeem(self.owner, till, self.claims.pop()))

    async def approve_batch(self) -> UUID:
        """Cut a batch for the days before today, and have a second person approve it."""
        batch_id = new_id(self.programme.city_id)
        cut_off = await self.owner.fetchval("SELECT ledger.accounting_date(campaign.now()) - 1")
        outcome = await self.owner.fetchval(
            "SELECT ledger.cut_batch($1, $2, $3, $4, $5)",
            *(self.programme.city_id, self.programme.programme_id, cut_off, batch_id, FINANCE),
        )
        assert outcome == "cut", outcome
        outcome = await self.owner.fetchval(
            "SELECT ledger.decide_batch($1, $2, 'approved', $3)",
            *(self.programme.city_id, batch_id, APPROVER),
        )
        assert outcome == "approved", outcome
        return batch_id

    async def hold_fen(self, balance_fen: int) -> int:
        """Have the guarded balance of the account say something else; return what it said."""
        account = await self.owner.fetchrow(
            "SELECT account_id, balance_fen FROM ledger.accounts"
            " JOIN ledger.balances USING (city_id, programme_id, account_id)"
            " WHERE programme_id = $1 AND code = 'bank:main'",
            self.programme.programme_id,
        )
        assert account is not None
        await self.owner.execute(
            "UPDATE ledger.balances SET balance_fen = $2 WHERE account_id = $1",
            *(account["account_id"], balance_fen),
        )
        return int(account["balance_fen"])

    async def settled(self) -> Counter[str]:
        """Wait until no payout is open, the clock running ahead; return the payouts' states."""
        async with asyncio.timeout(_SETTLES_WITHIN_S):
            while await self.owner.fetchval(
                "SELECT count(*) FROM ledger.payouts WHERE state = 'open'"
            ):
                await asyncio.sleep(0.2)
                await tills.advance(self.owner, _STEP)
        rows = await self.owner.fetch("SELECT state, count(*) FROM ledger.payouts GROUP BY 1")
        return Counter({row["state"]: row["count"] for row in rows})

    async def journals(self) -> Counter[str]:
        """Count the journals of settlement."""
        rows = await self.owner.fetch(
            "SELECT kind, count(*) FROM ledger.journals"
            " WHERE kind IN ('J13', 'J14', 'J15', 'J16') GROUP BY 1"
        )
        return Counter({row["kind"]: row["count"] for row in rows})

    async def paid_fen(self) -> Counter[UUID]:
        """Return what each merchant was paid, as the books say."""
        rows = await self.owner.fetch(
            "SELECT merchant_id, sum(amount_fen)::bigint AS fen FROM ledger.payouts"
            " WHERE state = 'confirmed' GROUP BY 1"
        )
        return Counter({row["merchant_id"]: row["fen"] for row in rows})

    async def payouts(self, batch_id: UUID) -> list[str]:
        """Return the end-to-end numbers of a batch, in the order of its file."""
        rows = await self.owner.fetch(
            "SELECT payout_id FROM ledger.payouts WHERE batch_id = $1 ORDER BY payout_id", batch_id
        )
        return [str(row["payout_id"]) for row in rows]

    async def assert_bank_agrees(self) -> None:
        """Check that the bank's statements have what the ledger has, each once, and no more."""
        rows = await self.owner.fetch(
            "SELECT * FROM ledger.cash_movements($1, $2, 'bank:main')",
            *(self.programme.city_id, self.programme.programme_id),
        )
        booked = Counter(
            (row["end_to_end_no"], row["direction"], row["amount_fen"]) for row in rows
        )
        stated, closing_fen = await self._stated()
        assert stated == booked
        assert closing_fen == await self.owner.fetchval(
            "SELECT ledger.guarded_balance($1, $2, 'bank:main')",
            *(self.programme.city_id, self.programme.programme_id),
        )

    async def _stated(self) -> tuple[Counter[tuple[str, str, int]], int]:
        stated: Counter[tuple[str, str, int]] = Counter()
        closing_fen = 0
        day = self.since
        while day <= await self.bank.today():
            content = await self.bank.file(f"/v1/statements/{self.account}/{day}")
            statement = bank_statement.parse(content)
            assert not isinstance(statement, FormatFault), statement
            assert statement.opening_fen == closing_fen
            closing_fen = statement.closing_fen
            stated.update(
                (row.reference, row.direction, row.amount_fen) for _, row in statement.rows
            )
            day += timedelta(days=1)
        return stated, closing_fen


async def open_shops(
    owner: asyncpg.Connection, bank: SimulatorProcess, *, merchants: int, vouchers_each: int = 2
) -> Shops:
    """Have merchants take vouchers, and let a day pass."""
    programme = await builders.make_programme(
        owner, shares={"city": 6667, "shops": 3333}, pool="shops"
    )
    now: datetime = await owner.fetchval("SELECT campaign.now()")
    funding = await owner.fetchrow("SELECT * FROM campaign.fundings WHERE journal_kind = 'J1'")
    assert funding is not None
    deposit = {
        "account": str(programme.programme_id),
        "reference": funding["reference"],
        "amount_fen": funding["amount_fen"],
        "instructed_at": now.isoformat(),
    }
    booked = await bank.post("/v1/deposits", deposit)
    vouchers = merchants * (vouchers_each + 1)
    terms = DropTerms(quota=vouchers, pack=(Kind("meal", FACE_FEN, 1),))
    drop_id = await builders.make_drop(owner, programme, terms)
    await builders.publish(owner, drop_id)
    claims = (await builders.issue(owner, drop_id, vouchers)).won
    since = date.fromisoformat(booked["booked_on"])
    shops = Shops(owner, bank, since, programme, [], claims)
    for _ in range(merchants):
        till = await tills.enrol_till(owner, programme.programme_id)
        for _ in range(vouchers_each):
            await shops.take_voucher(till)
    await tills.advance(owner, timedelta(days=1))
    return shops


@asynccontextmanager
async def working(
    database_url: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    """Run the ledger service's worker, which has little patience with the bank."""
    monkeypatch.setattr(worker, "ANSWERS_WITHIN_S", ANSWERS_WITHIN_S)
    url = service_url(database_url, "ledger", SECRETS)
    database = Database(url, pool_size=2)
    try:
        async with paying(database, Settings(url, "", data), {}):
            yield database
    finally:
        await database.close()
