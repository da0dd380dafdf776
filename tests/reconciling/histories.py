"""Programmes with movements on their accounts of cash, day by day."""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg

from shared.ids import city_of
from tests import builders, tills
from tests.bookkeeping.redeemed import APPROVER, cut
from tests.builders import DropTerms, Kind, Programme
from tests.reconciling.bureau import Bureau
from tests.tills import Asked, Till

PACK = (Kind("meal", 1001, 2), Kind("book", 500, 1))
VOUCHERS = 3
FUNDED_FEN = 10_000_000
LONG = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class History:
    """A programme on one rail with some shops, whose packs are claimed."""

    programme: Programme
    drop_id: UUID
    shops: list[Till]
    claims: list[UUID] = field(default_factory=list)

    def vouchers(self) -> list[tuple[UUID, int]]:
        return [(claim, position) for claim in self.claims for position in range(VOUCHERS)]


async def begin(bureau: Bureau, rail: str, *, shops: int = 4, claims: int = 20) -> History:
    """Fund a programme, publish a drop, and have its packs claimed."""
    owner = bureau.owner
    programme = await builders.make_programme(owner, funded_fen=FUNDED_FEN)
    drop_id = await builders.make_drop(
        owner, programme, DropTerms(quota=claims + 5, pack=PACK, rail=rail, closes_in=LONG)
    )
    await builders.publish(owner, drop_id)
    history = History(
        programme,
        drop_id,
        [await tills.enrol_till(owner, programme.programme_id) for _ in range(shops)],
    )
    history.claims.extend((await builders.issue(owner, drop_id, claims)).won)
    return history


async def redeem(bureau: Bureau, history: History, first: int, last: int) -> list[Asked]:
    """Redeem vouchers `first` to `last` - 1, each at the next shop; e-CNY ones are confirmed."""
    redeemed = [
        tills.ask(history.shops[nth % len(history.shops)], claim, position)
        for nth, (claim, position) in enumerate(history.vouchers()[first:last], first)
    ]
    told = await tills.decide(bureau.owner, redeemed)
    assert {one.outcome for one in told} <= {"captured", "pending"}
    await bureau.owner.execute(
        "SELECT redeem.finish_instruction(i.city_id, i.instruction_id, 'confirmed',"
        " 'op-' || i.instruction_id, campaign.now(), NULL) FROM redeem.instructions AS i"
        " JOIN redeem.redemptions AS r USING (city_id, redemption_id)"
        " WHERE r.drop_id = $1 AND i.state = 'open'",
        history.drop_id,
    )
    return redeemed


async def pay(bureau: Bureau, history: History) -> UUID:
    """Cut what is due up to yesterday, approve it, and have the bank pay it; return the batch."""
    owner, programme = bureau.owner, history.programme
    batch_id = await cut(owner, programme)
    assert await approve(owner, batch_id) == "approved"
    await confirm_all(owner, batch_id)
    return batch_id


async def confirm_all(owner: asyncpg.Connection, batch_id: UUID) -> None:
    """Have the bank confirm every payout of a batch."""
    outcomes = await owner.fetch(
        "SELECT ledger.finish_payout(city_id, payout_id, 'confirmed', 'BK' || payout_id, NULL,"
        " 'bank') FROM ledger.payouts WHERE batch_id = $1",
        batch_id,
    )
    assert {outcome for (outcome,) in outcomes} == {"confirmed"}


async def approve(owner: asyncpg.Connection, batch_id: UUID) -> str:
    outcome: str = await owner.fetchval(
        "SELECT ledger.decide_batch($1, $2, 'approved', $3)",
        *(city_of(batch_id), batch_id, APPROVER),
    )
    return outcome
