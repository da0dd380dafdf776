"""Tills of a merchant: registering one with its key, and suspending it."""

from uuid import UUID

from sqlalchemy import func, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.campaign import queries
from services.campaign.merchants import refuse_suspended
from services.campaign.resources import Resources
from services.campaign.till_schemas import TerminalIssued, TerminalView
from services.campaign.visibility import visible_merchant
from shared.auth.principals import Principal
from shared.errors import NotFound
from shared.ids import city_of, new_id, parse_id
from shared.invariant import invariant
from shared.tables.merchants import Terminal
from shared.terminal_keys import new_key_id
from shared.web.idempotency import Attempt, Created, create_once

_SUSPEND_TERMINAL = """
    SELECT campaign.suspend_terminal(
        CAST(:city_id AS smallint), :merchant_id, :terminal_id, :actor
    ) AS outcome
"""


async def register_terminal(
    opened: Resources, operator: Principal, attempt: Attempt, merchant_id: str
) -> Created[TerminalIssued]:
    """Register a till of a merchant and show its secret.

    The secret is derived and stored nowhere, in the answer kept for a replay neither: a replay
    derives it again.

    Raises:
        NotFound: there is no such merchant in the operator's cities.
        WrongState: the merchant is suspended.
    """
    merchant = await visible_merchant(opened.database, operator, merchant_id)
    city_id = city_of(UUID(merchant.merchant_id))

    async def create(session: AsyncSession) -> TerminalView:
        refuse_suspended(merchant)
        terminal_id = new_id(city_id)
        await session.execute(
            insert(Terminal).values(
                city_id=city_id,
                terminal_id=terminal_id,
                merchant_id=UUID(merchant.merchant_id),
                key_id=new_key_id(terminal_id),
                state="active",
                created_at=func.campaign.now(),
                created_by=operator.subject,
            )
        )
        terminal = await queries.find_terminal(session, terminal_id)
        invariant(terminal is not None, f"terminal {terminal_id} is gone before it was committed")
        assert terminal is not None  # noqa: S101 - narrows the type; the line above checks it
        return terminal

    created = await create_once(opened.database, city_id, attempt, TerminalView, create)
    secret = opened.terminal_keys.text(created.view.key_id)
    issued = TerminalIssued(**created.view.model_dump(), secret=secret)
    return Created(issued, replayed=created.replayed)


async def suspend_terminal(
    opened: Resources, operator: Principal, merchant_id: str, terminal_id: str
) -> TerminalView:
    """Suspend one till; when this returns, no later redemption of it commits.

    Raises:
        NotFound: there is no such till of such a merchant in the operator's cities.
    """
    merchant = await visible_merchant(opened.database, operator, merchant_id)
    parsed = parse_id(terminal_id)
    city_id = city_of(UUID(merchant.merchant_id))
    if parsed is None or city_of(parsed) != city_id:
        raise NotFound("There is no such terminal.")
    row = await opened.database.call(
        _SUSPEND_TERMINAL,
        {
            "city_id": city_id,
            "merchant_id": UUID(merchant.merchant_id),
            "terminal_id": parsed,
            "actor": operator.subject,
        },
    )
    if row["outcome"] == "not_found":
        raise NotFound("There is no such terminal.")
    async with opened.database.transaction([city_id]) as session:
        terminal = await queries.find_terminal(session, parsed)
    invariant(terminal is not None, f"terminal {parsed} was suspended and is gone")
    assert terminal is not None  # noqa: S101 - narrows the type; the line above checks it
    return terminal
