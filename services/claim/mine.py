"""What a resident holds, as they see it: their claims, vouchers, and the codes to spend them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from services.claim import queries
from services.claim.definitions import Definition
from services.claim.packs import EXPIRED, REDEEMED, RELEASED, Kept, vouchers_of
from services.claim.refusals import VoucherExpired, VoucherRedeemed, VoucherVoided
from services.claim.resources import Resources
from services.claim.schemas import ClaimView, MyVoucher, VoucherCode
from shared.auth.principals import Principal
from shared.clock import rfc3339
from shared.errors import NotFound, Refusal
from shared.ids import city_of, parse_id
from shared.web.pages import Cursor, Page, PageRequest

_NS_PER_S = 1_000_000_000
_vouchers_cursor = Cursor[tuple[UUID, int]](tuple[UUID, int])
_CODELESS: Mapping[str, type[Refusal]] = {
    REDEEMED: VoucherRedeemed,
    EXPIRED: VoucherExpired,
    RELEASED: VoucherVoided,
}


@dataclass(frozen=True, slots=True)
class _Mine:
    """One claim of the caller: its row, what it gives, and its vouchers as they are now."""

    row: asyncpg.Record
    definition: Definition
    vouchers: list[dict[str, Any]]

    def voucher(self, position: int) -> MyVoucher:
        return MyVoucher(
            claim_id=str(self.row["claim_id"]),
            drop_id=str(self.row["drop_id"]),
            **self.vouchers[position],
        )


async def read_claim(resources: Resources, resident: Principal, claim_id: str) -> ClaimView:
    """Show a claim. Raises NotFound, also for one of somebody else."""
    parsed = parse_id(claim_id)
    mine = await _find(resources, resident, parsed) if parsed else None
    if mine is None:
        raise NotFound("There is no such claim of yours.")
    return ClaimView.model_validate(
        {
            "claim_id": str(mine.row["claim_id"]),
            "drop_id": str(mine.row["drop_id"]),
            "serial": mine.row["serial"],
            "claimed_at": rfc3339(mine.row["claimed_at"]),
            "vouchers": mine.vouchers,
        }
    )


async def read_voucher(resources: Resources, resident: Principal, voucher_id: str) -> MyVoucher:
    """Show a voucher. Raises NotFound, also for one of somebody else."""
    mine, position = await _find_voucher(resources, resident, voucher_id)
    return mine.voucher(position)


async def show_code(resources: Resources, resident: Principal, voucher_id: str) -> VoucherCode:
    """Return the code of a voucher that can be spent, or that a till holds.

    Raises:
        NotFound: it is not a voucher of the caller.
        VoucherRedeemed, VoucherExpired, VoucherVoided: no till would take it.
    """
    mine, position = await _find_voucher(resources, resident, voucher_id)
    refusal = _CODELESS.get(mine.voucher(position).state)
    if refusal is not None:
        raise refusal
    # Real time, as tills are read: a day that is only played does not age a code.
    now_s = time.time_ns() / _NS_PER_S
    issued = resources.voucher_codes.issue(mine.row["claim_id"], position, now_s=now_s)
    expires_at = datetime.fromtimestamp(issued.expires_at_s, UTC)
    return VoucherCode(code=issued.code, expires_at=expires_at)


async def list_vouchers(
    resources: Resources, resident: Principal, page: PageRequest
) -> Page[MyVoucher]:
    """Show a page of vouchers of every city, newest claim first.

    Raises:
        InvalidRequest: the cursor is not of this list.
    """
    start = _vouchers_cursor.decode(page.cursor)
    hashes = {
        city_id: resources.identities.subject_hash(city_id, resident.subject)
        for city_id in await queries.city_ids(resources.reads)
    }
    # Each claim holds at least one voucher, so this many claims fill the page.
    rows = await queries.claims_of_subject(
        resources.reads, hashes, from_claim=start[0] if start else None, limit=page.limit + 1
    )
    places: list[tuple[UUID, int]] = []
    claims: dict[UUID, tuple[asyncpg.Record, Definition]] = {}
    for row in rows:
        definition = await resources.definitions.published(str(row["drop_id"]))
        claim_id = row["claim_id"]
        claims[claim_id] = (row, definition)
        first = start[1] if start and start[0] == claim_id else 0
        places += [(claim_id, n) for n in range(definition.pack_vouchers) if n >= first]
        if len(places) > page.limit:
            break
    found = await _with_vouchers(resources, claims)
    following = places[page.limit] if len(places) > page.limit else None
    return Page[MyVoucher](
        items=[found[claim_id].voucher(n) for claim_id, n in places[: page.limit]],
        next_cursor=_vouchers_cursor.encode(following) if following else None,
    )


async def _find_voucher(
    resources: Resources, resident: Principal, voucher_id: str
) -> tuple[_Mine, int]:
    claim_id, position = resources.voucher_ids.decode(voucher_id) or (None, 0)
    mine = await _find(resources, resident, claim_id) if claim_id else None
    if mine is None or position >= len(mine.vouchers):
        raise NotFound("There is no such voucher of yours.")
    return mine, position


async def _find(resources: Resources, resident: Principal, claim_id: UUID) -> _Mine | None:
    city_id = city_of(claim_id)
    subject_hash = resources.identities.subject_hash(city_id, resident.subject)
    row = await queries.claim_of_subject(resources.reads, city_id, claim_id, subject_hash)
    if row is None:
        return None
    definition = await resources.definitions.published(str(row["drop_id"]))
    return (await _with_vouchers(resources, {claim_id: (row, definition)}))[claim_id]


async def _with_vouchers(
    resources: Resources, claims: Mapping[UUID, tuple[asyncpg.Record, Definition]]
) -> dict[UUID, _Mine]:
    """Read what tills did to the vouchers of these claims, all at once."""
    touched = await queries.touched_vouchers(resources.reads, list(claims))
    now = resources.clock.now()
    return {
        claim_id: _Mine(
            row,
            definition,
            vouchers_of(
                definition,
                Kept(
                    claim_id,
                    row["claimed_at"],
                    is_released=row["state"] == "released",
                    touched=touched.get(claim_id, {}),
                ),
                ids=resources.voucher_ids,
                now=now,
            ),
        )
        for claim_id, (row, definition) in claims.items()
    }
