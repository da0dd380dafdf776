"""Tills: terminals that sign what they send, and what they were told, kept by their side."""

import base64
import json
from array import array
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from services.demo.wire import Reply, Wire
from shared.errors import Json
from shared.request_signing import Message, sign

UNCERTAIN = "operator uncertain at first"


@dataclass(frozen=True, slots=True)
class Till:
    """A terminal of a shop, with the key that its operator was shown once."""

    merchant_id: str
    terminal_id: str
    key_id: str
    secret: str

    @property
    def key(self) -> bytes:
        return base64.urlsafe_b64decode(self.secret + "=" * (-len(self.secret) % 4))


@dataclass(frozen=True, slots=True)
class Redeemed:
    """A redemption that a till was finally told is made, and the record that proves it."""

    settlement_id: str
    terminal_id: str
    voucher_id: str
    voucher_fen: int
    order_fen: int


@dataclass(slots=True)
class TillLog:
    """What tills were told.

    `undone` are vouchers whose redemption was released, reversed or never happened; `broken` are
    answers that contradict an earlier one, or a rule; `undecided` the requests without an answer
    that stands. `least_fen` is what the vouchers redeemed asked for at least.
    """

    redeemed: list[Redeemed] = field(default_factory=list)
    least_fen: int = 0
    undone: dict[str, str] = field(default_factory=dict)
    broken: list[dict[str, Json]] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)
    on_the_wire_ms: "array[float]" = field(default_factory=lambda: array("d"))


class TillLine:
    """The signed way to the redeem service."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def post(self, till: Till, path: str, body: dict[str, Any]) -> Reply:
        """Send a signed request. Raises NoAnswerError."""
        content = json.dumps(body).encode()
        return await self._wire.ask("POST", path, _signed(till, "POST", path, content), content)

    async def post_and_hang_up(self, till: Till, path: str, body: dict[str, Any]) -> None:
        """Send a signed request and never learn what became of it. Raises NoAnswerError."""
        content = json.dumps(body).encode()
        headers = _signed(till, "POST", path, content)
        await self._wire.send_and_hang_up("POST", path, headers, content)

    async def read_back(self, till: Till, request_no: str) -> Reply:
        """Ask what became of a request. Raises NoAnswerError."""
        path, query = "/v1/redemptions", f"request_no={request_no}"
        headers = _signed(till, "GET", path, b"", query)
        return await self._wire.ask("GET", f"{path}?{query}", headers)


def _signed(till: Till, method: str, path: str, body: bytes, query: str = "") -> dict[str, str]:
    return sign(
        Message(method, path.encode(), query.encode(), body=body),
        key_id=till.key_id,
        secret=till.key,
        # The clock of the machine: a signature's window is real time whatever day is played.
        now_s=datetime.now(UTC).timestamp(),
    )
