"""What the control plane reads. Row-level security holds every statement to the caller's cities."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.campaign.schemas import DropView, Funder, ProgrammeView, VoidView, VoucherKind
from services.campaign.till_schemas import MerchantState, MerchantView, TerminalView
from shared.ids import city_of
from shared.tables import campaign as tables
from shared.tables.claim import Claim, ClaimRelease
from shared.tables.merchants import Enrolment, Merchant, Terminal

_PROGRAMMES = select(
    tables.Programme.programme_id,
    tables.Programme.name,
    tables.City.city_code,
    tables.Programme.created_at,
    tables.Programme.created_by,
).join(tables.City, tables.City.city_id == tables.Programme.city_id)

_DROPS = select(
    tables.Drop.drop_id,
    tables.Drop.programme_id,
    tables.Drop.name,
    tables.Drop.round,
    tables.Drop.state,
    tables.Drop.version,
    tables.Drop.mode,
    tables.Drop.admission,
    tables.Drop.rail,
    tables.Drop.opens_at,
    tables.Drop.closes_at,
    tables.Drop.quota,
    tables.Drop.issued,
    tables.Drop.live,
    tables.Drop.limit_per_holder,
    tables.Drop.pack_face_fen,
    tables.Drop.reclaim_after_release,
    tables.Drop.absorbs,
    tables.Drop.created_at,
    tables.Drop.created_by,
    tables.Drop.published_at,
)

_MERCHANTS = select(
    Merchant.merchant_id,
    Merchant.name,
    tables.City.city_code,
    Merchant.categories,
    Merchant.mcc,
    Merchant.region_code,
    Merchant.payout_account,
    Merchant.wallet_id,
    Merchant.state,
    Merchant.created_at,
    Merchant.created_by,
    Merchant.approved_at,
    Merchant.approved_by,
    Merchant.suspended_at,
    Merchant.suspended_by,
).join(tables.City, tables.City.city_id == Merchant.city_id)

_TERMINALS = select(
    Terminal.terminal_id,
    Terminal.merchant_id,
    Terminal.key_id,
    Terminal.state,
    Terminal.created_at,
    Terminal.created_by,
    Terminal.suspended_at,
    Terminal.suspended_by,
)


async def find_programme(session: AsyncSession, programme_id: UUID) -> ProgrammeView | None:
    found = await _programmes(
        session,
        _PROGRAMMES.where(
            tables.Programme.city_id == city_of(programme_id),
            tables.Programme.programme_id == programme_id,
        ),
    )
    return found[0] if found else None


async def list_programmes(
    session: AsyncSession, *, before: UUID | None, limit: int
) -> list[ProgrammeView]:
    """Return up to `limit` programmes, the newest first, older than `before`."""
    statement = _PROGRAMMES.order_by(tables.Programme.programme_id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(tables.Programme.programme_id < before)
    return await _programmes(session, statement)


async def find_drop(session: AsyncSession, drop_id: UUID) -> DropView | None:
    found = await _drops(
        session,
        _DROPS.where(tables.Drop.city_id == city_of(drop_id), tables.Drop.drop_id == drop_id),
    )
    return found[0] if found else None


async def list_drops(
    session: AsyncSession, *, programme_id: UUID | None, before: UUID | None, limit: int
) -> list[DropView]:
    """Return up to `limit` drops, the newest first, older than `before`."""
    statement = _DROPS.order_by(tables.Drop.drop_id.desc()).limit(limit)
    if programme_id is not None:
        statement = statement.where(
            tables.Drop.city_id == city_of(programme_id), tables.Drop.programme_id == programme_id
        )
    if before is not None:
        statement = statement.where(tables.Drop.drop_id < before)
    return await _drops(session, statement)


async def pack_share_fen(session: AsyncSession, drop_id: UUID, funder_id: str) -> int:
    """Return what one pack of a drop costs one funder."""
    kind, share = tables.VoucherKind, tables.KindShare
    same_kind = (
        (kind.city_id == share.city_id)
        & (kind.drop_id == share.drop_id)
        & (kind.kind_id == share.kind_id)
    )
    total = await session.scalar(
        select(func.sum(kind.count * share.amount_fen))
        .join(share, same_kind)
        .where(
            kind.city_id == city_of(drop_id),
            kind.drop_id == drop_id,
            share.funder_id == funder_id,
        )
    )
    return int(total or 0)


async def find_merchant(session: AsyncSession, merchant_id: UUID) -> MerchantView | None:
    found = await _merchants(
        session,
        _MERCHANTS.where(
            Merchant.city_id == city_of(merchant_id),
            Merchant.merchant_id == merchant_id,
        ),
    )
    return found[0] if found else None


async def list_merchants(
    session: AsyncSession, *, state: MerchantState | None, before: UUID | None, limit: int
) -> list[MerchantView]:
    """Return up to `limit` merchants, the newest first, older than `before`."""
    statement = _MERCHANTS.order_by(Merchant.merchant_id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(Merchant.state == state)
    if before is not None:
        statement = statement.where(Merchant.merchant_id < before)
    return await _merchants(session, statement)


async def find_terminal(session: AsyncSession, terminal_id: UUID) -> TerminalView | None:
    found = await session.execute(
        _TERMINALS.where(
            Terminal.city_id == city_of(terminal_id),
            Terminal.terminal_id == terminal_id,
        )
    )
    row = found.mappings().one_or_none()
    return TerminalView(**row) if row else None


async def list_terminals(
    session: AsyncSession, merchant_id: UUID, *, before: UUID | None, limit: int
) -> list[TerminalView]:
    """Return up to `limit` tills of a merchant, the newest first, older than `before`."""
    statement = (
        _TERMINALS.where(
            Terminal.city_id == city_of(merchant_id),
            Terminal.merchant_id == merchant_id,
        )
        .order_by(Terminal.terminal_id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(Terminal.terminal_id < before)
    return [TerminalView(**row) for row in (await session.execute(statement)).mappings()]


async def drop_of_claim(session: AsyncSession, claim_id: UUID) -> UUID | None:
    """Return the drop of a claim, None where there is no such claim."""
    drop_id: UUID | None = await session.scalar(
        select(Claim.drop_id).where(Claim.city_id == city_of(claim_id), Claim.claim_id == claim_id)
    )
    return drop_id


async def find_void(session: AsyncSession, claim_id: UUID) -> VoidView | None:
    """Return how a claim was voided, None where it was not."""
    found = await session.execute(
        select(
            Claim.claim_id,
            Claim.drop_id,
            Claim.serial,
            Claim.state,
            ClaimRelease.journal_kind,
            ClaimRelease.reason,
            ClaimRelease.released_at,
            ClaimRelease.actor.label("released_by"),
        )
        .join(
            ClaimRelease,
            (ClaimRelease.city_id == Claim.city_id) & (ClaimRelease.claim_id == Claim.claim_id),
        )
        .where(Claim.city_id == city_of(claim_id), Claim.claim_id == claim_id)
    )
    row = found.mappings().one_or_none()
    return VoidView(**row, reopened=row["journal_kind"] == "J7a") if row else None


async def _merchants(
    session: AsyncSession, statement: Select[*tuple[Any, ...]]
) -> list[MerchantView]:
    merchants = (await session.execute(statement)).mappings().all()
    ids = [merchant["merchant_id"] for merchant in merchants]
    rows = await session.execute(
        select(Enrolment.merchant_id, Enrolment.programme_id)
        .where(Enrolment.city_id.in_(_cities(ids)), Enrolment.merchant_id.in_(ids))
        .order_by(Enrolment.merchant_id, Enrolment.programme_id)
    )
    programmes = _grouped(rows.mappings().all(), "merchant_id")
    return [
        MerchantView(
            **merchant,
            programmes=[row["programme_id"] for row in programmes[merchant["merchant_id"]]],
        )
        for merchant in merchants
    ]


async def _programmes(
    session: AsyncSession, statement: Select[*tuple[Any, ...]]
) -> list[ProgrammeView]:
    programmes = (await session.execute(statement)).mappings().all()
    ids = [programme["programme_id"] for programme in programmes]
    funder = tables.Funder
    rows = await session.execute(
        select(
            funder.programme_id,
            funder.funder_id,
            funder.name,
            funder.kind,
            funder.share_bp,
            funder.mode,
        )
        .where(funder.city_id.in_(_cities(ids)), funder.programme_id.in_(ids))
        .order_by(funder.programme_id, funder.position)
    )
    funders = _grouped(rows.mappings().all(), "programme_id")
    return [
        ProgrammeView(
            **programme, funders=[Funder(**row) for row in funders[programme["programme_id"]]]
        )
        for programme in programmes
    ]


async def _drops(session: AsyncSession, statement: Select[*tuple[Any, ...]]) -> list[DropView]:
    drops = (await session.execute(statement)).mappings().all()
    ids = [drop["drop_id"] for drop in drops]
    kind = tables.VoucherKind
    rows = await session.execute(
        select(
            kind.drop_id,
            kind.kind_id,
            kind.name,
            kind.category,
            kind.face_fen,
            kind.min_spend_fen,
            kind.count,
            kind.valid_days,
            kind.valid_until,
            kind.refund_policy,
        )
        .where(kind.city_id.in_(_cities(ids)), kind.drop_id.in_(ids))
        .order_by(kind.drop_id, kind.position)
    )
    kinds = _grouped(rows.mappings().all(), "drop_id")
    return [
        DropView(**drop, pack=[VoucherKind(**row) for row in kinds[drop["drop_id"]]])
        for drop in drops
    ]


def _cities(ids: Sequence[UUID]) -> set[int]:
    return {city_of(public_id) for public_id in ids}


def _grouped(rows: Sequence[RowMapping], key: str) -> dict[UUID, list[dict[str, Any]]]:
    """Return the rows by the id under `key`, which the rows then no longer hold."""
    groups: defaultdict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        columns = dict(row)
        groups[columns.pop(key)].append(columns)
    return groups
