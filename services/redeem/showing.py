"""What a till shows for a voucher: the code of this moment, or a quote that it was given."""

from dataclasses import dataclass
from uuid import UUID

from services.redeem.attempts import Till
from services.redeem.quoting import Quote, QuoteFault, Quotes
from shared.ids import new_id
from shared.voucher_codes import CodeFault, VoucherCodes

_NO_CODE = {
    CodeFault.NOT_OURS: "This is no code of a voucher.",
    CodeFault.STALE: "This code is not of this moment; scan the one that is shown now.",
}
_NO_QUOTE = {
    QuoteFault.NOT_OURS: "This is no quote of ours.",
    QuoteFault.EXPIRED: "This quote has expired; ask for another.",
}
_OTHER_TERMINAL = "This quote was given to another terminal; ask for one of your own."
_OTHER_ORDER = "This quote is for another amount or category; ask for another."


@dataclass(frozen=True, slots=True)
class Shown:
    """The voucher that is named, and the step of the code that names it."""

    claim_id: UUID
    position: int
    code_step: int


@dataclass(frozen=True, slots=True)
class Nothing:
    """No voucher is named, and why."""

    why: str

    def as_shown(self, city_id: int) -> Shown:
        """Return a voucher of a claim that does not exist.

        Its request may have been decided while the code was good: only the decision can say so.
        """
        return Shown(new_id(city_id), position=0, code_step=0)


def read_code(codes: VoucherCodes, code: str, *, now_s: float) -> Shown | Nothing:
    """Read what a resident's phone shows."""
    read = codes.read(code, now_s=now_s)
    if isinstance(read, CodeFault):
        return Nothing(_NO_CODE[read])
    return Shown(read.claim_id, read.position, read.step)


def read_quote(
    quotes: Quotes,
    quote_id: str,
    *,
    till: Till,
    order: tuple[int, str],
    now_s: float,
) -> Shown | Nothing:
    """Read a quote, which names its voucher to the terminal and for the order it was given for.

    `order` is the order's amount and category.
    """
    quote = quotes.read(quote_id, now_s=now_s)
    if isinstance(quote, QuoteFault):
        return Nothing(_NO_QUOTE[quote])
    if quote.terminal_id != till.terminal_id:
        return Nothing(_OTHER_TERMINAL)
    if (quote.order_amount_fen, quote.category) != order:
        return Nothing(_OTHER_ORDER)
    return Shown(quote.claim_id, quote.position, quote.code_step)


def quote_of(shown: Shown, till: Till, *, order: tuple[int, str]) -> Quote:
    """Return the quote that names what is shown."""
    amount_fen, category = order
    return Quote(
        terminal_id=till.terminal_id,
        claim_id=shown.claim_id,
        position=shown.position,
        code_step=shown.code_step,
        order_amount_fen=amount_fen,
        category=category,
    )
