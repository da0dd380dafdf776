"""How residents behave at a drop: humans, those whose answer got lost, bots, and page watchers."""

import asyncio
import random
from collections.abc import Callable, Sequence

from services.demo.claim_log import WON, ClaimLog
from services.demo.client import Answer, ClaimClient
from services.demo.crowd import CrowdModel, Visit

TRIES_MAX = 500
_SPAWNED_BETWEEN_YIELDS = 32
_SHORTEST_SLEEP_S = 0.002


class Crowd:
    """Plays drawn visits against a drop."""

    def __init__(self, model: CrowdModel, client: ClaimClient, log: ClaimLog) -> None:
        self._model = model
        self._client = client
        self._log = log
        self._dice = random.Random(model.seed + 1)

    async def play(self, visits: Sequence[Visit], *, patience_s: float) -> None:
        """Let every visit run to its final answer, or for `patience_s` at most.

        Whoever has no final answer by then is left in the log's `undecided`.
        """
        unanswered = {visit.holder for visit in visits}
        try:
            async with asyncio.timeout(patience_s), asyncio.TaskGroup() as group:
                for visit in visits:
                    if visit.polls:
                        group.create_task(self._watch_page())
                for number, visit in enumerate(visits):
                    wait_s = visit.taps_s - self._client.now_s()
                    if wait_s > _SHORTEST_SLEEP_S:
                        await asyncio.sleep(wait_s)
                    elif number % _SPAWNED_BETWEEN_YIELDS == 0:
                        await asyncio.sleep(0)
                    group.create_task(self._visit(visit, unanswered))
        except TimeoutError:
            self._log.undecided.extend(sorted(unanswered))

    async def _visit(self, visit: Visit, unanswered: set[int]) -> None:
        if visit.is_bot:
            ask = self._until_final(visit.holder, self._bot_pause_s)
            others = [
                self._until_final(visit.holder, self._bot_pause_s)
                for _ in range(self._model.bot_connections - 1)
            ]
            answers = await asyncio.gather(ask, *others)
        else:
            answers = [await self._until_final(visit.holder, self._human_pause_s)]
            if visit.loses_answer and answers[0] is not None and answers[0].code == WON:
                await asyncio.sleep(self._between_tries_s())
                answers.append(await self._until_final(visit.holder, self._human_pause_s))
        if None not in answers:
            unanswered.discard(visit.holder)

    async def _until_final(self, holder: int, pause_s: Callable[[Answer], float]) -> Answer | None:
        for tried in range(TRIES_MAX):
            self._log.retries += tried > 0
            answer = await self._client.claim(holder)
            if answer.is_final:
                return answer
            await asyncio.sleep(pause_s(answer))
        return None

    def _between_tries_s(self) -> float:
        return self._dice.uniform(self._model.retry_min_s, self._model.retry_max_s)

    def _human_pause_s(self, answer: Answer) -> float:
        return self._between_tries_s() if answer.retry_after_s is None else answer.retry_after_s

    def _bot_pause_s(self, _answer: Answer) -> float:
        """A bot ignores what it is told; its connections share its rate."""
        return self._between_tries_s() / self._model.bot_rate_factor * self._model.bot_connections

    async def _watch_page(self) -> None:
        interval_s = self._model.poll_interval_s
        await asyncio.sleep(self._dice.random() * interval_s)
        while self._client.now_s() < 0:
            await self._client.look()
            await asyncio.sleep(interval_s)
