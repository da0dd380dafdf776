"""Redeeming a voucher: what a till shows is read, decided in its city's lane, and told."""

import asyncio
from dataclasses import replace

from services.redeem.attempts import Attempt, Till
from services.redeem.confirming import Confirming
from services.redeem.deciding import Ledger, Outcome
from services.redeem.lane import Lane
from services.redeem.outcomes import Redemption, Refusal
from services.redeem.quoting import Quotes
from services.redeem.requests import body_hash
from services.redeem.schemas import RedemptionRequest
from services.redeem.showing import Nothing, Shown, read_code, read_quote
from shared.ids import new_id
from shared.tasks import TaskOwner
from shared.voucher_codes import VoucherCodes


class Redeeming:
    """The lanes of a process, one for each city whose tills ask."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        codes: VoucherCodes,
        quotes: Quotes,
        confirming: Confirming,
        owner: TaskOwner,
    ) -> None:
        self._ledger = ledger
        self._codes = codes
        self._quotes = quotes
        self._confirming = confirming
        self._owner = owner
        self._lanes: dict[int, Lane] = {}

    async def redeem(
        self, till: Till, asked: RedemptionRequest, *, now_s: float, until_s: float
    ) -> Outcome:
        """Redeem or hold a voucher, once, however often the request arrives.

        A `Redemption` is durable: it was committed, with its journals, before this returns. `now_s`
        is real time; by `until_s` (loop time) there is an answer, if only "ask again".
        """
        shown = self._read(till, asked, now_s=now_s)
        why_not = shown.why if isinstance(shown, Nothing) else None
        named = shown.as_shown(till.city_id) if isinstance(shown, Nothing) else shown
        outcome = await self._lane(till.city_id).submit(_attempt(till, asked, named, until_s))
        if isinstance(outcome, Redemption):
            return await self._confirming.confirm(till, outcome)
        if outcome.refusal is Refusal.BAD_CODE:
            return replace(outcome, detail=why_not)
        return outcome

    def _read(self, till: Till, asked: RedemptionRequest, *, now_s: float) -> Shown | Nothing:
        if asked.quote_id is None:
            return read_code(self._codes, asked.code or "", now_s=now_s)
        return read_quote(
            self._quotes,
            asked.quote_id,
            till=till,
            order=(asked.order_amount_fen, asked.category),
            now_s=now_s,
        )

    def _lane(self, city_id: int) -> Lane:
        lane = self._lanes.get(city_id)
        if lane is None:  # of a city that has a terminal, so there are few
            lane = self._lanes[city_id] = Lane(city_id, ledger=self._ledger, owner=self._owner)
        return lane


def _attempt(till: Till, asked: RedemptionRequest, shown: Shown, until_s: float) -> Attempt:
    return Attempt(
        till=till,
        redemption_id=new_id(till.city_id),
        request_no=asked.request_no,
        # Whatever code it shows: a till that asks again scans again.
        body_hash=body_hash(
            "redeem", asked.order_no, asked.order_amount_fen, asked.category, asked.capture
        ),
        claim_id=shown.claim_id,
        position=shown.position,
        code_step=shown.code_step,
        order_no=asked.order_no,
        order_amount_fen=asked.order_amount_fen,
        category=asked.category,
        capture=asked.capture,
        deadline_s=until_s,
        decided=asyncio.get_running_loop().create_future(),
    )
