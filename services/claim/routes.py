"""The claim service over HTTP: drops, passes, claims, and what a resident holds."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.claim import endpoint, mine, queries
from services.claim.definitions import Definition
from services.claim.holders import Holder
from services.claim.passes import Pass
from services.claim.refusals import (
    BadPass,
    Closed,
    LimitReached,
    NotOpen,
    PassRequired,
    Paused,
    SoldOut,
    VoucherExpired,
    VoucherRedeemed,
    VoucherVoided,
)
from services.claim.resources import Resources
from services.claim.schemas import (
    ClaimRequest,
    ClaimView,
    DropView,
    MyVoucher,
    PassGranted,
    PassRequest,
    VoucherCode,
)
from shared.auth.principals import Principal
from shared.auth.residents import require_resident
from shared.errors import (
    Busy,
    Forbidden,
    InvalidRequest,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from shared.gate.statement import microseconds
from shared.web.fields import UtcTime
from shared.web.pages import Cursor, Page, PageQuery
from shared.web.problems import problems

router = APIRouter(prefix="/v1")

Resident = Annotated[Principal, Depends(require_resident)]
DropId = Annotated[str, Path(description="A drop's id.", max_length=64)]
VoucherId = Annotated[str, Path(description="A voucher's id.", max_length=64)]
Offline = Annotated[bool, Query(description="A certificate for use without a network: not built.")]
CityCode = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,32}$")]

# A winner who asks again at the last moment is still given the claim; the others hear `closed`.
PASS_OUTLIVES_DROP = timedelta(hours=1)

_drops_cursor = Cursor[tuple[datetime, UUID]](tuple[UtcTime, UUID])


def _resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


async def _held(request: Request) -> Resources:
    """A coroutine, or the framework would run it in a thread for each request."""
    return _resources(request)


Held = Annotated[Resources, Depends(_held)]


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
    definitions = [await resources.definitions.published(str(row["drop_id"])) for row in shown]
    more = len(rows) > page.limit
    last = (shown[-1]["opens_at"], shown[-1]["drop_id"]) if more else None
    return Page[DropView](
        items=[await _view(resources, definition) for definition in definitions],
        next_cursor=_drops_cursor.encode(last) if last else None,
    )


@router.get("/drops/{drop_id}", tags=["drops"], responses=problems(NotFound))
async def read_drop(resources: Held, drop_id: DropId) -> DropView:
    """One published drop with its stock. Needs no token."""
    return await _view(resources, await resources.definitions.published(drop_id))


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
    definition = await resources.definitions.published(drop_id)
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


@router.get("/claims/{claim_id}", tags=["mine"], responses=problems(NotFound))
async def read_claim(
    resources: Held, resident: Resident, claim_id: Annotated[str, Path(max_length=64)]
) -> ClaimView:
    """One claim of mine, its vouchers as they are now."""
    return await mine.read_claim(resources, resident, claim_id)


@router.get("/vouchers", tags=["mine"])
async def list_vouchers(resources: Held, resident: Resident, page: PageQuery) -> Page[MyVoucher]:
    """My vouchers in every city, newest claim first."""
    return await mine.list_vouchers(resources, resident, page)


@router.get("/vouchers/{voucher_id}", tags=["mine"], responses=problems(NotFound))
async def read_voucher(resources: Held, resident: Resident, voucher_id: VoucherId) -> MyVoucher:
    """One voucher of mine."""
    return await mine.read_voucher(resources, resident, voucher_id)


@router.get(
    "/vouchers/{voucher_id}/code",
    tags=["mine"],
    responses=problems(NotFound, VoucherRedeemed, VoucherExpired, VoucherVoided),
)
async def show_code(
    resources: Held,
    resident: Resident,
    response: Response,
    voucher_id: VoucherId,
    *,
    offline: Offline = False,
) -> VoucherCode:
    """The code to show at a till, for one voucher of mine; it changes every 30 seconds."""
    if offline:
        raise InvalidRequest.at("query", "offline", msg="certificates are not built; leave it out")
    response.headers["Cache-Control"] = "no-store"
    return await mine.show_code(resources, resident, voucher_id)
