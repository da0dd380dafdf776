"""The HTTP side of the simulated e-CNY operator."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from services.simulating import operator
from services.simulating.faults import answer_under
from services.simulating.operator_schemas import (
    PaymentOrder,
    PaymentView,
    RefundOrder,
    WalletTransfer,
    WalletTransferView,
    WalletView,
)
from services.simulating.refusals import InsufficientBalance, NoAnswer, NumberReused
from services.simulating.resources import Opened
from services.simulating.schemas import Number
from shared.errors import NotFound
from shared.web.problems import problems

router = APIRouter(prefix="/v1", tags=["e-CNY operator (simulator)"])

PathNumber = Annotated[Number, Path()]
Day = Annotated[date, Path(description="An accounting day (Asia/Shanghai), as 2026-05-02")]


@router.post("/payments", responses=problems(NumberReused, NoAnswer))
async def pay(opened: Opened, request: Request, body: PaymentOrder) -> PaymentView:
    """Pay a merchant's wallet; the same number again pays nothing and answers what is known."""
    fault = opened.faults.meet("payments", body.end_to_end_no, body.wallet, body.payee_wallet)
    return await answer_under(fault, request, lambda handling: operator.pay(opened, body, handling))


@router.post("/refunds", responses=problems(NumberReused, NoAnswer))
async def refund(opened: Opened, request: Request, body: RefundOrder) -> PaymentView:
    """Take a payment back into its wallet; the same number again takes nothing."""
    fault = opened.faults.meet("refunds", body.end_to_end_no, body.original_end_to_end_no)
    return await answer_under(
        fault, request, lambda handling: operator.refund(opened, body, handling)
    )


@router.get("/payments/{end_to_end_no}", responses=problems(NotFound, NoAnswer))
async def show_payment(opened: Opened, request: Request, end_to_end_no: PathNumber) -> PaymentView:
    """Say what became of a payment or refund; 404 says that it has not arrived."""
    fault = opened.faults.meet("queries", end_to_end_no)
    return await answer_under(
        fault, request, lambda _: operator.find_payment(opened, end_to_end_no)
    )


@router.post("/wallets/{wallet}/transfers", responses=problems(NumberReused, InsufficientBalance))
async def transfer(opened: Opened, wallet: PathNumber, body: WalletTransfer) -> WalletTransferView:
    """Move money between the bank account and a custody wallet."""
    return operator.transfer(opened, wallet, body)


@router.get("/wallets/{wallet}", responses=problems(NotFound))
async def show_wallet(opened: Opened, wallet: PathNumber) -> WalletView:
    """Show what a wallet holds."""
    return operator.show_wallet(opened, wallet)


@router.get("/files/{wallet}/{day}", response_class=Response, responses=problems(NotFound))
async def daily_file(opened: Opened, wallet: PathNumber, day: Day) -> Response:
    """Return a wallet's daily file (docs/formats/ecny-daily.md); of a day not over, so far."""
    content = operator.daily_file(opened, wallet, day)
    return Response(content, media_type="text/plain; charset=utf-8")
