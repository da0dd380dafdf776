"""Finance settles: a batch a day, approved by another person, paid by the bank."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from services.demo.desk import Desk, DeskError
from services.demo.stack import DemoError
from services.demo.treasury import Treasury

_POLLS_MAX = 300
_POLL_S = 0.2
_UNDER_WAY = frozenset({"cut", "open"})


@dataclass(slots=True)
class Settled:
    """What became of the batches of a programme."""

    batches: int = 0
    payouts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def paid(self) -> list[dict[str, Any]]:
        return [payout for payout in self.payouts if payout["state"] == "confirmed"]

    @property
    def rejected(self) -> list[dict[str, Any]]:
        return [payout for payout in self.payouts if payout["state"] == "rejected"]


@dataclass(frozen=True, slots=True)
class Staff:
    """Who works at the ledger: the second person approves what the first has proposed."""

    finance: Desk
    approver: Desk


async def settle(
    staff: Staff,
    treasury: Treasury,
    programme_id: str,
    cut_off: date,
    *,
    rejected: Sequence[float],
    settled: Settled,
) -> None:
    """Cut what is due by the end of a day, have it approved, and wait for the bank's word.

    `rejected` names the payouts that the bank refuses on command, by where they stand (0 to 1).

    Raises:
        DemoError: the bank does not end every payout.
        DeskError: a service refused.
    """
    body = {"programme_id": programme_id, "cut_off": cut_off.isoformat()}
    try:
        batch = await staff.finance.post("/v1/settlement-batches", body)
    except DeskError as refused:
        if refused.code == "nothing_due":
            return
        raise
    path = f"/v1/settlement-batches/{batch['batch_id']}"
    payouts = await staff.finance.list(f"{path}/payouts")
    for place in rejected:
        await _refuse(treasury, payouts[int(place * len(payouts))])
    await staff.approver.post(f"{path}/approve")
    settled.batches += 1
    settled.payouts += await _ended(staff.finance, path)


async def _refuse(treasury: Treasury, payout: dict[str, Any]) -> None:
    if treasury.bank is None:
        return
    fault = {"on": "payouts", "do": "reject", "match": payout["payout_id"]}
    await treasury.bank.post("/simulate/faults", {"faults": [fault]})


async def _ended(finance: Desk, path: str) -> list[dict[str, Any]]:
    for _ in range(_POLLS_MAX):
        batch = await finance.get(path)
        if not any(total["state"] in _UNDER_WAY for total in batch["by_state"]):
            return await finance.list(f"{path}/payouts")
        await asyncio.sleep(_POLL_S)
    raise DemoError(f"The bank has not ended every payout in {_POLLS_MAX * _POLL_S:.0f} s.")


def spread_rejections(count: int, days: int, seed: int) -> list[list[float]]:
    """Return for each day which of its payouts the bank refuses.

    One a day at most, and none on the last: each is to be paid after all.
    """
    dice = random.Random(seed)
    spread: list[list[float]] = [[] for _ in range(days)]
    for day in dice.sample(range(days - 1), count):
        spread[day].append(dice.random())
    return spread
