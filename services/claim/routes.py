"""The claim service over HTTP: drops, passes, claims, and what a resident holds."""

import time
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.claim import endpoint, queries
from services.claim.definitions import Definition
from services.claim.holders import Holder
from services.claim.packs import vouchers_of
from services.claim.passes import Pass
from services.claim.refusals import (
    BadPass,
    Closed,
    LimitReached,
    NotOpen,
    PassRequired,
    Paused,
    SoldOut,
)
from services.claim.resources import Resources
from services.claim.schemas import (
    ClaimRequest,
    ClaimView,
    DropView,
    MyVoucher,
    PassGranted,
    PassRequest,
)
from shared.auth.principals import Principal
from shared.auth.residents import require_resident
from shared.clock import rfc3339
from shared.errors import Busy, Forbidden, NotFound, Unauthenticated, Unavailable
from shared.gate.statement import microseconds
from shared.ids import city_of, parse_id
from shared.web.fields import UtcTime
from shared.web.pages import Cursor, Page, PageQuery
from shared.web.problems import problems

router = APIRouter(prefix="/v1")

Resident = Annotated[Principal, Depends(require_resident)]
DropId = Annotated[str, Path(description="A drop's id.", max_length=64)]
CityCode = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,32}$")]

# A winner who asks again at the last moment is still given the claim; the others hear `closed`.
PASS_OUTLIVES_DROP = timedelta(hours=1)

_drops_cursor = Cursor[tuple[datetime, UUID]](tuple[UtcTime, UUID])
_vouchers_cursor = Cursor[tuple[UUID, int]](tuple[UUID, int])


def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


Held = Annotated[Resources, Depends(_resources)]


async def _published(resources: Resources, text: str) -> Definition:
    drop_id = parse_id(text)
    definition = (
        await resources.definitions.find(drop_id, now_s=time.monotonic()) if drop_id else None
    )
    if definition is None:
        raise NotFound("There is no such drop.")
    return definition


async def _view(resources: Resources, definition: Definition) -> DropView:
    standing = resources.claiming.lane(definition).standing
    if not standing.is_fresh:
        await standing.restate(gate_version=0)
    stated = standing.statement
    if stated is None or not standing.is_fresh:
        raise Unavailable("The ledger does not answer.", retry_after_ms=1000)
    return DropView.model_validate(
        {
            "drop_id": str(definition.drop_id),
            "name": definition.name,
            "state": stated.state,
            "mode": definition.mode,
            "admission": definition.admission,
            "opens_at": definition.opens_at,
            "closes_at": definition.closes_at,
            "server_time": resources.clock.now(),
            "quota": stated.quota,
            "remaining": stated.remaining,
            "limit_per_holder": definition.limit_per_holder,
            "pack": [asdict(kind) for kind in definition.pack],
        }
    )


@router.get("/drops", tags=["drops"])
async def list_drops(
    resources: Held, page: PageQuery, city_code: CityCode = None
) -> Page[DropView]:
    """The published drops, latest opening first. Needs no token."""
    rows = await queries.published_drops(
        resources.reads,
        city_code=city_code,
        before=_drops_cursor.decode(page.cursor),
        limit=page.limit + 1,
    )
    shown = rows[: page.limit]
    definitions = [await _published(resources, str(row["drop_id"])) for row in shown]
    more = len(rows) > page.limit
    last = (shown[-1]["opens_at"], shown[-1]["drop_id"]) if more else None
    return Page[DropView](
        items=[await _view(resources, definition) for definition in definitions],
        next_cursor=_drops_cursor.encode(last) if last else None,
    )


@router.get("/drops/{drop_id}", tags=["drops"], responses=problems(NotFound))
async def read_drop(resources: Held, drop_id: DropId) -> DropView:
    """One published drop with its stock. Needs no token."""
    return await _view(resources, await _published(resources, drop_id))


@router.post(
    "/drops/{drop_id}/passes",
    tags=["claims"],
    status_code=201,
    response_model_by_alias=True,
    responses=problems(NotFound, Closed),
)
async def grant_pass(
    resources: Held, resident: Resident, drop_id: DropId, _body: PassRequest
) -> PassGranted:
    """Trade the JWT for a pass before T-0: the claim itself then costs next to nothing.

    The pass is bound to this drop and this holder.
    """
    definition = await _published(resources, drop_id)
    now = resources.clock.now()
    if now >= definition.closes_at:
        raise Closed
    subject_hash = resources.identities.subject_hash(definition.city_id, resident.subject)
    [person_id] = await resources.ledger.persons(definition.city_id, [subject_hash])
    admits_at = max(definition.opens_at, now)
    expires_at = definition.closes_at + PASS_OUTLIVES_DROP
    granted = Pass(
        drop_id=definition.drop_id,
        holder=Holder(subject_hash, person_id),
        admits_us=microseconds(admits_at),
        expires_us=microseconds(expires_at),
    )
    return PassGranted(
        **{"pass": resources.passes.sign(granted)},
        admits_at=admits_at,
        expires_at=expires_at,
    )


