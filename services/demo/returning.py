"""The end of a programme: vouchers expire, drops close, and what is left goes back."""

import asyncio
from collections.abc import Iterable
from typing import Any

from services.demo.desk import Desk
from services.demo.settling import Staff
from services.demo.stack import DemoError

_POLLS_MAX = 200
_POLL_S = 0.3
_UNUSED = ("outstanding:", "held:")


async def wait_for_expiry(finance: Desk, programme_id: str) -> None:
    """Wait until no voucher is left that could be used. Raises DemoError."""
    for _ in range(_POLLS_MAX):
        if await _unused_fen(finance, programme_id) == 0:
            return
        await asyncio.sleep(_POLL_S)
    raise DemoError(f"Vouchers have not expired in {_POLLS_MAX * _POLL_S:.0f} s.")


async def _unused_fen(finance: Desk, programme_id: str) -> int:
    balances = await finance.get("/v1/trial-balance", programme_id=programme_id)
    return sum(
        account["credit_fen"]
        for account in balances["accounts"]
        if account["code"].startswith(_UNUSED)
    )


async def close_drops(operator: Desk, drop_ids: Iterable[str]) -> None:
    for drop_id in drop_ids:
        await operator.post(f"/v1/drops/{drop_id}/close")


async def return_money(
    staff: Staff, programme_id: str, funder_ids: Iterable[str]
) -> list[dict[str, Any]]:
    """Give each funder back what is left of its money, proposed and approved by two persons.

    Raises:
        DeskError: a service refused.
    """
    returned = []
    for funder_id in funder_ids:
        if await _left_fen(staff.finance, programme_id, funder_id) == 0:
            continue
        wanted = {
            "programme_id": programme_id,
            "funder_id": funder_id,
            "include_budget": True,
        }
        proposed = await staff.finance.post("/v1/returns", wanted)
        path = f"/v1/returns/{proposed['return_id']}/approve"
        returned.append(await staff.approver.post(path))
    return returned


async def _left_fen(finance: Desk, programme_id: str, funder_id: str) -> int:
    balances = await finance.get("/v1/trial-balance", programme_id=programme_id)
    wanted = {f"return:{funder_id}", f"available:{funder_id}"}
    return sum(
        account["credit_fen"] for account in balances["accounts"] if account["code"] in wanted
    )
