"""Where a drop stands, as this process last heard it from the ledger."""

import asyncio
import time

import structlog

from services.claim.deciding import WINNERS_LISTED_AT_ONCE, Ledger
from services.claim.definitions import Definition
from services.claim.gate_clock import GateClock
from services.claim.outcomes import Refusal, Refused
from services.claim.warning import SeldomWarning
from services.claim.winners import Winners
from shared.db.calling import AWAY
from shared.gate.gate import Gate, GateError
from shared.gate.statement import Statement

_log = structlog.get_logger()

FLAG_LIVES_S = 1.0
RESTATE_EVERY_S = 0.2
# Close to T-0 the gate itself is asked.
_OPENING_MARGIN_US = 50_000
_CLOSING_MARGIN_US = 250_000
_US_PER_S = 1_000_000


class Standing:
    """The ledger's last statement about a drop, and the refusals that follow from it.

    Only what the ledger stated is ever refused. While a statement is younger than a second,
    refusals are answered from it, touching neither Redis nor Postgres; a holder who may have won
    is never refused from memory.
    """

    def __init__(self, definition: Definition, ledger: Ledger, gate: Gate) -> None:
        self._definition = definition
        self._ledger = ledger
        self._gate = gate
        self.statement: Statement | None = None
        self.clock = GateClock()
        self._as_of_s = float("-inf")
        self._heard_s = float("-inf")
        self._read_begun_s = float("-inf")
        self._reading: asyncio.Future[None] | None = None
        self._listing: asyncio.Lock = asyncio.Lock()
        self._winners = Winners()
        self._gate_not_told = SeldomWarning("gate not told")

    @property
    def is_fresh(self) -> bool:
        """Whether the statement held was true within the last second."""
        return time.monotonic() - self._as_of_s <= FLAG_LIVES_S

    @property
    def is_ageing(self) -> bool:
        """Whether the statement held should be renewed before it dies, and nobody is at it."""
        now_s = time.monotonic()
        return (
            self._reading is None
            and now_s - self._as_of_s > FLAG_LIVES_S / 2
            and now_s - self._read_begun_s >= RESTATE_EVERY_S
        )

    def adopt(self, statement: Statement, *, asked_s: float) -> bool:
        """Believe a statement unless it is older than the one held; return whether it is held now.

        `asked_s` is when it was asked for. A lower version that was asked for after the higher one
        arrived means that the ledger itself went back: a restored backup.
        """
        held = self.statement
        if held is not None and statement.version < held.version and asked_s < self._heard_s:
            return False
        if held is not None and statement.issued < self._winners.issued:
            self._winners = Winners()
        self.statement = statement
        # An answer may be slow: it was true when it was asked for, or, where it confirms or follows
        # the statement held, no earlier than that one.
        self._as_of_s = max(self._as_of_s, asked_s)
        self._heard_s = time.monotonic()
        return True

    def refusal(self, now_us: int | None) -> Refused | None:
        """Return what the statement refuses at `now_us` on the gate's clock, else None.

        Without a clock only the state and the stock can refuse.
        """
        stated = self.statement
        if stated is None:
            return None
        if stated.state == "closed" or self._was_true_after_closing(stated, now_us):
            return Refused(Refusal.CLOSED)
        if stated.state == "paused":
            return Refused(Refusal.PAUSED)
        if now_us is not None and now_us < stated.opens_us:
            return Refused(Refusal.NOT_OPEN, opens_us=stated.opens_us)
        if stated.remaining == 0:
            return Refused(Refusal.SOLD_OUT)
        return None

    def _was_true_after_closing(self, stated: Statement, now_us: int | None) -> bool:
        """Whether the clock closed the drop before the statement was made: it lists every winner.

        A claim decided in the last moment may commit a little later, hence the margin.
        """
        if now_us is None:
            return False
        age_us = (time.monotonic() - self._as_of_s) * _US_PER_S
        return now_us - age_us >= stated.closes_us + _CLOSING_MARGIN_US

    def flagged(self, holder_key: bytes) -> Refused | None:
        """Return the refusal that memory alone may give this holder, else None: ask the gate."""
        if not self.is_fresh:
            return None
        refused = self.refusal(self.clock.earliest_us())
        if refused is None:
            return None
        if refused.opens_us is not None:
            latest_us = self.clock.latest_us()
            if latest_us is None or latest_us > refused.opens_us - _OPENING_MARGIN_US:
                return None
        return None if self.may_have_won(holder_key) else refused

    def may_have_won(self, holder_key: bytes) -> bool:
        """Return whether the ledger must be asked before this holder is refused."""
        if self.statement is None or self._winners.issued < self.statement.issued:
            return True
        return self._winners.may_include(holder_key)

    async def restate(self, *, gate_version: int = -1) -> None:
        """Read the drop and hand it to the gate, at most once in 200 ms and one at a time.

        `gate_version` is what the gate reported beforehand, -1 when it is not loaded: it is then
        loaded in any case, with the statement held if that was just read.
        """
        if self._reading is None:
            if time.monotonic() - self._read_begun_s < RESTATE_EVERY_S:
                if gate_version < 0 and self.statement is not None and self.is_fresh:
                    await self.hand_over(self.statement)
                return
            self._reading = asyncio.ensure_future(self._read(gate_version))
            self._reading.add_done_callback(self._read_ended)
        await asyncio.shield(self._reading)

    def _read_ended(self, _reading: asyncio.Future[None]) -> None:
        self._reading = None

    async def _read(self, gate_version: int) -> None:
        self._read_begun_s = asked_s = time.monotonic()
        try:
            statement = await self._ledger.read_statement(self._definition)
        except AWAY as fault:
            _log.warning("drop not read", drop_id=str(self._definition.drop_id), fault=repr(fault))
            return
        self.adopt(statement, asked_s=asked_s)
        denied = gate_version if gate_version > statement.version else None
        await self.hand_over(statement, denied_version=denied)

    async def hand_over(self, statement: Statement, *, denied_version: int | None = None) -> None:
        """Give the gate what the ledger stated. A gate that is away is loaded when it is back."""
        try:
            await self._gate.take(
                self._definition.drop_id, statement, denied_version=denied_version
            )
        except GateError as fault:
            self._gate_not_told.say(drop_id=str(self._definition.drop_id), fault=repr(fault))

    async def list_winners(self) -> bool:
        """Know every winner up to the statement held; return False when the ledger is away."""
        async with self._listing:
            stated = self.statement
            if stated is None:
                return False
            while self._winners.issued < stated.issued:
                # A restored ledger may replace the list meanwhile; this one is then left behind.
                winners = self._winners
                try:
                    keys = await self._ledger.winner_keys(self._definition, winners.issued)
                except AWAY as fault:
                    _log.warning("winners not listed", fault=repr(fault))
                    return False
                # Read after the statement, so a piece lists at least the winners up to it.
                winners.add(keys, min(winners.issued + WINNERS_LISTED_AT_ONCE, stated.issued))
            return True
