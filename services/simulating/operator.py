"""The simulated e-CNY operator (运营机构): custody wallets, and payments final when paid."""

from datetime import date
from typing import Literal

from services.simulating.book import Kind, moment
from services.simulating.operator_schemas import (
    PaymentOrder,
    PaymentView,
    RefundOrder,
    WalletTransfer,
    WalletTransferView,
    WalletView,
)
from services.simulating.orders import Handling, Order, Terms
from services.simulating.refusals import InsufficientBalance, NumberReused
from services.simulating.resources import Simulator
from shared.errors import NotFound
from shared.formats import ecny_daily

INSTITUTION = "SIMULATED-OPERATOR"
_TRANSFERS: dict[str, Kind] = {"in": "TOPUP", "out": "WITHDRAW"}
_STATES: dict[str, Literal["confirmed", "rejected", "processing"]] = {
    "done": "confirmed",
    "rejected": "rejected",
    "processing": "processing",
}


def pay(simulator: Simulator, order: PaymentOrder, handling: Handling) -> PaymentView:
    """Pay once for a number, never more than the wallet holds.

    Raises:
        NumberReused: the number stands for another payment.
    """
    simulator.book.hear(order.instructed_at)
    simulator.orders.settle_due()
    return _take(
        simulator,
        Terms(order.end_to_end_no, "PAY", order.wallet, order.payee_wallet, order.amount_fen),
        handling,
    )


def refund(simulator: Simulator, order: RefundOrder, handling: Handling) -> PaymentView:
    """Take a payment back, once for a number.

    Raises:
        NumberReused: the number stands for another payment.
    """
    simulator.book.hear(order.instructed_at)
    simulator.orders.settle_due()
    # Of a refund that came before its payment no wallet is known, then or later.
    first = simulator.orders.find(order.end_to_end_no)
    original = first or simulator.orders.find(order.original_end_to_end_no)
    return _take(
        simulator,
        Terms(
            order.end_to_end_no,
            "REFUND",
            original.terms.account if original else "",
            original.terms.counterparty if original else "",
            order.amount_fen,
            original=order.original_end_to_end_no,
        ),
        handling,
    )


def _take(simulator: Simulator, terms: Terms, handling: Handling) -> PaymentView:
    order = simulator.orders.take(terms, handling)
    if order.terms != terms:
        raise NumberReused(f"{terms.number} was used for another payment.")
    return _view(order)


def find_payment(simulator: Simulator, number: str) -> PaymentView:
    """Return what is known of a number. Raises NotFound for one that never arrived."""
    order = simulator.orders.find(number)
    if order is None:
        raise NotFound("No payment or refund of this number has arrived.")
    return _view(order)


def _view(order: Order) -> PaymentView:
    terms = order.terms
    return PaymentView(
        end_to_end_no=terms.number,
        kind="refund" if terms.kind == "REFUND" else "pay",
        wallet=terms.account,
        payee_wallet=terms.counterparty,
        amount_fen=terms.amount_fen,
        state=_STATES[order.state],
        operator_txn_no=order.txn_no,
        completed_at=None if order.completed_us is None else moment(order.completed_us),
        reason=order.reason,
    )


def transfer(simulator: Simulator, wallet: str, wanted: WalletTransfer) -> WalletTransferView:
    """Move money into a wallet or out of it, once for a reference.

    Raises:
        NumberReused: the reference stands for another transfer.
        InsufficientBalance: the wallet holds less, or would hold too much.
    """
    simulator.book.hear(wanted.instructed_at)
    simulator.orders.settle_due()
    moved = simulator.book.move_once(
        wallet, _TRANSFERS[wanted.direction], wanted.reference, wanted.amount_fen, ""
    )
    if isinstance(moved, str):
        raise InsufficientBalance(f"The wallet refuses it: {moved}.")
    movement, _ = moved
    if movement.amount_fen != wanted.amount_fen:
        raise NumberReused(f"{wanted.reference} moved {movement.amount_fen} fen.")
    return WalletTransferView(
        wallet=wallet,
        reference=movement.reference,
        direction=movement.direction,
        amount_fen=movement.amount_fen,
        operator_txn_no=movement.txn_no,
        completed_at=movement.booked_at,
        balance_fen=movement.balance_fen,
    )


def show_wallet(simulator: Simulator, wallet: str) -> WalletView:
    balance_fen = simulator.book.balance_fen(wallet)
    if balance_fen is None:
        raise NotFound("Nothing has ever moved on this wallet.")
    return WalletView(wallet=wallet, balance_fen=balance_fen)


def daily_file(simulator: Simulator, wallet: str, day: date) -> bytes:
    """Return a wallet's day, lies included. Raises NotFound for a wallet that never was."""
    show_wallet(simulator, wallet)
    payments = [
        ecny_daily.Payment(
            end_to_end_no=row.reference,
            operator_txn_no=row.txn_no,
            kind=_FILE_KINDS[row.kind],
            amount_fen=row.amount_fen,
            payee_wallet=row.counterparty,
            completed_at=row.booked_at,
        )
        for row in simulator.lies.stated(wallet, day)
    ]
    return ecny_daily.write(payments, institution=INSTITUTION, wallet=wallet, day=day)


_FILE_KINDS: dict[str, ecny_daily.Kind] = {kind: kind for kind in ecny_daily.KINDS}
