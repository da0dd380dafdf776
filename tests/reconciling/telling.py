"""A bank or an operator that states one account day by day."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from tests.bookkeeping import redeemed
from tests.builders import Programme
from tests.reconciling import histories, movements
from tests.reconciling.bureau import Bureau
from tests.reconciling.histories import History
from tests.reconciling.movements import BANK, FORMATS, Row


@dataclass(slots=True)
class Teller:
    """Writes the statements of one account, each opening as the one before closed."""

    desk: Bureau
    programme: Programme
    account: str
    closing_fen: int = 0
    runs: list[dict[str, Any]] = field(default_factory=list)

    async def state(self, day: date, rows: Sequence[Row], *, spoilt: int = 0) -> str:
        """Send a statement; `spoilt` names the row that cannot be read. Returns its id."""
        content = movements.write(
            self.programme, self.account, day, rows, opening_fen=self.closing_fen
        )
        if spoilt:
            content = movements.spoil_row(self.account, content, spoilt)
        self.closing_fen += movements.sum_fen(rows)
        statement = await self.desk.take(
            self.programme.programme_id, FORMATS[self.account], content
        )
        return str(statement["statement_id"])

    async def run(self, statement_id: str) -> dict[str, Any]:
        """Run a statement; on a bank account everything must be explained."""
        run = await self.desk.run(statement_id)
        expected = 0 if self.account == BANK else None
        assert run["waterfall"]["unexplained_fen"] == expected, run
        return run

    async def booked(self, day: date) -> list[Row]:
        """Return what the books have of one day."""
        return await movements.booked(
            self.desk.owner,
            self.programme,
            self.account,
            day,
            date.fromordinal(day.toordinal() - 1),
        )

    async def breaks(self) -> list[dict[str, Any]]:
        return await self.desk.breaks(self.programme.programme_id)


async def at_the_bank(desk: Bureau) -> tuple[History, Teller]:
    """A programme whose shops are to be paid; the day of its funding is stated and matched."""
    history = await histories.begin(desk, "bank")
    await histories.redeem(desk, history, 0, 12)
    teller = Teller(desk, history.programme, BANK)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    assert (await teller.run(await teller.state(day, await teller.booked(day))))["differences"] == 0
    return history, teller


async def open_payouts(desk: Bureau, history: History) -> list[Row]:
    """Instruct the bank; return what it will state once it has paid."""
    batch_id = await redeemed.cut(desk.owner, history.programme)
    assert await histories.approve(desk.owner, batch_id) == "approved"
    rows = await desk.owner.fetch(
        "SELECT payout_id, amount_fen FROM ledger.payouts WHERE batch_id = $1 ORDER BY payout_id",
        batch_id,
    )
    assert len(rows) == 4
    return [
        Row(str(payout_id), "out", amount_fen, f"BK{payout_id}") for payout_id, amount_fen in rows
    ]


async def confirm(desk: Bureau, payouts: Sequence[Row]) -> None:
    for payout in payouts:
        outcome = await desk.owner.fetchval(
            "SELECT ledger.finish_payout(1::smallint, $1, 'confirmed', $2, NULL, 'bank')",
            *(UUID(payout.number), payout.channel_no),
        )
        assert outcome == "confirmed"
