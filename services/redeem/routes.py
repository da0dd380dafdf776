"""The redeem service over HTTP: what tills ask, signed."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.routing import APIRoute

from services.redeem import endpoint
from services.redeem.attempts import Till
from services.redeem.authenticating import signed_message
from services.redeem.finishing import finish_hold
from services.redeem.lane import DEADLINE_S
from services.redeem.offering import offer
from services.redeem.outcomes import Refused, Reversal
from services.redeem.reading_back import read_back
from services.redeem.refusals import (
    AlreadyRedeemed,
    BadCode,
    BadSignature,
    BelowMinSpend,
    Expired,
    HeldElsewhere,
    HoldEnded,
    MerchantNotEnrolled,
    NotReversible,
    Reversed,
    TerminalSuspended,
    Voided,
    WrongCategory,
    problem_of,
)
from services.redeem.resources import Resources
from services.redeem.reversing import reverse
from services.redeem.schemas import (
    HoldRequest,
    QuoteRequest,
    QuoteView,
    RedemptionRequest,
    RedemptionView,
    RequestNo,
    ReversalRequest,
    ReversalView,
)
from services.redeem.showing import Nothing, quote_of, read_code
from services.redeem.views import REPLAYED, redemption_view, reversal_view
from shared.clock import rfc3339
from shared.errors import Busy, IdempotencyKeyReused, NotFound, UnsupportedMediaType
from shared.web.problems import problems

_SIGNATURE_HEADERS = [
    ("Signature-Input", True, "One inner list as RFC 9421 has it, with created, keyid and alg."),
    ("Signature", True, "The HMAC-SHA-256 under the terminal's secret, as till=:...=:."),
    ("Content-Digest", False, "Where there is a body: sha-256=:...=: (RFC 9530), covered."),
]
_SIGNED: dict[str, Any] = {
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": required,
            "description": description,
            "schema": {"type": "string"},
        }
        for name, required, description in _SIGNATURE_HEADERS
    ]
}


@dataclass(frozen=True, slots=True)
class Asking:
    """A signed request: whose it is, when it came (real time), and by when it is answered.

    `until_s` is loop time.
    """

    resources: Resources
    till: Till
    now_s: float
    until_s: float


class SignedRoute(APIRoute):
    """A route that knows its till before it looks at anything else of the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_signed(request: Request) -> Response:
            resources: Resources = request.app.state.resources
            now_s = time.time_ns() / 1e9
            until_s = asyncio.get_running_loop().time() + DEADLINE_S
            message = signed_message(request.scope, await request.body())
            till = await resources.tills.identify(message, now_s=now_s, until_s=until_s)
            request.state.asking = Asking(resources, till, now_s, until_s)
            return await handle(request)

        return handle_signed


def _asking(request: Request) -> Asking:
    asking: Asking = request.state.asking
    return asking


Signed = Annotated[Asking, Depends(_asking)]
RedemptionId = Annotated[str, Path(description="A redemption's id.", max_length=64)]

router = APIRouter(prefix="/v1", route_class=SignedRoute)
served_ahead = APIRouter(prefix="/v1")


@router.post(
    "/quotes",
    tags=["redemptions"],
    responses=problems(BadSignature, BadCode, MerchantNotEnrolled, TerminalSuspended, Busy),
    openapi_extra=_SIGNED,
)
async def quote_voucher(asking: Signed, asked: QuoteRequest) -> QuoteView:
    """Tell what a voucher takes off an order. Nothing changes, and the code stays good."""
    ledger = asking.resources
    order = (asked.order_amount_fen, asked.category)
    shown = read_code(ledger.codes, asked.code, now_s=asking.now_s)
    if isinstance(shown, Nothing):
        raise BadCode(shown.why)
    offered = await offer(ledger.direct, asking.till, shown, order=order, until_s=asking.until_s)
    if isinstance(offered, Refused):
        raise problem_of(offered)
    quote_id, expires_at_s = ledger.quotes.issue(
        quote_of(shown, asking.till, order=order), now_s=asking.now_s
    )
    return QuoteView(
        quote_id=quote_id,
        expires_at=rfc3339(datetime.fromtimestamp(expires_at_s, UTC)),
        voucher_id=ledger.voucher_ids.of_claim(shown.claim_id, shown.position + 1)[-1],
        applicable=offered.refusal is None,
        reason=offered.refusal,
        discount_fen=offered.discount_fen,
        payable_by_customer_fen=asked.order_amount_fen - offered.discount_fen,
        explanation=offered.explanation,
    )


