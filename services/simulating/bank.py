"""The simulated bank: accounts of programmes, deposits, transfers, and payout files."""

import hashlib
from dataclasses import replace
from datetime import date, datetime
from typing import Literal

from services.simulating.bank_schemas import (
    AccountView,
    Deposit,
    MovementView,
    PayoutFileView,
    PayoutView,
)
from services.simulating.book import Movement, moment
from services.simulating.orders import Handling, Terms
from services.simulating.refusals import FileRefused, InsufficientBalance, NumberReused
from services.simulating.resources import Simulator
from shared.errors import NotFound
from shared.formats import bank_statement, payout_file
from shared.formats.faults import FormatFault
from shared.formats.payout_file import PayoutFile, PayoutLine

_FAULTS_SHOWN_MAX = 20
_STATES: dict[str, Literal["processing", "paid", "rejected"]] = {
    "done": "paid",
    "rejected": "rejected",
    "processing": "processing",
}


def move(
    simulator: Simulator, kind: Literal["DEPOSIT", "TRANSFER"], wanted: Deposit
) -> tuple[MovementView, bool]:
    """Book a deposit or a transfer, once for a reference; say whether it is new.

    Raises:
        NumberReused: the reference stands for something else.
        InsufficientBalance: the account holds less, or would hold too much.
    """
    simulator.book.hear(wanted.instructed_at)
    simulator.orders.settle_due()
    moved = simulator.book.move_once(
        wanted.account, kind, wanted.reference, wanted.amount_fen, wanted.counterparty
    )
    if isinstance(moved, str):
        raise InsufficientBalance(f"The account refuses it: {moved}.")
    movement, is_new = moved
    if (movement.amount_fen, movement.counterparty) != (wanted.amount_fen, wanted.counterparty):
        raise NumberReused(f"{wanted.reference} moved {movement.amount_fen} fen.")
    return _movement_view(movement), is_new


def _movement_view(movement: Movement) -> MovementView:
    return MovementView(
        account=movement.account,
        reference=movement.reference,
        direction=movement.direction,
        amount_fen=movement.amount_fen,
        counterparty=movement.counterparty,
        balance_fen=movement.balance_fen,
        bank_txn_no=movement.txn_no,
        booked_at=movement.booked_at,
        booked_on=movement.day,
    )


def show_account(simulator: Simulator, account: str) -> AccountView:
    balance_fen = simulator.book.balance_fen(account)
    if balance_fen is None:
        raise NotFound("Nothing has ever moved on this account.")
    return AccountView(account=account, balance_fen=balance_fen)


def read_file(content: bytes) -> PayoutFile:
    """Return a payout file that is sound as it stands. Raises FileRefused."""
    file = payout_file.parse(content)
    if isinstance(file, FormatFault):
        raise FileRefused(extra={"faults": [*file.faults[:_FAULTS_SHOWN_MAX]]})
    return file


def take_file(
    simulator: Simulator, file: PayoutFile, content: bytes, instructed_at: datetime | None
) -> PayoutFileView:
    """Take the lines of a file that are new, all of them in one transaction.

    The same file again brings only what was lost of it; no number is ever paid twice.

    Raises:
        NumberReused: the batch was another file, or a number stands for another payout.
    """
    simulator.book.hear(instructed_at)
    simulator.orders.settle_due()
    digest = hashlib.sha256(content).hexdigest()
    database = simulator.book.connection
    with database:
        database.execute("INSERT OR IGNORE INTO batches VALUES (?, ?)", [file.batch, digest])
        (known_digest,) = database.execute(
            "SELECT sha256 FROM batches WHERE batch = ?", [file.batch]
        ).fetchone()
        if known_digest != digest:
            raise NumberReused(f"Batch {file.batch} was another file.")
        fresh = [line for line in file.lines if _is_fresh(simulator, file, line)]
        taken = sum(_take_line(simulator, file, line) for line in fresh)
    return PayoutFileView(
        batch=file.batch,
        account=file.account,
        payouts=len(file.lines),
        total_fen=file.total_fen,
        taken=taken,
    )


def _terms(file: PayoutFile, line: PayoutLine) -> Terms:
    return Terms(
        line.end_to_end_no,
        "PAYOUT",
        file.account,
        line.account_no,
        line.amount_fen,
        batch=file.batch,
    )


def _is_fresh(simulator: Simulator, file: PayoutFile, line: PayoutLine) -> bool:
    known = simulator.orders.find(line.end_to_end_no)
    if known is not None and replace(known.terms, batch=file.batch) != _terms(file, line):
        raise NumberReused(f"{line.end_to_end_no} was used for another payout.")
    return known is None


def _take_line(simulator: Simulator, file: PayoutFile, line: PayoutLine) -> bool:
    """Take a fresh line in the caller's transaction, unless a fault loses it."""
    fault = simulator.faults.meet(
        "payouts", line.end_to_end_no, line.account_no, line.merchant_id, file.batch
    )
    if fault is not None and fault.do == "lose":
        return False
    handling = Handling() if fault is None else fault.handling
    simulator.orders.take_within(_terms(file, line), handling)
    return True


def find_payout(simulator: Simulator, number: str) -> PayoutView:
    """Return what is known of a payout. Raises NotFound for one that never arrived."""
    order = simulator.orders.find(number)
    if order is None:
        raise NotFound("No payout of this number has arrived.")
    return PayoutView(
        end_to_end_no=order.terms.number,
        batch=order.terms.batch,
        account=order.terms.account,
        payee_account=order.terms.counterparty,
        amount_fen=order.terms.amount_fen,
        state=_STATES[order.state],
        bank_txn_no=order.txn_no,
        completed_at=None if order.completed_us is None else moment(order.completed_us),
        reason=order.reason,
    )


def statement(simulator: Simulator, account: str, day: date) -> bytes:
    """Return an account's day, lies included. Raises NotFound for one that never was."""
    show_account(simulator, account)
    opening_fen = simulator.book.opening_fen(account, day)
    opening_fen += simulator.lies.carried_fen(account, day)
    balance_fen = opening_fen
    movements = []
    for row in simulator.lies.stated(account, day):
        balance_fen += row.signed_fen
        movements.append(
            bank_statement.Movement(
                day=day,
                reference=row.reference,
                direction=row.direction,
                amount_fen=row.amount_fen,
                balance_fen=balance_fen,
                counterparty=row.counterparty,
                bank_txn_no=row.txn_no,
            )
        )
    return bank_statement.write(movements, account=account, day=day, opening_fen=opening_fen)
