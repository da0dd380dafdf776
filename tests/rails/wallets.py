"""A programme on the e-CNY rail: its vouchers, its tills, its custody wallet at the operator."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from services.redeem import instructing as worker
from services.redeem.instructing import Instructing, instructing
from shared.db.urls import service_url
from shared.formats import ecny_daily
from shared.formats.faults import FormatFault
from shared.settings import Settings
from tests import builders, tills
from tests.builders import DropTerms, Kind, Programme
from tests.databases import SECRETS
from tests.simulating.running import SimulatorProcess
from tests.tills import Asked, Till

FACE_FEN = 1001
# The merchants' own share of a voucher is taken off what they are paid.
CASH_FEN = 667
ANSWERS_WITHIN_S = 0.4
_SETTLES_WITHIN_S = 40.0
_STEP = timedelta(seconds=20)


@dataclass(frozen=True, slots=True)
class Market:
    """Claims that nobody has redeemed yet, and who takes them."""

    owner: asyncpg.Connection
    operator: SimulatorProcess
    since: date
    programme: Programme
    till: Till
    claims: list[UUID]

    @property
    def wallet(self) -> str:
        return str(self.programme.programme_id)

    async def redeem(self, count: int) -> list[Asked]:
        """Redeem the next vouchers; each is pending until the operator has paid."""
        asked = [tills.ask(self.till, self.claims.pop()) for _ in range(count)]
        told = await tills.decide(self.owner, asked)
        assert {each.outcome for each in told} == {"pending"}
        return asked

    async def number(self, asked: Asked) -> str:
        """Return the end-to-end number of a redemption's payment."""
        number = await self.owner.fetchval(
            "SELECT instruction_id FROM redeem.instructions"
            " WHERE kind = 'pay' AND redemption_id = $1",
            asked.redemption_id,
        )
        return str(number)

    async def states(self) -> Counter[str]:
        """Count the redemptions by state."""
        rows = await self.owner.fetch("SELECT state, count(*) FROM redeem.redemptions GROUP BY 1")
        return Counter({row["state"]: row["count"] for row in rows})

    async def settled(self) -> Counter[str]:
        """Wait until no instruction is open, the clock running ahead; return the states."""
        async with asyncio.timeout(_SETTLES_WITHIN_S):
            while await self.owner.fetchval(
                "SELECT count(*) FROM redeem.instructions WHERE state = 'open'"
            ):
                await asyncio.sleep(0.3)
                # What was put off is due at once.
                await tills.advance(self.owner, _STEP)
        return await self.states()

    async def movements(self) -> Counter[tuple[str, str, int]]:
        """Return what the ledger says that moved the wallet."""
        rows = await self.owner.fetch(
            "SELECT * FROM ledger.cash_movements($1, $2, 'wallet:main')",
            *(self.programme.city_id, self.programme.programme_id),
        )
        return Counter((row["end_to_end_no"], row["direction"], row["amount_fen"]) for row in rows)

    async def fill_wallet(self) -> None:
        """Carry the custody moves of the books out (J32)."""
        moves = await self.owner.fetch("SELECT move_id, amount_fen FROM ledger.custody_moves")
        for move in moves:
            await self.operator.post(
                f"/v1/wallets/{self.wallet}/transfers",
                {
                    "reference": str(move["move_id"]),
                    "direction": "in",
                    "amount_fen": move["amount_fen"],
                },
            )

    async def assert_operator_agrees(self) -> None:
        """Check that the operator's files have what the ledger has, each once, and nothing else."""
        stated = Counter(
            (
                row.end_to_end_no,
                "in" if row.kind in ecny_daily.INCOMING else "out",
                row.amount_fen,
            )
            for row in await self._stated()
        )
        assert stated == await self.movements()
        booked_fen = sum(
            (fen if direction == "in" else -fen) * times
            for (_, direction, fen), times in stated.items()
        )
        wallet = await self.operator.get(f"/v1/wallets/{self.wallet}")
        assert wallet["balance_fen"] == booked_fen

    async def _stated(self) -> list[ecny_daily.Payment]:
        """Read the files of every day since the market opened: a test may play past midnight."""
        rows: list[ecny_daily.Payment] = []
        day = self.since
        while day <= await self.operator.today():
            file = ecny_daily.parse(await self.operator.file(f"/v1/files/{self.wallet}/{day}"))
            assert not isinstance(file, FormatFault), file
            rows += [row for _, row in file.rows]
            day += timedelta(days=1)
        return rows


async def open_market(
    owner: asyncpg.Connection, operator: SimulatorProcess, *, vouchers: int
) -> Market:
    """Publish a drop on the e-CNY rail and claim all of it; its wallet is not filled yet."""
    since = await operator.today()
    programme = await builders.make_programme(
        owner, shares={"city": 6667, "shops": 3333}, pool="shops"
    )
    terms = DropTerms(quota=vouchers, pack=(Kind("meal", FACE_FEN, 1),), rail="ecny")
    drop_id = await builders.make_drop(owner, programme, terms)
    await builders.publish(owner, drop_id)
    claims = (await builders.issue(owner, drop_id, vouchers)).won
    assert len(claims) == vouchers
    till = await tills.enrol_till(owner, programme.programme_id)
    return Market(owner, operator, since, programme, till, claims)


@asynccontextmanager
async def working(
    database_url: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Instructing]:
    """Run the redeem service's worker, which has little patience with the operator."""
    monkeypatch.setattr(worker, "ANSWERS_WITHIN_S", ANSWERS_WITHIN_S)
    settings = Settings(service_url(database_url, "redeem", SECRETS), "", data)
    async with instructing(settings, {}) as instructs:
        yield instructs


async def confirmations(owner: asyncpg.Connection, asked: Sequence[Asked]) -> int:
    """Count those whose payment the operator has confirmed."""
    count: int = await owner.fetchval(
        "SELECT count(*) FROM redeem.instructions"
        " WHERE kind = 'pay' AND state = 'confirmed' AND redemption_id = ANY ($1)",
        [each.redemption_id for each in asked],
    )
    return count
