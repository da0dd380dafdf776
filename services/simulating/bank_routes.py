"""The HTTP side of the simulated bank."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from services.simulating import bank
from services.simulating.bank_schemas import (
    AccountView,
    Deposit,
    MovementView,
    PayoutFileView,
    PayoutView,
    Transfer,
)
from services.simulating.faults import answer_under
from services.simulating.orders import REJECTED_ON_COMMAND
from services.simulating.refusals import (
    FileRefused,
    InsufficientBalance,
    NoAnswer,
    NumberReused,
)
from services.simulating.resources import Opened
from services.simulating.schemas import InstructedAt, Number
from shared.errors import NotFound
from shared.web.problems import problems

router = APIRouter(prefix="/v1", tags=["bank (simulator)"])

CSV = "text/csv; charset=utf-8"
PathNumber = Annotated[Number, Path()]
Day = Annotated[date, Path(description="An accounting day (Asia/Shanghai), as 2026-05-02")]
_MOVING = problems(NumberReused, InsufficientBalance)


@router.post("/deposits", status_code=201, responses=_MOVING)
async def deposit(opened: Opened, response: Response, body: Deposit) -> MovementView:
    """Let money arrive on an account; 200 when it arrived before."""
    view, is_new = bank.move(opened, "DEPOSIT", body)
    response.status_code = 201 if is_new else 200
    return view


@router.post("/transfers", status_code=201, responses=_MOVING)
async def transfer(opened: Opened, response: Response, body: Transfer) -> MovementView:
    """Pay out of an account; 200 when it was paid before."""
    view, is_new = bank.move(opened, "TRANSFER", body)
    response.status_code = 201 if is_new else 200
    return view


@router.get("/accounts/{account}", responses=problems(NotFound))
async def show_account(opened: Opened, account: PathNumber) -> AccountView:
    """Show what an account holds."""
    return bank.show_account(opened, account)


@router.post(
    "/payout-files",
    responses=problems(FileRefused, NumberReused, NoAnswer),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def take_payout_file(
    opened: Opened,
    request: Request,
    instructed_at: Annotated[InstructedAt, Query()] = None,
) -> PayoutFileView:
    """Take a payout file (docs/formats/payout-file.md); again, it brings only what was lost."""
    content = await request.body()
    file = bank.read_file(content)
    fault = opened.faults.meet("payout_files", file.batch, file.account)
    if fault is not None and fault.do == "reject":
        raise FileRefused(extra={"faults": [REJECTED_ON_COMMAND]})
    return await answer_under(
        fault, request, lambda _: bank.take_file(opened, file, content, instructed_at)
    )


@router.get("/payouts/{end_to_end_no}", responses=problems(NotFound, NoAnswer))
async def show_payout(opened: Opened, request: Request, end_to_end_no: PathNumber) -> PayoutView:
    """Say what became of a payout; 404 says that it has not arrived."""
    fault = opened.faults.meet("queries", end_to_end_no)
    return await answer_under(fault, request, lambda _: bank.find_payout(opened, end_to_end_no))


@router.get("/statements/{account}/{day}", response_class=Response, responses=problems(NotFound))
async def statement(opened: Opened, account: PathNumber, day: Day) -> Response:
    """Return a day's statement (docs/formats/bank-statement.md); of a day not over, so far."""
    return Response(bank.statement(opened, account, day), media_type=CSV)
