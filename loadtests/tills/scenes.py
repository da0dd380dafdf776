"""What customers and cashiers do at a till, right and wrong, and what they must be told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

ORDER_FEN = 12_000
TOO_SMALL_FEN = 2_000


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that settles a request. `word` is its state or outcome, or its problem's code."""

    word: str
    body: Mapping[str, Any]
    replayed: bool


@dataclass(frozen=True, slots=True)
class Request:
    """One request; sent again it is the same request, showing the code of that moment.

    `by_neighbour`: the till next to this one sends it.
    """

    path: str
    body: Mapping[str, Any]
    shows_code: bool = False
    by_neighbour: bool = False


class Till(Protocol):
    """A till with its customer before it."""

    def number(self) -> str:
        """Return a request number that this till has not used."""

    def ask(self, request: Request, *expected: str) -> Told:
        """Send until it is settled; any word but these fails the run."""

    def ask_at_once(self, requests: Sequence[Request], *expected: str) -> list[Told]:
        """Send several at the same moment."""

    def contradict(self, what: str) -> None:
        """Note that two answers do not fit each other."""


def redemption(
    number: str, *, capture: bool = True, order_fen: int = ORDER_FEN, by_neighbour: bool = False
) -> Request:
    """Return a request for the customer's voucher."""
    body = {
        "request_no": number,
        "order_no": f"order-{number}",
        "order_amount_fen": order_fen,
        "category": "general",
        "capture": capture,
    }
    return Request("/v1/redemptions", body, shows_code=True, by_neighbour=by_neighbour)


def reversal(till: Till, of: str) -> Request:
    return Request("/v1/reversals", {"request_no": till.number(), "original_request_no": of})


def finish(till: Till, held: Told, operation: str) -> Request:
    path = f"/v1/redemptions/{held.body['redemption_id']}/{operation}"
    return Request(path, {"request_no": till.number()})


def capture(till: Till) -> None:
    """Take the voucher in one step, as nearly everybody does."""
    till.ask(redemption(till.number()), "captured")


def hold_and_capture(till: Till) -> None:
    """Hold it while the customer pays the rest; meanwhile another till cannot have it."""
    held = till.ask(redemption(till.number(), capture=False), "held")
    till.ask(redemption(till.number(), by_neighbour=True), "held_elsewhere")
    till.ask(finish(till, held, "capture"), "captured")


def hold_and_release(till: Till) -> None:
    """Hold it, and give it back: the customer left."""
    held = till.ask(redemption(till.number(), capture=False), "held")
    finishing = finish(till, held, "release")
    till.ask(finishing, "released")
    till.ask(finishing, "released")


def duplicate(till: Till) -> None:
    """Send one request twice at once and once more later; then its number with another order."""
    number = till.number()
    asked = redemption(number)
    answers = [*till.ask_at_once([asked, asked], "captured"), till.ask(asked, "captured")]
    if any(told.body != answers[0].body for told in answers):
        till.contradict(f"one request, several answers: {[told.body for told in answers]}")
    if not answers[-1].replayed:
        till.contradict(f"{number} was answered again as if it were new")
    till.ask(redemption(number, order_fen=ORDER_FEN + 100), "idempotency_key_reused")


def two_tills(till: Till) -> None:
    """Two tills want one voucher at once: one gets it, the other is told of it."""
    mine, theirs = redemption(till.number()), redemption(till.number(), by_neighbour=True)
    answers = till.ask_at_once([mine, theirs], "captured", "already_redeemed")
    if sorted(told.word for told in answers) != ["already_redeemed", "captured"]:
        till.contradict(f"two tills were told {[told.word for told in answers]}")
    for told in answers:
        if told.word == "already_redeemed" and told.body.get("by") != "other_terminal":
            till.contradict(f"a till was told that it has redeemed itself: {told.body}")


def reversed_afterwards(till: Till) -> None:
    """Redeem, take it back, and let the first request arrive once more."""
    number = till.number()
    till.ask(redemption(number), "captured")
    undo = reversal(till, number)
    till.ask(undo, "reversed")
    till.ask(undo, "reversed")
    till.ask(redemption(number), "reversed")


def reversed_before(till: Till) -> None:
    """Take back a request that never arrived; it arrives late; the cashier begins anew."""
    number = till.number()
    till.ask(reversal(till, number), "never_happened")
    till.ask(redemption(number), "reversed")
    till.ask(redemption(till.number()), "captured")


def too_small(till: Till) -> None:
    """Ask for an order below the minimum, then for one that is enough."""
    till.ask(redemption(till.number(), order_fen=TOO_SMALL_FEN), "below_min_spend")
    till.ask(redemption(till.number()), "captured")


Scene = Callable[[Till], None]
SCENES: Mapping[str, Scene] = {
    scene.__name__: scene
    for scene in (
        *(capture, hold_and_capture, hold_and_release, duplicate, two_tills),
        *(reversed_afterwards, reversed_before, too_small),
    )
}
SHARES: Mapping[str, int] = {
    "capture": 60,
    "hold_and_capture": 10,
    "hold_and_release": 5,
    "duplicate": 8,
    "two_tills": 8,
    "reversed_afterwards": 4,
    "reversed_before": 2,
    "too_small": 3,
}
"""How many customers of a hundred play each scene."""
