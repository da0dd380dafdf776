"""What was settled, read back. Row-level security holds every statement to the caller's cities."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Select,
    and_,
    cast,
    exists,
    func,
    literal,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from services.ledger.schemas import Day
from services.ledger.settlement_schemas import (
    BatchView,
    PayoutTotals,
    PayoutView,
    RecordsRequest,
    ReturnView,
)
from shared.ids import city_of
from shared.tables.ledger import Journal
from shared.tables.merchants import Merchant
from shared.tables.settling import (
    FunderReturn,
    Payout,
    PayoutItem,
    SettlementBatch,
    SettlementRecord,
)


class RecordPosition(NamedTuple):
    """Where a page of records ended."""

    accounting_date: Day
    settlement_id: UUID


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What the current runs say of a journal."""

    run_id: UUID | None
    break_id: UUID | None


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record, the payout that pays it, and the journal that moved its cash, if they exist."""

    record: SettlementRecord
    payout: Payout | None
    cash_journal_id: UUID | None


async def list_records(
    session: AsyncSession,
    programme_id: UUID,
    wanted: RecordsRequest,
    *,
    before: RecordPosition | None,
    limit: int,
) -> list[FoundRecord]:
    """Return the records of a programme, the latest first."""
    statement = (
        select(SettlementRecord, Payout)
        .outerjoin(
            PayoutItem,
            and_(
                PayoutItem.city_id == SettlementRecord.city_id,
                PayoutItem.settlement_id == SettlementRecord.settlement_id,
                ~PayoutItem.void,
            ),
        )
        .outerjoin(
            Payout,
            and_(Payout.city_id == PayoutItem.city_id, Payout.payout_id == PayoutItem.payout_id),
        )
        .where(
            SettlementRecord.city_id == city_of(programme_id),
            SettlementRecord.programme_id == programme_id,
            # The index in this order holds every row, which takes a comparison to show.
            SettlementRecord.accounting_date <= literal_column("'infinity'"),
        )
    )
    statement = _filtered(statement, wanted)
    if before is not None:
        statement = statement.where(
            tuple_(SettlementRecord.accounting_date, SettlementRecord.settlement_id)
            < tuple_(literal(before.accounting_date), literal(before.settlement_id))
        )
    statement = statement.order_by(
        SettlementRecord.accounting_date.desc(), SettlementRecord.settlement_id.desc()
    ).limit(limit)
    rows = (await session.execute(statement)).all()
    paid_by = await _journals_of_payouts(
        session, city_of(programme_id), {payout.payout_id for _, payout in rows if payout}
    )
    return [
        FoundRecord(record, payout, _cash_journal(record, payout, paid_by))
        for record, payout in rows
    ]


def _filtered(
    statement: Select[SettlementRecord, Payout], wanted: RecordsRequest
) -> Select[SettlementRecord, Payout]:
    if wanted.record_type is not None:
        statement = statement.where(SettlementRecord.record_type == wanted.record_type)
    if wanted.merchant_id is not None:
        statement = statement.where(SettlementRecord.merchant_id == wanted.merchant_id)
    if wanted.accounting_date is not None:
        statement = statement.where(SettlementRecord.accounting_date == wanted.accounting_date)
    if wanted.batch_id is not None:
        tried = Payout.__table__.alias("tried")
        item = PayoutItem.__table__.alias("item")
        statement = statement.where(
            exists()
            .where(item.c.city_id == SettlementRecord.city_id)
            .where(item.c.settlement_id == SettlementRecord.settlement_id)
            .where(tried.c.city_id == item.c.city_id)
            .where(tried.c.payout_id == item.c.payout_id)
            .where(tried.c.batch_id == wanted.batch_id)
        )
    return statement


def _cash_journal(
    record: SettlementRecord, payout: Payout | None, paid_by: dict[UUID, UUID]
) -> UUID | None:
    if payout is not None:
        return paid_by.get(payout.payout_id)
    return record.ledger_txn_id if record.settle_cycle == "T0_FINAL" else None


async def _journals_of_payouts(
    session: AsyncSession, city_id: int, payouts: Collection[UUID]
) -> dict[UUID, UUID]:
    found = await session.execute(
        select(Journal.event, Journal.journal_id).where(
            Journal.city_id == city_id,
            Journal.kind == "J15",
            Journal.event.in_([str(payout) for payout in payouts]),
        )
    )
    return {UUID(event): journal_id for event, journal_id in found}


_RECONCILED = text("""
    SELECT j.journal_id, matched.reconciliation_id, missing.break_id
    FROM unnest(CAST(:journals AS uuid[])) AS j (journal_id)
    LEFT JOIN LATERAL (
        SELECT m.reconciliation_id
        FROM ledger.matches AS m
        WHERE m.city_id = :city_id AND m.journal_id = j.journal_id AND m.reconciliation_id IN (
            SELECT r.reconciliation_id FROM ledger.current_runs AS r WHERE r.city_id = :city_id
        )
        LIMIT 1
    ) AS matched ON true
    LEFT JOIN LATERAL (
        SELECT b.break_id
        FROM ledger.breaks AS b
        WHERE b.city_id = :city_id AND b.booked_journal_id = j.journal_id
            AND b.cleared_at IS NULL
        LIMIT 1
    ) AS missing ON true