@router.post(
    "/drops/{drop_id}/claims",
    tags=["claims"],
    status_code=201,
    response_model=ClaimView,
    responses={
        200: {"model": ClaimView, "description": "You were given this claim before."},
        **problems(
            SoldOut,
            LimitReached,
            NotOpen,
            Closed,
            Paused,
            PassRequired,
            BadPass,
            Busy,
            Unauthenticated,
            Forbidden,
            NotFound,
        ),
    },
    openapi_extra={
        "security": [{"bearerJWT": []}],
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "description": "Needed where a holder may claim more than one pack.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            }
        ],
        "requestBody": {
            "required": False,
            "content": {"application/json": {"schema": ClaimRequest.model_json_schema()}},
        },
    },
)
async def claim_pack(request: Request, drop_id: DropId) -> Response:
    """Claim one pack. 201 means that it is committed to the ledger and cannot be lost.

    The same holder (and, where one is needed, the same Idempotency-Key) is answered 200 with the
    same claim. 409 `sold_out` and 410 `closed` are final; 503 `busy` means: ask again, you are not
    decided.
    """
    del drop_id  # the endpoint reads it from the path
    answer = await endpoint.claim(_resources(request), request.scope, request.receive)
    return Response(answer.body, answer.status, media_type="application/json")


def _claim_view(resources: Resources, definition: Definition, row: Any) -> ClaimView:  # noqa: ANN401
    return ClaimView.model_validate(
        {
            "claim_id": str(row["claim_id"]),
            "drop_id": str(row["drop_id"]),
            "serial": row["serial"],
            "claimed_at": rfc3339(row["claimed_at"]),
            "vouchers": vouchers_of(
                definition,
                row["claim_id"],
                row["claimed_at"],
                ids=resources.voucher_ids,
                now=resources.clock.now(),
                released=row["state"] == "released",
            ),
        }
    )


async def _my_claim(resources: Resources, resident: Principal, claim_id: UUID) -> ClaimView | None:
    city_id = city_of(claim_id)
    subject_hash = resources.identities.subject_hash(city_id, resident.subject)
    row = await queries.claim_of_subject(resources.reads, city_id, claim_id, subject_hash)
    if row is None:
        return None
    definition = await _published(resources, str(row["drop_id"]))
    return _claim_view(resources, definition, row)


@router.get("/claims/{claim_id}", tags=["mine"], responses=problems(NotFound))
async def read_claim(
    resources: Held, resident: Resident, claim_id: Annotated[str, Path(max_length=64)]
) -> ClaimView:
    """One claim of mine."""
    parsed = parse_id(claim_id)
    view = await _my_claim(resources, resident, parsed) if parsed else None
    if view is None:
        raise NotFound("There is no such claim of yours.")
    return view


@router.get("/vouchers", tags=["mine"])
async def list_vouchers(resources: Held, resident: Resident, page: PageQuery) -> Page[MyVoucher]:
    """My vouchers in every city, newest claim first."""
    start = _vouchers_cursor.decode(page.cursor)
    hashes = {
        city_id: resources.identities.subject_hash(city_id, resident.subject)
        for city_id in await queries.city_ids(resources.reads)
    }
    # Each claim holds at least one voucher, so this many claims fill the page.
    rows = await queries.claims_of_subject(
        resources.reads, hashes, from_claim=start[0] if start else None, limit=page.limit + 1
    )
    shown: list[tuple[MyVoucher, tuple[UUID, int]]] = []
    for row in rows:
        definition = await _published(resources, str(row["drop_id"]))
        view = _claim_view(resources, definition, row)
        first = start[1] if start and start[0] == row["claim_id"] else 0
        shown += [
            (
                MyVoucher(claim_id=view.claim_id, drop_id=view.drop_id, **voucher.model_dump()),
                (row["claim_id"], position),
            )
            for position, voucher in enumerate(view.vouchers)
            if position >= first
        ]
    following = shown[page.limit][1] if len(shown) > page.limit else None
    return Page[MyVoucher](
        items=[voucher for voucher, _ in shown[: page.limit]],
        next_cursor=_vouchers_cursor.encode(following) if following else None,
    )


@router.get("/vouchers/{voucher_id}", tags=["mine"], responses=problems(NotFound))
async def read_voucher(
    resources: Held, resident: Resident, voucher_id: Annotated[str, Path(max_length=64)]
) -> MyVoucher:
    """One voucher of mine."""
    claim_id, position = resources.voucher_ids.decode(voucher_id) or (None, 0)
    view = await _my_claim(resources, resident, claim_id) if claim_id else None
    if view is None or position >= len(view.vouchers):
        raise NotFound("There is no such voucher of yours.")
    voucher = view.vouchers[position]
    return MyVoucher(claim_id=view.claim_id, drop_id=view.drop_id, **voucher.model_dump())
