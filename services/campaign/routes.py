"""The HTTP side of the control plane."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel

from services.campaign import (
    drafting,
    funding,
    listing,
    merchants,
    programmes,
    running,
    terminals,
    visibility,
    voiding,
)
from services.campaign.refusals import (
    ClaimExpired,
    ClaimInUse,
    InsufficientFunds,
    PledgeAbsorbed,
    PledgeExceeded,
    QuotaBelowClaims,
    WrongState,
)
from services.campaign.resources import Opened, Resources
from services.campaign.schemas import (
    DropsRequest,
    DropView,
    FundingView,
    NewDrop,
    NewFunding,
    NewProgramme,
    NewQuota,
    NewVoid,
    ProgrammeView,
    VoidView,
)
from services.campaign.till_schemas import (
    MerchantsRequest,
    MerchantView,
    NewEnrolment,
    NewMerchant,
    NewTerminal,
    TerminalIssued,
    TerminalView,
)
from shared.auth.principals import Principal
from shared.auth.roles import STAFF_ROLES, Role
from shared.auth.staff import require_staff
from shared.errors import IdempotencyKeyReused, InProgress, NotFound, SamePerson
from shared.web.idempotency import Attempt, Created, View, attempt_of
from shared.web.pages import Page, PageQuery
from shared.web.problems import problems

router = APIRouter(prefix="/v1", tags=["campaign"])

Operator = Annotated[Principal, Depends(require_staff(Role.OPERATOR))]
Approver = Annotated[Principal, Depends(require_staff(Role.APPROVER))]
Reader = Annotated[Principal, Depends(require_staff(*STAFF_ROLES))]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 visible ASCII characters; the same key never creates twice.",
    ),
]


@dataclass(frozen=True, slots=True)
class Creation:
    """A POST that creates, under the idempotency key of its request if it has one."""

    request: Request
    response: Response
    operator: Principal
    opened: Resources

    def attempt(self, body: BaseModel) -> Attempt:
        return attempt_of(self.request, self.operator.subject, body)

    def answer(self, created: Created[View]) -> View:
        if created.replayed:
            self.response.headers["Idempotent-Replayed"] = "true"
        return created.view


def _creation(
    request: Request,
    response: Response,
    operator: Operator,
    opened: Opened,
    _key: IdempotencyKey = None,
) -> Creation:
    return Creation(request, response, operator, opened)


Creating = Annotated[Creation, Depends(_creation)]
_CREATING_REFUSALS = (InProgress, IdempotencyKeyReused)


@router.post("/programmes", status_code=201, responses=problems(*_CREATING_REFUSALS))
async def create_programme(creation: Creating, body: NewProgramme) -> ProgrammeView:
    """Create a programme; `share_bp` says which part of every voucher a funder pays."""
    return creation.answer(
        await programmes.create_programme(
            creation.opened.database, creation.operator, creation.attempt(body), body
        )
    )


@router.get("/programmes")
async def list_programmes(reader: Reader, opened: Opened, page: PageQuery) -> Page[ProgrammeView]:
    """List the programmes of the token's cities, the newest first."""
    return await listing.list_programmes(opened.database, reader, page)


@router.get("/programmes/{programme_id}", responses=problems(NotFound))
async def show_programme(programme_id: str, reader: Reader, opened: Opened) -> ProgrammeView:
    """Show a programme and its funders."""
    return await visibility.visible_programme(opened.database, reader, programme_id)


@router.post(
    "/programmes/{programme_id}/funding",
    status_code=201,
    responses=problems(NotFound, PledgeExceeded, PledgeAbsorbed, *_CREATING_REFUSALS),
)
async def fund_programme(programme_id: str, creation: Creating, body: NewFunding) -> FundingView:
    """Book cash (J1), a pledge (J2) or, with `settles_pledge`, the payment of one (J3)."""
    database = creation.opened.database
    programme = await visibility.visible_programme(database, creation.operator, programme_id)
    return creation.answer(
        await funding.fund_programme(
            database, creation.operator, creation.attempt(body), programme, body
        )
    )


@router.post("/drops", status_code=201, responses=problems(NotFound, *_CREATING_REFUSALS))
async def draft_drop(creation: Creating, body: NewDrop) -> DropView:
    """Draft a drop; no money moves before it is published."""
    database = creation.opened.database
    programme = await visibility.visible_programme(database, creation.operator, body.programme_id)
    return creation.answer(
        await drafting.draft_drop(
            database, creation.operator, creation.attempt(body), programme, body
        )
    )


@router.get("/drops")
async def list_drops(
    reader: Reader, opened: Opened, page: Annotated[DropsRequest, Query()]
) -> Page[DropView]:
    """List the drops of the token's cities, or of one programme, the newest first."""
    return await listing.list_drops(opened.database, reader, page)


@router.get("/drops/{drop_id}", responses=problems(NotFound))
async def show_drop(drop_id: str, reader: Reader, opened: Opened) -> DropView:
    """Show a drop as staff see it, drafts included."""
    return await visibility.visible_drop(opened.database, reader, drop_id)


@router.post(
    "/drops/{drop_id}/publish", responses=problems(NotFound, WrongState, InsufficientFunds)
)
async def publish_drop(drop_id: str, operator: Operator, opened: Opened) -> DropView:
    """Reserve the quota's money from the funders (J4) and load the gate."""
    return await running.change_drop(opened, operator, drop_id, "publish")


