"""The crowd of a timed drop, for Locust: everybody waits for T-0, then everybody claims.

A resident trades the JWT for a pass beforehand, claims at T-0, asks again as often and as late as
told, and a winner asks once more to be given the same claim. Run by `python -m loadtests`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from locust import FastHttpUser, events, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.exception import StopUser
from locust.runners import Runner

from loadtests.drop.record import Plan, Record
from loadtests.handing_over import PLAN_VARIABLE, RECORD_VARIABLE, dump, load
from shared.clock import Clock

_ATTEMPTS_MAX = 60
_RETRY_DEFAULT_MS = 500
_TIMEOUT_S = 20.0
# Every so many residents are too early, and come back when they are told to.
_EARLY_ONE_IN = 20
_EARLY_BY_MS = 700
_US_PER_MS = 1000
_RETRYABLE = frozenset({"not_open", "busy", "overloaded"})
_FINAL = frozenset({"sold_out"})

_clock = Clock()
_opened = Event()
_record = Record()


class Crowd:
    """What every resident shares: the plan, the tokens that are left, and who has finished."""

    plan: Plan
    tokens: list[str]
    runner: Runner


def _prepare(environment: Any, **_: object) -> None:  # noqa: ANN401 - Locust's own
    Crowd.plan = load(Plan, Path(os.environ[PLAN_VARIABLE]))
    Crowd.tokens = Path(Crowd.plan.tokens_path).read_text().split()
    Crowd.runner = environment.runner
    gevent.spawn(_open)


def _open() -> None:
    gevent.sleep(max(0.0, -_after_opening_ms() / 1000))
    _record.waiting_at_opening = _record.waiting
    _opened.set()


def _keep(**_: object) -> None:
    dump(_record, Path(os.environ[RECORD_VARIABLE]))


def _after_opening_ms() -> float:
    return (_clock.now_us() - Crowd.plan.opens_at_us) / _US_PER_MS


class Resident(FastHttpUser):
    """One holder with one phone."""

    connection_timeout = network_timeout = _TIMEOUT_S
    max_retries = 0

    def on_start(self) -> None:
        _record.started += 1
        self.is_early = _record.started % _EARLY_ONE_IN == 0
        self.bearer = Crowd.tokens.pop()
        with self._post("passes", body={}) as answer:
            if answer.status_code == 201:  # noqa: PLR2004 - created
                answer.success()
                self.bearer = json.loads(answer.text)["pass"]
            else:
                answer.failure(f"{answer.status_code}: {answer.text}")

    @task
    def visit(self) -> None:
        """Claim until the answer is final, then leave."""
        _record.waiting += 1
        if self.is_early:
            gevent.sleep(max(0.0, (-_after_opening_ms() - _EARLY_BY_MS) / 1000))
        else:
            _opened.wait()
        won = self._claim_until_final()
        _record.final_answer_ms.append(_after_opening_ms())
        if won is not None:
            self._claim_again(won)
        _record.finished += 1
        if _record.finished == Crowd.plan.residents:
            gevent.spawn_later(0, Crowd.runner.quit)
        raise StopUser

    def _claim_until_final(self) -> str | None:
        """Return the body of the claim that was won, or None."""
        for _ in range(_ATTEMPTS_MAX):
            status, body, problem = self._claim(expected_status=201)
            if status == 201:  # noqa: PLR2004 - won
                told = json.loads(body)
                _record.acknowledged.append((told["claim_id"], told["serial"]))
                return body
            if problem.get("code") not in _RETRYABLE:
                return None
            gevent.sleep(problem.get("retry_after_ms", _RETRY_DEFAULT_MS) / 1000)
        _record.undecided += 1
        return None

    def _claim_again(self, won: str) -> None:
        for _ in range(_ATTEMPTS_MAX):
            status, body, problem = self._claim(expected_status=200)
            if problem.get("code") in _RETRYABLE:
                gevent.sleep(problem.get("retry_after_ms", _RETRY_DEFAULT_MS) / 1000)
                continue
            if status == 200 and body != won:  # noqa: PLR2004 - the claim given before
                _record.changed_claims += 1
            return

    def _claim(self, *, expected_status: int) -> tuple[int, str, Mapping[str, Any]]:
        """Ask once. Whatever is not expected is a failure to Locust and fails the whole run."""
        with self._post("claims") as answer:
            status, body = answer.status_code, answer.text or ""
            problem = {} if status in (200, 201) else _problem(body)
            code = problem.get("code", status)
            answer.request_meta["name"] = f"claim {code}"
            _record.answers[str(code)] += 1
            if status == expected_status or code in _RETRYABLE or code in _FINAL:
                answer.success()
            else:
                answer.failure(f"{status}: {body}")
        return status, body, problem

    def _post(self, what: str, body: dict[str, Any] | None = None) -> ResponseContextManager:
        return self.client.post(
            f"/v1/drops/{Crowd.plan.drop_id}/{what}",
            name=what,
            headers={"Authorization": f"Bearer {self.bearer}"},
            catch_response=True,
            json=body,
        )


def _problem(body: str) -> dict[str, Any]:
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


events.test_start.add_listener(_prepare)  # type: ignore[no-untyped-call]
events.test_stop.add_listener(_keep)  # type: ignore[no-untyped-call]
