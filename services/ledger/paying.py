"""The bank rail's worker: gives the bank the payout files of approved batches, and books its word.

A payout stays open until the bank's word on it is booked (J15, J16). A file may be given again at
any time, since the bank pays a number once; an outcome that is not known is asked for, never
assumed. Several processes may do this at once.
"""

import asyncio
import random
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import text

from services.ledger.bank import Bank
from services.ledger.payout_files import make_payout_file
from shared.counterparties import BANK, Fate, Word, reach
from shared.db.database import Database
from shared.db.faults import translate
from shared.settings import Settings
from shared.tasks import TaskOwner

_log = structlog.get_logger()

# A bank reads a file of thousands of payouts before it answers.
ANSWERS_WITHIN_S = 10.0
_TAKEN_AT_ONCE = 256
_ASKED_AT_ONCE = 8
_ROUNDS_MAX = 1_000
_LOOK_EVERY_S = (0.4, 0.6)
_PAUSE_MAX_S = 30.0
_GIVEN_MAX = 1_000
_ACTOR = "bank"

_TAKE = text(
    "SELECT t.payout_id, t.batch_id, t.city_id, t.amount_fen, campaign.now() AS at"
    " FROM ledger.take_payouts(:most) AS t"
)
_FINISH = (
    "SELECT ledger.finish_payout(CAST(:city_id AS smallint), :payout_id, :answer, :txn_no, :reason,"
    " :actor) AS outcome"
)


@dataclass(frozen=True, slots=True)
class _Open:
    """A payout whose outcome is not known."""

    payout_id: UUID
    batch_id: UUID
    city_id: int
    amount_fen: int
    at: datetime


class Paying:
    """One process's part of the work."""

    def __init__(self, database: Database, bank: Bank) -> None:
        self._database = database
        self._bank = bank
        # Batches whose file the bank has surely taken; of another process's it is given again.
        self._given: OrderedDict[UUID, None] = OrderedDict()

    async def pay_for_ever(self) -> None:
        """Pay what is due until cancelled; a fault puts it off, and longer each time."""
        pause_s = random.uniform(*_LOOK_EVERY_S)
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.pay_due()
                pause_s = random.uniform(*_LOOK_EVERY_S)
            except Exception:  # noqa: BLE001 - nothing else pays
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)
                _log.exception("payouts put off", by_s=pause_s)

    async def pay_due(self) -> None:
        """Give the bank what it was not given, and book what it says of every payout due."""
        for _ in range(_ROUNDS_MAX):
            if not self._bank.may_be_asked:
                return
            taken = await self._take()
            batches: dict[UUID, list[_Open]] = defaultdict(list)
            for payout in taken:
                batches[payout.batch_id].append(payout)
            for batch_id, payouts in batches.items():
                with _apart(batch_id=batch_id):
                    await self._pay(batch_id, payouts)
            if len(taken) < _TAKEN_AT_ONCE:
                return

    async def _take(self) -> list[_Open]:
        async with self._database.transaction(None) as session:
            rows = await session.execute(_TAKE, {"most": _TAKEN_AT_ONCE})
            return [_Open(**row) for row in rows.mappings()]

    async def _pay(self, batch_id: UUID, payouts: Sequence[_Open]) -> None:
        if batch_id not in self._given and not await self._give(batch_id, payouts[0].at):
            return
        for first in range(0, len(payouts), _ASKED_AT_ONCE):
            asked = payouts[first : first + _ASKED_AT_ONCE]
            words = await asyncio.gather(
                *(self._bank.query(payout.payout_id, payout.amount_fen) for payout in asked)
            )
            for payout, word in zip(asked, words, strict=True):
                with _apart(payout_id=payout.payout_id):
                    await self._hear(payout, word)

    async def _give(self, batch_id: UUID, at: datetime) -> bool:
        async with self._database.transaction(None) as session:
            file = await make_payout_file(session, batch_id)
        if file is None or not await self._bank.give(batch_id, file, at):
            return False
        self._given[batch_id] = None
        if len(self._given) > _GIVEN_MAX:
            self._given.popitem(last=False)
        return True

    async def _hear(self, payout: _Open, word: Word) -> None:
        if word.fate is Fate.NOT_ARRIVED:
            # It was lost on the bank's side: the file is given again.
            self._given.pop(payout.batch_id, None)
        if not word.is_certain:
            return
        told = await self._database.call(
            _FINISH,
            {
                "city_id": payout.city_id,
                "payout_id": payout.payout_id,
                "answer": word.fate,
                "txn_no": word.txn_no,
                "reason": word.reason,
                "actor": _ACTOR,
            },
        )
        if told["outcome"] not in {word.fate, "unchanged"}:
            _log.error(
                "the bank's word contradicts the books",
                payout_id=str(payout.payout_id),
                word=word.fate,
                outcome=told["outcome"],
            )


@contextmanager
def _apart(**named: UUID) -> Iterator[None]:
    """Keep what is wrong with one batch or payout from the others; it stays open, and is logged.

    A database that is away or busy concerns them all.
    """
    try:
        yield
    except Exception as fault:
        if translate(fault) is not None:
            raise
        _log.exception("payout failed", **{name: str(value) for name, value in named.items()})


@asynccontextmanager
async def paying(
    database: Database, settings: Settings, environ: Mapping[str, str]
) -> AsyncIterator[None]:
    """Work on the bank rail for as long as the block lasts."""
    owner = TaskOwner()
    async with reach(
        BANK,
        settings.data_dir,
        environ,
        answers_within_s=ANSWERS_WITHIN_S,
        connections_max=_ASKED_AT_ONCE,
    ) as counterparty:
        owner.spawn(Paying(database, Bank(counterparty)).pay_for_ever(), name="paying")
        try:
            yield
        finally:
            await owner.close(grace_s=0)
