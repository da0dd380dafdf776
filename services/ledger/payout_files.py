"""The payout file of a settlement batch: what the bank is given, and what finance may download."""

from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy import cast as as_type
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import Text

from shared.formats import payout_file
from shared.formats.payout_file import PayoutFile, PayoutLine
from shared.ids import city_of
from shared.tables.merchants import Merchant
from shared.tables.settling import Payout, SettlementBatch


async def make_payout_file(session: AsyncSession, batch_id: UUID) -> bytes | None:
    """Return the file of a batch, the same bytes every time; None when it pays nobody.

    Every payout is in it, whatever became of it since. One that was netted whole has nothing to
    pay. A merchant without an account of its own is paid to one that has its id as its number.
    """
    city_id = city_of(batch_id)
    batch = (
        await session.execute(
            select(SettlementBatch.programme_id, SettlementBatch.cut_off).where(
                SettlementBatch.city_id == city_id, SettlementBatch.batch_id == batch_id
            )
        )
    ).one_or_none()
    if batch is None:
        return None
    paid = await session.execute(
        select(
            Payout.payout_id,
            Payout.merchant_id,
            Merchant.name,
            func.coalesce(Merchant.payout_account, as_type(Merchant.merchant_id, Text)),
            Payout.amount_fen,
        )
        .join(
            Merchant,
            and_(Merchant.city_id == Payout.city_id, Merchant.merchant_id == Payout.merchant_id),
        )
        .where(Payout.city_id == city_id, Payout.batch_id == batch_id, Payout.amount_fen > 0)
        .order_by(Payout.payout_id)
    )
    lines = tuple(
        PayoutLine(
            payout_id=str(payout_id),
            end_to_end_no=str(payout_id),
            merchant_id=str(merchant_id),
            merchant_name=name,
            account_no=account_no,
            amount_fen=amount_fen,
            remark=f"vouchers up to {batch.cut_off}",
        )
        for payout_id, merchant_id, name, account_no, amount_fen in paid
    )
    if not lines:
        return None
    return payout_file.write(PayoutFile(str(batch_id), str(batch.programme_id), lines))
