"""The way of a drop's attempts through one process: gathered, asked at the gate, decided.

Attempts that arrive while a batch is in flight form the next one. There is no timer: at low load a
batch is one attempt. A request only awaits its future, so a client that goes away breaks no batch.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Sequence

import structlog

from services.claim.arrivals import Arrivals
from services.claim.attempts import Attempt
from services.claim.deciding import Decision, Ledger
from services.claim.definitions import Definition
from services.claim.gate_clock import monotonic_us
from services.claim.holders import Holder
from services.claim.outcomes import (
    BUSY,
    LIMIT_REACHED,
    OVERLOADED,
    Outcome,
    Refusal,
    Refused,
    Won,
)
from services.claim.standing import Standing
from services.claim.warning import SeldomWarning
from shared.clock import Clock
from shared.db.calling import AWAY
from shared.gate.gate import PERMIT, SEEN, Admission, Gate, GateError
from shared.tasks import TaskOwner

_log = structlog.get_logger()

BATCH_MAX = 512
BATCHES_IN_FLIGHT_MAX = 2
QUEUE_MAX = 8_000
# So many connections may wait for one and the same request.
WAITING_MAX = 64
# A request is answered within this time, if only with "ask again".
DEADLINE_S = 2.0
_RECENT_WINS_MAX = 50_000
# A released claim may be replayed from memory for this long.
_RECENT_WIN_LIVES_S = 1.0
_NOT_LOADED_VERSION = -1


class Lane:
    """One drop in one process."""

    def __init__(
        self,
        definition: Definition,
        *,
        gate: Gate,
        ledger: Ledger,
        clock: Clock,
        arrivals: Arrivals,
        owner: TaskOwner,
    ) -> None:
        self.definition = definition
        self.standing = Standing(definition, ledger, gate)
        self._gate = gate
        self._ledger = ledger
        self._clock = clock
        self._arrivals = arrivals
        self._owner = owner
        self._gate_away = SeldomWarning("gate away")
        self._queue: deque[Attempt] = deque()
        self._flushing = 0
        self._pending: dict[tuple[bytes, str], Attempt] = {}
        self._recent: OrderedDict[tuple[bytes, str], tuple[float, Won]] = OrderedDict()
        self._timeouts: deque[tuple[float, asyncio.Future[Outcome]]] = deque()

    @property
    def is_idle(self) -> bool:
        return not self._queue and not self._flushing and not self._timeouts

    def recall(self, holder: Holder, request_key: str) -> Outcome | None:
        """Answer from memory where that is certain; None means that the attempt must be made."""
        identity = (holder.subject_hash, request_key)
        recent = self._recent.get(identity)
        if recent is not None and recent[0] > time.monotonic():
            return recent[1]
        if identity in self._pending:
            return None
        refused = self.standing.flagged(holder.key)
        if refused is not None and self.standing.is_ageing:
            # Renewed beside the crowd: nobody waits for a read each time the flag has died.
            self._owner.spawn(self.standing.restate(gate_version=0), name="drop read again")
        return refused

    def submit(self, attempt: Attempt) -> Outcome | asyncio.Future[Outcome]:
        """Enqueue an attempt, or join the same one under way; return a future to await."""
        underway = self._pending.get(attempt.identity)
        if underway is None:
            if len(self._queue) >= QUEUE_MAX:
                return OVERLOADED
            underway = attempt
            self._pending[attempt.identity] = attempt
            self._queue.append(attempt)
            if self._flushing < BATCHES_IN_FLIGHT_MAX:
                self._flushing += 1
                self._owner.spawn(self._flush_until_empty(), name="claim flusher")
        elif len(underway.waiting) >= WAITING_MAX:
            return OVERLOADED
        underway.deadline_s = max(underway.deadline_s, attempt.deadline_s)
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        underway.waiting.append(waiter)
        self._timeouts.append((attempt.deadline_s, waiter))
        return waiter

    def expire_waiters(self, now_s: float) -> None:
        """Answer "ask again" to everybody whose deadline has passed; what is decided stays so."""
        while self._timeouts and (self._timeouts[0][0] <= now_s or self._timeouts[0][1].done()):
            _, waiter = self._timeouts.popleft()
            if not waiter.done():
                waiter.set_result(BUSY)

    async def _flush_until_empty(self) -> None:
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
                try:
                    await self._flush(batch)
                except Exception:  # noqa: BLE001 - the batches behind this one need their flusher
                    _log.exception("batch failed", drop_id=str(self.definition.drop_id))
                finally:
                    # Whatever happened, nobody is left waiting; an open fate reads "ask again".
                    for attempt in batch:
                        if attempt.waiting:
                            self._lose(attempt, BUSY)
        finally:
            self._flushing -= 1

    async def _flush(self, batch: list[Attempt]) -> None:
        now_s = asyncio.get_running_loop().time()
        batch = [attempt for attempt in batch if attempt.deadline_s > now_s]
        if not batch:
            return
        admission = await self._admit(batch)
        if admission is None:
            return
        permitted: list[Attempt] = []
        seen: list[Attempt] = []
        refused: list[Attempt] = []
        for place, (attempt, answer) in enumerate(
            zip(batch, admission.answers, strict=True), start=1
        ):
            if admission.version != _NOT_LOADED_VERSION:
                attempt.arrived_us = admission.now_us
                attempt.rank = admission.rank + place
            group = permitted if answer == PERMIT else seen if answer == SEEN else refused
            group.append(attempt)
        if seen or refused:
            await self.standing.restate(gate_version=admission.version)
        permitted += await self._replay(seen)
        if permitted:
            await self._decide(permitted, admission)
        if refused:
            await self._refuse(refused)

    async def _admit(self, batch: Sequence[Attempt]) -> Admission | None:
        """Ask the gate; load it from the ledger and ask once more where it knows nothing."""
        keys = [self._gate_key(attempt) for attempt in batch]
        try:
            admission = await self._ask_gate(keys)
            if admission.version == _NOT_LOADED_VERSION:
                await self.standing.restate()
                admission = await self._ask_gate(keys)
        except GateError as fault:
            self._gate_away.say(drop_id=str(self.definition.drop_id), fault=repr(fault))
            return None
        return admission

    async def _ask_gate(self, keys: Sequence[bytes]) -> Admission:
        asked_us = monotonic_us()
        admission = await self._gate.admit(self.definition.drop_id, keys, self._clock.offset_us)
        self.standing.clock.hear(admission.now_us, asked_us=asked_us)
        return admission

    def _gate_key(self, attempt: Attempt) -> bytes:
        # Where a holder may claim twice, each request is somebody of its own to the gate.
        return attempt.holder.key + attempt.request_key.encode()

    async def _replay(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Give their claims to those served before; return the attempts of whom none is found."""
        if not attempts:
            return []
        asked_s = time.monotonic()
        try:
            found = await self._ledger.find_claims(self.definition, attempts)
        except AWAY as fault:
            _log.warning("claims not looked up", fault=repr(fault))
            return []
        unserved = []
        for attempt, claim in zip(attempts, found, strict=True):
            if claim is None:
                unserved.append(attempt)
            else:
                won = Won(claim.claim_id, claim.serial, claim.claimed_at, fresh=False)
                self._win(attempt, won, asked_s=asked_s)
        return unserved

    async def _decide(self, attempts: Sequence[Attempt], admission: Admission) -> None:
        until_s = max(attempt.deadline_s for attempt in attempts)
        asked_s = time.monotonic()
        decisions, statement = await self._ledger.issue(self.definition, attempts, until_s=until_s)
        if statement is not None:
            self.standing.adopt(statement, asked_s=asked_s)
        for attempt, decision in zip(attempts, decisions, strict=True):
            self._conclude(attempt, decision, asked_s=asked_s)
        if statement is not None:
            denied = admission.version if admission.version > statement.version else None
            await self.standing.hand_over(statement, denied_version=denied)

    def _conclude(self, attempt: Attempt, decision: Decision | None, *, asked_s: float) -> None:
        if decision is None:
            return
        match decision:
            case Decision("issued" | "replayed", claim_id, serial, claimed_at) if (
                claim_id is not None and serial is not None and claimed_at is not None
            ):
                # After a resend our own claim comes back as replayed; its owner never heard of it.
                fresh = claim_id == attempt.claim_id
                self._win(attempt, Won(claim_id, serial, claimed_at, fresh=fresh), asked_s=asked_s)
            case Decision("limit_reached"):
                self._lose(attempt, LIMIT_REACHED)
            case Decision("not_open"):
                stated = self.standing.statement
                opens_us = stated.opens_us if stated else None
                self._lose(attempt, Refused(Refusal.NOT_OPEN, opens_us=opens_us))
            case Decision(outcome):
                self._lose(attempt, Refused(Refusal(outcome)))

    async def _refuse(self, attempts: Sequence[Attempt]) -> None:
        """Refuse what the ledger refuses; where it does not agree with the gate, ask again later.

        Nobody who may hold a claim is refused before the ledger was asked about it.
        """
        if self._refusal() is None or not await self.standing.list_winners():
            return
        maybe = [a for a in attempts if self.standing.may_have_won(a.holder.key)]
        losers = {id(attempt) for attempt in attempts} - {id(attempt) for attempt in maybe}
        asked = await self._replay(maybe)
        losers |= {id(attempt) for attempt in asked}
        # Asking took its time, in which the drop may have been resumed or got more packs.
        refusal = self._refusal()
        for attempt in attempts:
            if refusal is not None and id(attempt) in losers:
                self._lose(attempt, refusal)

    def _refusal(self) -> Refused | None:
        now_us = self.standing.clock.earliest_us()
        return self.standing.refusal(now_us) if self.standing.is_fresh else None

    def _win(self, attempt: Attempt, won: Won, *, asked_s: float) -> None:
        again = Won(won.claim_id, won.serial, won.claimed_at, fresh=False)
        self._recent[attempt.identity] = (asked_s + _RECENT_WIN_LIVES_S, again)
        self._recent.move_to_end(attempt.identity)
        if len(self._recent) > _RECENT_WINS_MAX:
            self._recent.popitem(last=False)
        self._arrivals.note(self.definition, attempt, "won")
        self._settle(attempt, won)

    def _lose(self, attempt: Attempt, refused: Refused) -> None:
        if attempt.rank >= 0:
            self._arrivals.note(self.definition, attempt, refused.refusal)
        self._settle(attempt, refused)

    def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        """Answer who waits; whoever asks from now on makes an attempt of their own."""
        attempt.answer(outcome)
        if self._pending.get(attempt.identity) is attempt:
            del self._pending[attempt.identity]
