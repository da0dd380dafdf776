"""Tills and what they do, through the functions that the redeem service calls.

Every builder takes a connection that may execute them: the owner's, or the redeem service's.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import asyncpg

from shared.ids import city_of, new_id
from tests.builders import OPERATOR

APPROVER = "approver-1"
CATEGORY = "catering"
_steps = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Till:
    """A terminal of an approved merchant that takes part in one programme."""

    merchant_id: UUID
    terminal_id: UUID
    key_id: str

    @property
    def city_id(self) -> int:
        return city_of(self.terminal_id)


async def enrol_till(
    owner: asyncpg.Connection,
    programme_id: UUID,
    *,
    merchant_id: UUID | None = None,
    categories: Sequence[str] = (CATEGORY,),
) -> Till:
    """Enrol a terminal, of a merchant of its own unless one is named."""
    city_id = city_of(programme_id)
    if merchant_id is None:
        merchant_id = new_id(city_id)
        await owner.execute(
            "INSERT INTO campaign.merchants (city_id, merchant_id, name, categories, state,"
            " created_at, created_by, approved_at, approved_by)"
            " VALUES ($1, $2, 'Noodle shop', $3, 'active', campaign.now(), $4, campaign.now(), $5)",
            *(city_id, merchant_id, list(categories), OPERATOR, APPROVER),
        )
        await owner.execute(
            "INSERT INTO campaign.enrolments (city_id, merchant_id, programme_id)"
            " VALUES ($1, $2, $3)",
            *(city_id, merchant_id, programme_id),
        )
    terminal_id = new_id(city_id)
    await owner.execute(
        "INSERT INTO campaign.terminals (city_id, terminal_id, merchant_id, key_id, state,"
        " created_at, created_by) VALUES ($1, $2, $3, $4, 'active', campaign.now(), $5)",
        *(city_id, terminal_id, merchant_id, f"{terminal_id}.1", OPERATOR),
    )
    return Till(merchant_id, terminal_id, f"{terminal_id}.1")


@dataclass(frozen=True, slots=True)
class Asked:
    """One attempt at a redemption. Its code is of a step that nobody has used yet."""

    till: Till
    claim_id: UUID
    position: int
    redemption_id: UUID
    request_no: str
    code_step: int
    body_hash: bytes
    order_fen: int = 10_000
    category: str = CATEGORY
    capture: bool = True

    def again(self, **changes: object) -> "Asked":
        """Return the same attempt with some of it changed."""
        return replace(self, **changes)  # type: ignore[arg-type]  # named as the fields are


def ask(till: Till, claim_id: UUID, position: int = 0, *, capture: bool = True) -> Asked:
    """Return a fresh attempt that nothing should stand in the way of."""
    redemption_id = new_id(till.city_id)
    request_no = redemption_id.hex
    return Asked(
        till,
        claim_id,
        position,
        redemption_id,
        request_no,
        next(_steps),
        request_no.encode(),
        capture=capture,
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What one attempt was told."""

    outcome: str
    is_replayed: bool
    redemption_id: UUID | None
    by_terminal: UUID | None
    by_request_no: str | None


async def decide(connection: asyncpg.Connection, attempts: Sequence[Asked]) -> list[Told]:
    """Send one batch of attempts to `redeem.decide`."""
    row = await connection.fetchrow(
        "SELECT * FROM redeem.decide($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        attempts[0].till.city_id,
        [a.redemption_id for a in attempts],
        [a.till.terminal_id for a in attempts],
        [a.request_no for a in attempts],
        [a.body_hash for a in attempts],
        [a.claim_id for a in attempts],
        [a.position for a in attempts],
        [a.code_step for a in attempts],
        ["order-1" for _ in attempts],
        [a.order_fen for a in attempts],
        [a.category for a in attempts],
        [a.capture for a in attempts],
    )
    assert row is not None
    return [
        Told(*told)
        for told in zip(
            *(row["outcomes"], row["are_replayed"], row["redemption_ids"]),
            *(row["by_terminals"], row["by_request_nos"]),
            strict=True,
        )
    ]


async def redeem(
    connection: asyncpg.Connection,
    till: Till,
    claim_id: UUID,
    position: int = 0,
    *,
    capture: bool = True,
) -> Asked:
    """Redeem or hold a voucher; it must be accepted."""
    attempt = ask(till, claim_id, position, capture=capture)
    told = (await decide(connection, [attempt]))[0]
    assert told.outcome in {"captured", "held", "pending"}, told.outcome
    return attempt


async def finish_hold(
    connection: asyncpg.Connection, held: Asked, operation: str, request_no: str | None = None
) -> str:
    """Capture or release a hold; return the outcome."""
    number = request_no or f"{held.request_no}-{operation}"
    outcome: str = await connection.fetchval(
        "SELECT outcome FROM redeem.finish_hold($1, $2, $3, $4, $5, $6)",
        *(held.till.city_id, held.till.terminal_id, number, number.encode()),
        *(held.redemption_id, operation),
    )
    return outcome


async def reverse(
    connection: asyncpg.Connection, original: Asked, request_no: str | None = None
) -> str:
    """Reverse a request, whether it was sent or not; return the outcome."""
    number = request_no or f"{original.request_no}-undo"
    outcome: str = await connection.fetchval(
        "SELECT outcome FROM redeem.reverse($1, $2, $3, $4, $5)",
        *(original.till.city_id, original.till.terminal_id, number, number.encode()),
        original.request_no,
    )
    return outcome


async def answer(
    connection: asyncpg.Connection, asked: Asked, says: str, kind: str = "pay"
) -> str | None:
    """Have the e-CNY operator confirm or reject the open instruction of a redemption."""
    instruction = await connection.fetchval(
        "SELECT instruction_id FROM redeem.instructions"
        " WHERE city_id = $1 AND redemption_id = $2 AND kind = $3 AND state = 'open'",
        *(asked.till.city_id, asked.redemption_id, kind),
    )
    assert instruction is not None, f"no open instruction to {kind}"
    state: str | None = await connection.fetchval(
        "SELECT redeem.finish_instruction($1, $2, $3, $4, campaign.now(), NULL)",
        *(asked.till.city_id, instruction, says, f"op-{instruction.hex[:12]}"),
    )
    return state


async def suspend(owner: asyncpg.Connection, till: Till, *, whose: str = "terminal") -> None:
    """Suspend a terminal, or its whole merchant."""
    if whose == "merchant":
        outcome = await owner.fetchval(
            "SELECT campaign.change_merchant($1, $2, 'suspend', $3)",
            *(till.city_id, till.merchant_id, OPERATOR),
        )
    else:
        outcome = await owner.fetchval(
            "SELECT campaign.suspend_terminal($1, $2, $3, $4)",
            *(till.city_id, till.merchant_id, till.terminal_id, OPERATOR),
        )
    assert outcome == "done", outcome


async def advance(owner: asyncpg.Connection, by: timedelta) -> None:
    """Move the deployment's clock."""
    await owner.execute("SELECT campaign.advance_clock($1)", by // timedelta(microseconds=1))


async def expire_due(connection: asyncpg.Connection) -> int:
    """Expire every cohort whose end has come; return how many vouchers expired."""
    due = await connection.fetch("SELECT * FROM redeem.due_cohorts(1000)")
    expired = 0
    for cohort in due:
        expired += (
            await connection.fetchval("SELECT redeem.expire_cohort($1, $2, $3, $4)", *cohort) or 0
        )
    return expired
