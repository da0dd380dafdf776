"""Settlement records, with what was settled and reconciled of them since."""

from collections.abc import Mapping
from uuid import UUID

from services.ledger import settlement_queries as queries
from services.ledger.paging import page_of
from services.ledger.settlement_queries import FoundRecord, Reconciled, RecordPosition
from services.ledger.settlement_schemas import RecordsRequest, SettlementRecordView
from services.ledger.visibility import reading_book
from shared.auth.principals import Principal
from shared.clock import CITY_TIME
from shared.db.database import Database
from shared.ids import city_of
from shared.voucher_ids import VoucherIds
from shared.web.pages import Cursor, Page

_CURSOR = Cursor(RecordPosition)


async def list_records(
    database: Database, voucher_ids: VoucherIds, staff: Principal, wanted: RecordsRequest
) -> Page[SettlementRecordView]:
    """Return a page of a programme's records, latest first. Raises NotFound, InvalidRequest."""
    before = _CURSOR.decode(wanted.cursor)
    async with reading_book(database, staff, wanted.programme_id) as (session, programme_id):
        found = await queries.list_records(
            session, programme_id, wanted, before=before, limit=wanted.limit + 1
        )
        told = await queries.reconciled(
            session,
            city_of(programme_id),
            {one.cash_journal_id for one in found if one.cash_journal_id},
        )
    views = [_view(one, told, voucher_ids) for one in found]
    return page_of(
        views,
        wanted.limit,
        lambda last: _CURSOR.encode(RecordPosition(last.accounting_date, last.settlement_id)),
    )


def _view(
    found: FoundRecord, told: Mapping[UUID, Reconciled], voucher_ids: VoucherIds
) -> SettlementRecordView:
    record, payout = found.record, found.payout
    said = Reconciled(None, None)
    if found.cash_journal_id is not None:
        said = told.get(found.cash_journal_id, said)
    settle_date = record.accounting_date if record.settle_cycle == "T0_FINAL" else None
    if payout is not None and payout.state == "confirmed" and payout.ended_at is not None:
        settle_date = payout.ended_at.astimezone(CITY_TIME).date()
    told_later = {
        "voucher_id": _voucher_id(found, voucher_ids),
        "settle_batch_no": None if payout is None else payout.batch_id,
        "payout_id": None if payout is None else payout.payout_id,
        "settle_date": settle_date,
        "recon_status": "BREAK" if said.break_id else "MATCHED" if said.run_id else None,
        "recon_run_id": said.run_id,
        "break_id": said.break_id,
    }
    kept = {
        name: getattr(record, name)
        for name in SettlementRecordView.model_fields
        if name not in told_later
    }
    return SettlementRecordView.model_validate({**kept, **told_later})


def _voucher_id(found: FoundRecord, voucher_ids: VoucherIds) -> str | None:
    claim_id, position = found.record.claim_id, found.record.position
    if claim_id is None or position is None:
        return None
    return voucher_ids.of_claim(claim_id, position + 1)[position]