@served_ahead.post(
    "/redemptions",
    tags=["redemptions"],
    status_code=201,
    response_model=RedemptionView,
    responses=problems(
        *(BadSignature, BadCode, AlreadyRedeemed, HeldElsewhere, Reversed, Expired, Voided),
        *(BelowMinSpend, WrongCategory, IdempotencyKeyReused),
        *(MerchantNotEnrolled, TerminalSuspended, Busy, UnsupportedMediaType),
    ),
    openapi_extra={
        **_SIGNED,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": RedemptionRequest.model_json_schema()}},
        },
    },
)
async def redeem_voucher(request: Request) -> Response:
    """Redeem a voucher, or hold it. 201 means that it is committed and cannot be lost.

    The same request_no with the same order is answered the same, whatever code it shows, refusals
    included; 400, 401 and 503 are not kept. `held` is captured or released within a quarter of an
    hour. `pending` waits for the e-CNY operator: read it back.
    """
    answer = await endpoint.redeem(request.app.state.resources, request.scope, request.receive)
    return Response(answer.body, answer.status, dict(answer.more), media_type="application/json")


@router.post(
    "/redemptions/{redemption_id}/capture",
    tags=["holds"],
    response_model_exclude_none=True,
    responses=problems(
        *(BadSignature, NotFound, HoldEnded, Reversed, IdempotencyKeyReused),
        *(MerchantNotEnrolled, TerminalSuspended, Busy),
    ),
    openapi_extra=_SIGNED,
)
async def capture_hold(
    asking: Signed, response: Response, redemption_id: RedemptionId, asked: HoldRequest
) -> RedemptionView:
    """Take what is held, in full."""
    return await _finish(asking, response, redemption_id, "capture", asked)


@router.post(
    "/redemptions/{redemption_id}/release",
    tags=["holds"],
    response_model_exclude_none=True,
    responses=problems(BadSignature, NotFound, HoldEnded, Reversed, IdempotencyKeyReused, Busy),
    openapi_extra=_SIGNED,
)
async def release_hold(
    asking: Signed, response: Response, redemption_id: RedemptionId, asked: HoldRequest
) -> RedemptionView:
    """Give back what is held: the voucher is good again, unless it expired meanwhile.

    A suspended terminal may still do so.
    """
    return await _finish(asking, response, redemption_id, "release", asked)


async def _finish(
    asking: Asking, response: Response, redemption_id: str, operation: str, asked: HoldRequest
) -> RedemptionView:
    outcome = await finish_hold(
        asking.resources.direct,
        asking.till,
        redemption_id,
        operation,
        request_no=asked.request_no,
        until_s=asking.until_s,
    )
    if isinstance(outcome, Refused):
        raise problem_of(outcome)
    if outcome.replayed:
        response.headers.update(REPLAYED)
    confirmed = await asking.resources.confirming.confirm(asking.till, outcome)
    return redemption_view(confirmed, asking.resources.voucher_ids)


@router.post(
    "/reversals",
    tags=["reversals"],
    response_model_exclude_none=True,
    responses=problems(BadSignature, NotReversible, IdempotencyKeyReused, Busy),
    openapi_extra=_SIGNED,
)
async def reverse_request(asking: Signed, asked: ReversalRequest) -> ReversalView:
    """Make a request not have happened, whether it arrived, arrives later or never does.

    `reversed` and `never_happened` are final. A reversal that is repeated is answered the same.
    """
    outcome = await reverse(
        asking.resources.direct,
        asking.till,
        asked.original_request_no,
        request_no=asked.request_no,
        until_s=asking.until_s,
    )
    if isinstance(outcome, Refused):
        raise problem_of(outcome)
    return reversal_view(outcome)


@router.get(
    "/redemptions",
    tags=["redemptions"],
    response_model_exclude_none=True,
    responses=problems(
        *(BadSignature, NotFound, AlreadyRedeemed, HeldElsewhere, Reversed, Expired, Voided),
        *(BelowMinSpend, WrongCategory, HoldEnded, MerchantNotEnrolled, TerminalSuspended, Busy),
    ),
    openapi_extra=_SIGNED,
)
async def read_request_back(
    asking: Signed, request_no: Annotated[RequestNo, Query()]
) -> RedemptionView | ReversalView:
    """Read back what became of a request of this terminal, as it stands now.

    A request that was refused is refused with the same problem. 404 only means: not yet.
    """
    outcome = await read_back(
        asking.resources.direct, asking.till, request_no, until_s=asking.until_s
    )
    if isinstance(outcome, Refused):
        raise problem_of(outcome)
    if isinstance(outcome, Reversal):
        return reversal_view(outcome)
    return redemption_view(outcome, asking.resources.voucher_ids)