""")


async def reconciled(
    session: AsyncSession, city_id: int, journals: Collection[UUID]
) -> dict[UUID, Reconciled]:
    """Return which run matched each journal, and the break that it stands in."""
    if not journals:
        return {}
    rows = await session.execute(_RECONCILED, {"city_id": city_id, "journals": list(journals)})
    return {journal_id: Reconciled(run_id, break_id) for journal_id, run_id, break_id in rows}


async def find_batch(session: AsyncSession, batch_id: UUID) -> BatchView | None:
    wanted = select(SettlementBatch).where(
        SettlementBatch.city_id == city_of(batch_id), SettlementBatch.batch_id == batch_id
    )
    found = await _batches(session, wanted)
    return found[0] if found else None


async def list_batches(
    session: AsyncSession,
    programme_id: UUID,
    *,
    state: str | None,
    before: UUID | None,
    limit: int,
) -> list[BatchView]:
    """Return the batches of a programme, the newest first: their ids grow with time."""
    wanted = select(SettlementBatch).where(
        SettlementBatch.city_id == city_of(programme_id),
        SettlementBatch.programme_id == programme_id,
    )
    if state is not None:
        wanted = wanted.where(SettlementBatch.state == state)
    if before is not None:
        wanted = wanted.where(SettlementBatch.batch_id < before)
    return await _batches(session, wanted.order_by(SettlementBatch.batch_id.desc()).limit(limit))


async def _batches(session: AsyncSession, wanted: Select[SettlementBatch]) -> list[BatchView]:
    batches = (await session.scalars(wanted)).all()
    totals: dict[UUID, list[PayoutTotals]] = defaultdict(list)
    netted_fen: dict[UUID, int] = defaultdict(int)
    sums = (
        select(
            Payout.batch_id,
            Payout.state,
            func.count().label("payouts"),
            cast(func.sum(Payout.amount_fen), BigInteger).label("amount_fen"),
            cast(func.sum(Payout.netted_fen), BigInteger).label("netted_fen"),
        )
        .where(
            tuple_(Payout.city_id, Payout.batch_id).in_([(b.city_id, b.batch_id) for b in batches])
        )
        .group_by(Payout.batch_id, Payout.state)
        .order_by(Payout.batch_id, Payout.state)
    )
    for row in await session.execute(sums):
        totals[row.batch_id].append(PayoutTotals.model_validate(row))
        netted_fen[row.batch_id] += row.netted_fen
    return [
        BatchView(
            batch_id=batch.batch_id,
            programme_id=batch.programme_id,
            cut_off=batch.cut_off,
            state=batch.state,
            payouts=batch.payouts,
            amount_fen=batch.amount_fen,
            netted_fen=netted_fen[batch.batch_id],
            by_state=totals[batch.batch_id],
            created_at=batch.created_at,
            created_by=batch.created_by,
            decided_at=batch.decided_at,
            decided_by=batch.decided_by,
        )
        for batch in batches
    ]


async def list_payouts(
    session: AsyncSession, batch_id: UUID, *, after: UUID | None, limit: int
) -> list[PayoutView]:
    records = (
        select(func.count())
        .where(PayoutItem.city_id == Payout.city_id, PayoutItem.payout_id == Payout.payout_id)
        .scalar_subquery()
    )
    wanted = (
        select(
            Payout.payout_id,
            Payout.batch_id,
            Payout.programme_id,
            Payout.merchant_id,
            Merchant.name.label("merchant_name"),
            Payout.amount_fen,
            Payout.netted_fen,
            records.label("records"),
            Payout.state,
            Payout.bank_txn_no,
            Payout.reason,
            Payout.ended_at,
        )
        .join(
            Merchant,
            and_(Merchant.city_id == Payout.city_id, Merchant.merchant_id == Payout.merchant_id),
        )
        .where(Payout.city_id == city_of(batch_id), Payout.batch_id == batch_id)
    )
    if after is not None:
        wanted = wanted.where(Payout.payout_id > after)
    rows = await session.execute(wanted.order_by(Payout.payout_id).limit(limit))
    return [PayoutView.model_validate(row) for row in rows]


async def find_return(session: AsyncSession, return_id: UUID) -> ReturnView | None:
    wanted = select(FunderReturn).where(
        FunderReturn.city_id == city_of(return_id), FunderReturn.return_id == return_id
    )
    found = await session.scalar(wanted)
    return None if found is None else _return_view(found)


async def list_returns(
    session: AsyncSession,
    programme_id: UUID,
    *,
    state: str | None,
    before: UUID | None,
    limit: int,
) -> Sequence[ReturnView]:
    """Return the returns of a programme, the newest first."""
    wanted = select(FunderReturn).where(
        FunderReturn.city_id == city_of(programme_id), FunderReturn.programme_id == programme_id
    )
    if state is not None:
        wanted = wanted.where(FunderReturn.state == state)
    if before is not None:
        wanted = wanted.where(FunderReturn.return_id < before)
    found = await session.scalars(wanted.order_by(FunderReturn.return_id.desc()).limit(limit))
    return [_return_view(row) for row in found]


def _return_view(row: FunderReturn) -> ReturnView:
    return ReturnView(
        return_id=row.return_id,
        programme_id=row.programme_id,
        funder_id=row.funder_id,
        total_fen=row.pledge_fen + row.bank_fen + row.wallet_fen,
        released_fen=row.released_fen,
        pledge_fen=row.pledge_fen,
        bank_fen=row.bank_fen,
        wallet_fen=row.wallet_fen,
        state=row.state,
        proposed_at=row.proposed_at,
        proposed_by=row.proposed_by,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )
