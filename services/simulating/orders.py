"""What a simulator was instructed to pay, once for each number: payments, refunds, payouts."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from services.simulating.book import Book, Kind

OrderKind = Literal["PAY", "REFUND", "PAYOUT"]
REJECTED_ON_COMMAND: Final = "rejected on command"


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order is about. `original` is the number of what a refund takes back."""

    number: str
    kind: OrderKind
    account: str
    counterparty: str
    amount_fen: int
    original: str = ""
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """An order and what became of it; `processing` is not decided yet."""

    terms: Terms
    state: Literal["processing", "done", "rejected"]
    ready_us: int
    reason: str | None
    txn_no: str | None
    completed_us: int | None


@dataclass(frozen=True, slots=True)
class Handling:
    """What a fault makes of an order: refused, or done only some time later."""

    rejects: bool = False
    processes_us: int = 0


class Orders:
    """The orders in a book. An order that was taken is never taken again under its number."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._db = book.connection

    def take(self, terms: Terms, handling: Handling) -> Order:
        """Take an order, unless one of its number was taken before; return what is known of it.

        The caller compares the terms: an order of the same number may be about something else.
        """
        known = self.find(terms.number)
        if known is not None:
            return known
        with self._db:
            return self.take_within(terms, handling)

    def take_within(self, terms: Terms, handling: Handling) -> Order:
        """Take a fresh order in the caller's transaction."""
        ready_us = self._book.now_us() + handling.processes_us
        self._db.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, 'processing', ?, NULL, NULL, NULL)",
            [
                *(terms.number, terms.kind, terms.account, terms.counterparty),
                *(terms.amount_fen, terms.original, terms.batch, ready_us),
            ],
        )
        if handling.rejects:
            self._reject(terms.number, REJECTED_ON_COMMAND)
        elif handling.processes_us == 0:
            self._execute(terms, ready_us)
        taken = self.find(terms.number)
        assert taken is not None  # noqa: S101 - inserted above, in this transaction
        return taken

    def settle_due(self) -> None:
        """Do what was to be processed until now, in its order; asked for before anything else.

        So the movements of an account are in the order of their times, whenever they are looked at.
        """
        with self._db:
            rows = self._db.execute(
                "SELECT * FROM orders WHERE state = 'processing' AND ready_us <= ?"
                " ORDER BY ready_us, number",
                [self._book.now_us()],
            ).fetchall()
            for order in map(_order, rows):
                self._execute(order.terms, order.ready_us)

    def find(self, number: str) -> Order | None:
        row = self._db.execute("SELECT * FROM orders WHERE number = ?", [number]).fetchone()
        return None if row is None else _order(row)

    def _execute(self, terms: Terms, at_us: int) -> None:
        refusal = self._refuse_refund(terms) if terms.kind == "REFUND" else None
        if refusal is not None:
            self._reject(terms.number, refusal)
            return
        kind: Kind = terms.kind
        moved = self._book.move(
            terms.account, kind, terms.number, terms.amount_fen, terms.counterparty, at_us
        )
        if isinstance(moved, str):
            self._reject(terms.number, moved)
            return
        self._db.execute(
            "UPDATE orders SET state = 'done', txn_no = ?, completed_us = ? WHERE number = ?",
            [moved.txn_no, at_us, terms.number],
        )

    def _refuse_refund(self, terms: Terms) -> str | None:
        """Return why a payment is not refunded: it is not certain, or too little is left of it."""
        original = self.find(terms.original)
        if original is None or original.terms.kind != "PAY" or original.state != "done":
            return "the original is not a confirmed payment"
        (refunded_fen,) = self._db.execute(
            "SELECT coalesce(sum(amount_fen), 0) FROM orders WHERE original = ? AND state = 'done'",
            [terms.original],
        ).fetchone()
        if refunded_fen + terms.amount_fen > original.terms.amount_fen:
            return "more than the payment would be refunded"
        return None

    def _reject(self, number: str, reason: str) -> None:
        self._db.execute(
            "UPDATE orders SET state = 'rejected', reason = ? WHERE number = ?", [reason, number]
        )


def _order(row: tuple[Any, ...]) -> Order:
    return Order(Terms(*row[:7]), *row[7:])
