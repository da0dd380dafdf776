"""Drafting a drop: what its packs hold, and which funder pays how much of every voucher."""

from uuid import UUID

from sqlalchemy import func, insert
from sqlalchemy.ext.asyncio import AsyncSession

from services.campaign import queries
from services.campaign.schemas import DropView, NewDrop, ProgrammeView
from shared.auth.principals import Principal
from shared.bookkeeping.splitting import split_by_largest_remainder
from shared.db.database import Database
from shared.ids import city_of, new_id
from shared.invariant import invariant
from shared.tables.campaign import Drop, KindShare, VoucherKind
from shared.web.idempotency import Attempt, Created, create_once

# These fields of a request are stored elsewhere, or name features that are refused when used.
_NOT_COLUMNS = {"programme_id", "pack", "eligibility", "limits"}


async def draft_drop(
    database: Database,
    operator: Principal,
    attempt: Attempt,
    programme: ProgrammeView,
    wanted: NewDrop,
) -> Created[DropView]:
    """Write a drop as a draft; no money moves before it is published."""
    programme_id = UUID(programme.programme_id)
    city_id = city_of(programme_id)
    # In the funders' order, by which ties of a split are broken.
    shares_bp = {funder.funder_id: funder.share_bp for funder in programme.funders}

    async def create(session: AsyncSession) -> DropView:
        drop_id = new_id(city_id)
        await session.execute(
            insert(Drop).values(
                **wanted.model_dump(exclude=_NOT_COLUMNS),
                city_id=city_id,
                drop_id=drop_id,
                programme_id=programme_id,
                reserve_mode="full",
                pack_face_fen=wanted.pack_face_fen,
                state="draft",
                version=0,
                issued=0,
                live=0,
                created_at=func.campaign.now(),
                created_by=operator.subject,
            )
        )
        await _write_pack(session, drop_id, wanted, shares_bp)
        drop = await queries.find_drop(session, drop_id)
        invariant(drop is not None, f"drop {drop_id} is gone before its draft was committed")
        assert drop is not None  # noqa: S101 - narrows the type; the line above checks it
        return drop

    return await create_once(database, city_id, attempt, DropView, create)


async def _write_pack(
    session: AsyncSession, drop_id: UUID, wanted: NewDrop, shares_bp: dict[str, int]
) -> None:
    of_drop = {"city_id": city_of(drop_id), "drop_id": drop_id}
    await session.execute(
        insert(VoucherKind),
        [
            {
                **kind.model_dump(),
                **of_drop,
                "position": position,
                "benefit": "amount",
                "percent_bp": None,
            }
            for position, kind in enumerate(wanted.pack)
        ],
    )
    await session.execute(
        insert(KindShare),
        [
            {
                **of_drop,
                "kind_id": kind.kind_id,
                "funder_id": funder_id,
                "amount_fen": amount_fen,
            }
            for kind in wanted.pack
            for funder_id, amount_fen in split_by_largest_remainder(
                kind.face_fen, shares_bp
            ).items()
        ],
    )
