"""The HTTP side of settlement."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from services.ledger import batching, records, returning
from services.ledger.refusals import (
    DayNotOver,
    Decided,
    InsufficientFunds,
    NotApproved,
    NothingDue,
    NothingToPay,
    NothingToReturn,
    ReturnProposed,
)
from services.ledger.resources import Opened
from services.ledger.settlement_schemas import (
    BatchesRequest,
    BatchView,
    NewBatch,
    NewReturn,
    PayoutsRequest,
    PayoutView,
    RecordsRequest,
    ReturnsRequest,
    ReturnView,
    SettlementRecordView,
)
from services.ledger.staff import CREATING_REFUSALS, Approver, Creating, Reader
from shared.errors import NotFound, SamePerson
from shared.web.pages import Page
from shared.web.problems import problems

router = APIRouter(prefix="/v1", tags=["settlement"])

_DECIDING_REFUSALS = (NotFound, SamePerson, Decided)


class CsvFile(Response):
    media_type = "text/csv; charset=utf-8"


@router.get("/settlement-records", responses=problems(NotFound))
async def list_settlement_records(
    reader: Reader, opened: Opened, wanted: Annotated[RecordsRequest, Query()]
) -> Page[SettlementRecordView]:
    """The settlement records of a programme, the latest first."""
    return await records.list_records(opened.database, opened.voucher_ids, reader, wanted)


@router.post(
    "/settlement-batches",
    status_code=201,
    responses=problems(NotFound, NothingDue, DayNotOver, *CREATING_REFUSALS),
)
async def cut_settlement_batch(creation: Creating, body: NewBatch) -> BatchView:
    """Cut what merchants are owed into payouts (J13, J14); a second person decides the batch."""
    return creation.answer(
        await batching.cut_batch(
            creation.opened.database, creation.finance, creation.attempt(body), body
        )
    )


@router.get("/settlement-batches", responses=problems(NotFound))
async def list_settlement_batches(
    reader: Reader, opened: Opened, wanted: Annotated[BatchesRequest, Query()]
) -> Page[BatchView]:
    """The settlement batches of a programme, the newest first."""
    return await batching.list_batches(opened.database, reader, wanted)


@router.get("/settlement-batches/{batch_id}", responses=problems(NotFound))
async def show_settlement_batch(batch_id: str, reader: Reader, opened: Opened) -> BatchView:
    """One batch and how far its payouts are."""
    return await batching.visible_batch(opened.database, reader, batch_id)


@router.get("/settlement-batches/{batch_id}/payouts", responses=problems(NotFound))
async def list_payouts(
    batch_id: str, reader: Reader, opened: Opened, wanted: Annotated[PayoutsRequest, Query()]
) -> Page[PayoutView]:
    """The payouts of a batch, one for each merchant."""
    return await batching.list_payouts(opened.database, reader, batch_id, wanted)


@router.post(
    "/settlement-batches/{batch_id}/approve",
    responses=problems(*_DECIDING_REFUSALS, InsufficientFunds),
)
async def approve_settlement_batch(batch_id: str, approver: Approver, opened: Opened) -> BatchView:
    """Approve a batch that somebody else has cut: the bank is instructed to pay it."""
    return await batching.decide_batch(opened.database, approver, batch_id, "approved")


@router.post(
    "/settlement-batches/{batch_id}/reject",
    responses=problems(*_DECIDING_REFUSALS),
)
async def reject_settlement_batch(batch_id: str, approver: Approver, opened: Opened) -> BatchView:
    """Reject a batch that somebody else has cut (J16): its records can be cut again."""
    return await batching.decide_batch(opened.database, approver, batch_id, "rejected")


@router.get(
    "/settlement-batches/{batch_id}/payout-file",
    response_class=CsvFile,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}},
        **problems(NotFound, NotApproved, NothingToPay),
    },
)
async def read_payout_file(batch_id: str, reader: Reader, opened: Opened) -> CsvFile:
    """The file that the bank is given for an approved batch: docs/formats/payout-file.md."""
    file = await batching.payout_file(opened.database, reader, batch_id)
    name = f'attachment; filename="payout-{batch_id.lower()}.csv"'
    return CsvFile(file, headers={"Content-Disposition": name})


@router.post(
    "/returns",
    status_code=201,
    responses=problems(
        NotFound, NothingToReturn, ReturnProposed, InsufficientFunds, *CREATING_REFUSALS
    ),
)
async def propose_return(creation: Creating, body: NewReturn) -> ReturnView:
    """Propose to give a funder back what is free of its money; a second person decides it."""
    return creation.answer(
        await returning.propose_return(
            creation.opened.database, creation.finance, creation.attempt(body), body
        )
    )


@router.get("/returns", responses=problems(NotFound))
async def list_returns(
    reader: Reader, opened: Opened, wanted: Annotated[ReturnsRequest, Query()]
) -> Page[ReturnView]:
    """The returns of a programme to its funders, the newest first."""
    return await returning.list_returns(opened.database, reader, wanted)


@router.get("/returns/{return_id}", responses=problems(NotFound))
async def show_return(return_id: str, reader: Reader, opened: Opened) -> ReturnView:
    """One return."""
    return await returning.visible_return(opened.database, reader, return_id)


@router.post(
    "/returns/{return_id}/approve", responses=problems(*_DECIDING_REFUSALS, InsufficientFunds)
)
async def approve_return(return_id: str, approver: Approver, opened: Opened) -> ReturnView:
    """Approve a return that somebody else has proposed: it is booked (J33, J20, J19)."""
    return await returning.decide_return(opened.database, approver, return_id, "approved")


@router.post("/returns/{return_id}/reject", responses=problems(*_DECIDING_REFUSALS))
async def reject_return(return_id: str, approver: Approver, opened: Opened) -> ReturnView:
    """Reject a return that somebody else has proposed; nothing moves."""
    return await returning.decide_return(opened.database, approver, return_id, "rejected")
