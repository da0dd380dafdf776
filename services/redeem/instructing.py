"""The e-CNY rail's worker: sends what the ledger has instructed, and asks until it is certain.

The instruction is in the ledger before anybody is told of it, and stays open until the operator's
word is booked: a process that dies, a reply that is lost and an operator that is away lose nothing.
An outcome that is not known is asked for, never assumed; what never arrived is sent again under the
same number, on which the operator pays once.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog

from services.redeem.ecny_operator import EcnyOperator, Instruction
from services.redeem.insisting import insist
from shared.counterparties import ECNY_OPERATOR, Fate, Word, reach
from shared.db.calling import AWAY, Calls
from shared.settings import Settings
from shared.tasks import TaskOwner

_log = structlog.get_logger()

ANSWERS_WITHIN_S = 3.0
# A till waits for a fresh instruction: no backlog must delay it, so it has tasks of its own.
FRESH_AT_ONCE = 16
DUE_AT_ONCE = 8
_FRESH_MAX = 1_000
_DUE_MAX = 32
_POLL_S = (0.15, 0.3)
_POOL_SIZE = 4
_CALL_TIMEOUT_S = 5.0
_BOOK_WITHIN_S = 5.0
_CLOSE_TIMEOUT_S = 3.0
# A payment that was to be reversed meanwhile is confirmed, then refunded.
_STEPS_MAX = 3

_TAKE = "SELECT t.*, campaign.now() AS asked_at FROM redeem.take_instructions($1, $2, $3) AS t"
_FINISH = "SELECT redeem.finish_instruction($1, $2, $3, $4, $5, $6)"


@dataclass(frozen=True, slots=True)
class _Nudge:
    city_id: int
    redemption_id: UUID
    booked: asyncio.Future[None]


class Instructing:
    """One process's part of the work; the ledger keeps several from doing the same at once."""

    def __init__(self, calls: Calls, operator: EcnyOperator) -> None:
        self._calls = calls
        self._operator = operator
        self._fresh: asyncio.Queue[_Nudge] = asyncio.Queue(_FRESH_MAX)
        self._due: asyncio.Queue[Instruction] = asyncio.Queue(_DUE_MAX)
        self._under_way: dict[UUID, asyncio.Future[None]] = {}
        # One take at a time: what another task of this process has taken is then known to it.
        self._taking = asyncio.Lock()

    def start(self, owner: TaskOwner) -> None:
        """Begin to work, in tasks of `owner`, until they are cancelled."""
        for number in range(FRESH_AT_ONCE):
            owner.spawn(self._attend_fresh(), name=f"fresh instructions {number}")
        for number in range(DUE_AT_ONCE):
            owner.spawn(self._attend_due(), name=f"due instructions {number}")
        owner.spawn(self._look_for_due(), name="looking for due instructions")

    def nudge(self, city_id: int, redemption_id: UUID) -> asyncio.Future[None]:
        """Have the open instruction of a redemption sent now, by a task of its own.

        The future is done when the operator's answer is booked, or when there is none to come from
        this attempt; it never fails, and nobody who waits for it cancels the attempt.
        """
        booked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._operator.may_be_asked and not self._fresh.full():
            self._fresh.put_nowait(_Nudge(city_id, redemption_id, booked))
        else:
            booked.set_result(None)
        return booked

    async def _attend_fresh(self) -> None:
        while True:
            nudge = await self._fresh.get()
            try:
                await self._carry_through(nudge.city_id, nudge.redemption_id)
            except Exception:  # noqa: BLE001 - the instructions behind it need this task
                _log.exception("instruction failed", redemption_id=str(nudge.redemption_id))
            finally:
                if not nudge.booked.done():
                    nudge.booked.set_result(None)

    async def _carry_through(self, city_id: int, redemption_id: UUID) -> None:
        for _ in range(_STEPS_MAX):
            taken = await self._take(1, city_id, redemption_id)
            if taken:
                state = await self._settle(taken[0])
                if state != "pending":
                    return
                continue
            underway = self._under_way.get(redemption_id)
            if underway is not None:
                await asyncio.wait([underway], timeout=ANSWERS_WITHIN_S)
            return

    async def _attend_due(self) -> None:
        while True:
            instruction = await self._due.get()
            try:
                await self._settle(instruction)
            except Exception:  # noqa: BLE001 - the instructions behind it need this task
                _log.exception("instruction failed", redemption_id=str(instruction.redemption_id))

    async def _look_for_due(self) -> None:
        while True:
            await asyncio.sleep(random.uniform(*_POLL_S))
            if not self._due.empty() or not self._operator.may_be_asked:
                continue
            # One that gave no answer last time is tried with one question first.
            limit = 1 if self._operator.is_doubtful else _DUE_MAX
            try:
                for instruction in await self._take(limit, None, None):
                    self._due.put_nowait(instruction)
            except Exception:  # noqa: BLE001 - nothing else looks for what is due
                _log.exception("instructions not looked for")

    async def _take(
        self, limit: int, city_id: int | None, redemption_id: UUID | None
    ) -> Sequence[Instruction]:
        """Take what is due, but what this process is at already; each must then be settled."""
        async with self._taking:
            try:
                rows = await self._calls.call("fetch", _TAKE, limit, city_id, redemption_id)
            except AWAY as fault:
                _log.warning("instructions not taken", fault=repr(fault))
                return []
            taken = [Instruction.of_row(row) for row in rows]
            fresh = [each for each in taken if each.redemption_id not in self._under_way]
            for instruction in fresh:
                done = asyncio.get_running_loop().create_future()
                self._under_way[instruction.redemption_id] = done
            return fresh

    async def _settle(self, instruction: Instruction) -> str | None:
        """Learn the operator's word and book it; return the redemption's state, None if unknown."""
        try:
            word = await self._learn(instruction)
            if word.is_certain:
                return await self._book(instruction, word)
            _log.warning(
                "instruction open",
                instruction_id=str(instruction.instruction_id),
                attempts=instruction.attempts,
                fate=word.fate,
            )
            return None
        finally:
            self._under_way.pop(instruction.redemption_id).set_result(None)

    async def _learn(self, instruction: Instruction) -> Word:
        """Send a first attempt; of a later one ask first, since it may have been done."""
        if instruction.attempts > 1:
            word = await self._operator.query(instruction)
            if word.fate is not Fate.NOT_ARRIVED:
                return word
        return await self._operator.instruct(instruction)

    async def _book(self, instruction: Instruction, word: Word) -> str | None:
        """Book a certain word. What cannot be booked now is asked for and booked later."""

        async def finish() -> str:
            state: str = await self._calls.call(
                "fetchval",
                _FINISH,
                instruction.city_id,
                instruction.instruction_id,
                word.fate,
                word.txn_no,
                word.completed_at,
                word.reason,
            )
            return state

        return await insist(finish, until_s=asyncio.get_running_loop().time() + _BOOK_WITHIN_S)


@asynccontextmanager
async def instructing(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Instructing]:
    """Work on the e-CNY rail for as long as the block lasts."""
    calls = await Calls.open(
        settings.postgres_url, size=_POOL_SIZE, timeout_s=_CALL_TIMEOUT_S, name="redeem rail"
    )
    owner = TaskOwner()
    try:
        async with reach(
            ECNY_OPERATOR,
            settings.data_dir,
            environ,
            answers_within_s=ANSWERS_WITHIN_S,
            connections_max=FRESH_AT_ONCE + DUE_AT_ONCE,
        ) as counterparty:
            worker = Instructing(calls, EcnyOperator(counterparty))
            worker.start(owner)
            try:
                yield worker
            finally:
                await owner.close(grace_s=0)
    finally:
        try:
            await calls.close(grace_s=_CLOSE_TIMEOUT_S)
        except TimeoutError:
            _log.warning("Postgres did not answer at the end")