@router.post("/drops/{drop_id}/pause", responses=problems(NotFound, WrongState))
async def pause_drop(drop_id: str, operator: Operator, opened: Opened) -> DropView:
    """Stop claims; what was claimed stays good."""
    return await running.change_drop(opened, operator, drop_id, "pause")


@router.post("/drops/{drop_id}/resume", responses=problems(NotFound, WrongState))
async def resume_drop(drop_id: str, operator: Operator, opened: Opened) -> DropView:
    """Let claims go on after a pause."""
    return await running.change_drop(opened, operator, drop_id, "resume")


@router.post("/drops/{drop_id}/close", responses=problems(NotFound, WrongState))
async def close_drop(drop_id: str, operator: Operator, opened: Opened) -> DropView:
    """End a drop for good and give the unclaimed packs' money back to the funders (J5)."""
    return await running.change_drop(opened, operator, drop_id, "close")


@router.patch(
    "/drops/{drop_id}",
    responses=problems(NotFound, WrongState, InsufficientFunds, QuotaBelowClaims),
)
async def change_quota(
    drop_id: str, operator: Operator, opened: Opened, body: NewQuota
) -> DropView:
    """Raise (J4) or lower (J5) the quota of a published drop, never below its live claims."""
    return await running.change_drop(opened, operator, drop_id, "quota", quota=body.quota)


@router.post("/claims/{claim_id}/void", responses=problems(NotFound, ClaimInUse, ClaimExpired))
async def void_claim(claim_id: str, operator: Operator, opened: Opened, body: NewVoid) -> VoidView:
    """Take a claim back: its pack goes on sale again (J7a) or is withdrawn (J7b).

    None of its vouchers may be held or redeemed. A claim that was voided before is answered with
    what was decided then.
    """
    return await voiding.void_claim(opened, operator, claim_id, body)


@router.post("/merchants", status_code=201, responses=problems(NotFound, *_CREATING_REFUSALS))
async def enrol_merchant(creation: Creating, body: NewMerchant) -> MerchantView:
    """Enrol a merchant in programmes of its city; it is `pending` until somebody else approves."""
    return creation.answer(
        await merchants.enrol_merchant(
            creation.opened.database, creation.operator, creation.attempt(body), body
        )
    )


@router.get("/merchants")
async def list_merchants(
    reader: Reader, opened: Opened, page: Annotated[MerchantsRequest, Query()]
) -> Page[MerchantView]:
    """List the merchants of the token's cities, or those in one state, the newest first."""
    return await listing.list_merchants(opened.database, reader, page)


@router.get("/merchants/{merchant_id}", responses=problems(NotFound))
async def show_merchant(merchant_id: str, reader: Reader, opened: Opened) -> MerchantView:
    """Show a merchant and the programmes in which it takes part."""
    return await visibility.visible_merchant(opened.database, reader, merchant_id)


@router.post(
    "/merchants/{merchant_id}/approve", responses=problems(NotFound, WrongState, SamePerson)
)
async def approve_merchant(merchant_id: str, approver: Approver, opened: Opened) -> MerchantView:
    """Let a merchant take vouchers. Who enrolled it is refused."""
    return await merchants.change_merchant(opened.database, approver, merchant_id, "approve")


@router.post("/merchants/{merchant_id}/suspend", responses=problems(NotFound))
async def suspend_merchant(merchant_id: str, operator: Operator, opened: Opened) -> MerchantView:
    """Stop a merchant for good: after the 200 no redemption of its tills commits."""
    return await merchants.change_merchant(opened.database, operator, merchant_id, "suspend")


@router.post(
    "/merchants/{merchant_id}/programmes",
    status_code=201,
    responses=problems(NotFound, WrongState, *_CREATING_REFUSALS),
)
async def enrol_in_programme(
    merchant_id: str, creation: Creating, body: NewEnrolment
) -> MerchantView:
    """Let a merchant that waits for approval take part in one more programme of its city.

    In which programmes it takes part is approved with it; for others it is enrolled anew.
    """
    return creation.answer(
        await merchants.enrol_in_programme(
            creation.opened.database,
            creation.operator,
            creation.attempt(body),
            merchant_id,
            body,
        )
    )


@router.post(
    "/merchants/{merchant_id}/terminals",
    status_code=201,
    responses=problems(NotFound, WrongState, *_CREATING_REFUSALS),
)
async def register_terminal(
    merchant_id: str, creation: Creating, body: NewTerminal
) -> TerminalIssued:
    """Register a till and show the secret under which it signs its requests (RFC 9421).

    The secret is in no later answer, but in the same one to the same Idempotency-Key.
    """
    creation.response.headers["Cache-Control"] = "no-store"
    return creation.answer(
        await terminals.register_terminal(
            creation.opened, creation.operator, creation.attempt(body), merchant_id
        )
    )


@router.get("/merchants/{merchant_id}/terminals", responses=problems(NotFound))
async def list_terminals(
    merchant_id: str, reader: Reader, opened: Opened, page: PageQuery
) -> Page[TerminalView]:
    """List the tills of a merchant, the newest first, without their secrets."""
    return await listing.list_terminals(opened.database, reader, merchant_id, page)


@router.post(
    "/merchants/{merchant_id}/terminals/{terminal_id}/suspend", responses=problems(NotFound)
)
async def suspend_terminal(
    merchant_id: str, terminal_id: str, operator: Operator, opened: Opened
) -> TerminalView:
    """Stop a till for good, as when it is stolen: after the 200 no redemption of it commits."""
    return await terminals.suspend_terminal(opened, operator, merchant_id, terminal_id)
