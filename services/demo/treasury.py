"""The treasurer: does at the simulated bank and wallet what the books say was done there."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from services.demo.desk import Desk, desk_at
from shared.counterparties import BANK, ECNY_OPERATOR, url_file

_BANK_ACCOUNT = "bank:main"
_WALLET_ACCOUNT = "wallet:main"
# Between bank and wallet (J32), and back to a funder (J19): what no worker carries out.
_CARRIED_OUT = ("J32", "J19")


@dataclass(frozen=True, slots=True)
class Treasury:
    """Moves money at the simulators, under the numbers under which the books carry it.

    A programme's account at the bank has its id as its number, and so has its wallet. Doing it
    again moves nothing.
    """

    bank: Desk | None
    operator: Desk | None

    async def set_clocks(self, now: datetime) -> None:
        """Have the simulators' clocks never run behind. Raises DeskError."""
        for desk in (self.bank, self.operator):
            if desk is not None:
                await desk.post("/simulate/clock", {"now": now.isoformat()})

    async def receive(
        self, programme_id: str, reference: str, amount_fen: int, funder: str, at: datetime
    ) -> None:
        """Let a funder's money arrive at the bank. Raises DeskError."""
        if self.bank is not None:
            body = _movement(programme_id, reference, amount_fen, funder, at)
            await self.bank.post("/v1/deposits", body)

    async def carry_out(self, finance: Desk, programme_id: str) -> None:
        """Move between bank, wallet and funders what the books say. Raises DeskError.

        `finance` reads the ledger.
        """
        for kind in _CARRIED_OUT:
            journals = await finance.list("/v1/journals", programme_id=programme_id, kind=kind)
            for journal in journals:
                for transfer in journal["transfers"]:
                    await self._carry_out(programme_id, journal, transfer)

    async def _carry_out(
        self, programme_id: str, journal: dict[str, Any], transfer: dict[str, Any]
    ) -> None:
        event, amount_fen = journal["event"], transfer["amount_fen"]
        at = datetime.fromisoformat(journal["posted_at"])
        sides = {transfer["debit"]: "in", transfer["credit"]: "out"}
        # What one account gives another must have left it first.
        for account, direction in sorted(sides.items(), key=lambda side: side[1], reverse=True):
            if account == _BANK_ACCOUNT and self.bank is not None:
                path = "/v1/deposits" if direction == "in" else "/v1/transfers"
                body = _movement(programme_id, event, amount_fen, "", at)
                await self.bank.post(path, body)
            elif account == _WALLET_ACCOUNT and self.operator is not None:
                body = {
                    "reference": event,
                    "direction": direction,
                    "amount_fen": amount_fen,
                    "instructed_at": at.isoformat(),
                }
                await self.operator.post(f"/v1/wallets/{programme_id}/transfers", body)


def _movement(
    account: str, reference: str, amount_fen: int, counterparty: str, at: datetime
) -> dict[str, Any]:
    return {
        "account": account,
        "reference": reference,
        "amount_fen": amount_fen,
        "counterparty": counterparty,
        "instructed_at": at.isoformat(),
    }


@asynccontextmanager
async def reach_treasury(data: Path) -> AsyncIterator[Treasury]:
    """Open the way to the simulators that run on this data dir; never to a real counterparty."""
    async with AsyncExitStack() as open_desks:
        desks: dict[str, Desk | None] = {}
        for counterparty in (BANK, ECNY_OPERATOR):
            told = url_file(data, counterparty)
            desks[counterparty] = (
                await open_desks.enter_async_context(desk_at(told.read_text().strip()))
                if told.exists()
                else None
            )
        yield Treasury(desks[BANK], desks[ECNY_OPERATOR])
