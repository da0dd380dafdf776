"""The crowd at the tills, for Locust: customers come when they come, and each till serves in turn.

Every till signs its requests. Whatever answer a scene does not expect is a failure and fails the
run. Run by `python -m loadtests`.
"""

import base64
import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import gevent
from locust import FastHttpUser, events, task
from locust.exception import StopUser
from locust.runners import Runner

from loadtests.handing_over import PLAN_VARIABLE, RECORD_VARIABLE, dump, load
from loadtests.tills.record import Plan, Record
from loadtests.tills.scenes import SCENES, Request, Told
from shared.clock import Clock
from shared.request_signing import Message, sign
from shared.secrets import Secrets
from shared.voucher_codes import VoucherCodes

_ATTEMPTS_MAX = 60
_RETRY_DEFAULT_MS = 300
_TIMEOUT_S = 20.0
_US_PER_S = 1_000_000
_REQUESTS_AT_ONCE_MAX = 4
_RETRYABLE = frozenset({"busy", "overloaded", "unavailable"})
_STANDING = frozenset({"captured", "held", "released", "reversed"})

_clock = Clock()
_record = Record()
_numbers = itertools.count()


class _UndecidedError(Exception):
    """A request was told "ask again" to the end."""


class _UnexpectedError(Exception):
    """An answer that the scene cannot go on from; Locust has counted it as a failure."""


class Market:
    """What every till shares: the plan, how codes are made, and how many customers are left."""

    plan: Plan
    codes: VoucherCodes
    runner: Runner
    left: int


def _prepare(environment: Any, **_: object) -> None:  # noqa: ANN401 - Locust's own
    Market.plan = load(Plan, Path(os.environ[PLAN_VARIABLE]))
    Market.codes = VoucherCodes(Secrets.load(Path(Market.plan.data_dir)))
    Market.runner = environment.runner
    Market.left = len(Market.plan.customers)


def _keep(**_: object) -> None:
    dump(_record, Path(os.environ[RECORD_VARIABLE]))


class Cashier(FastHttpUser):
    """One till: its own customers, one after another."""

    connection_timeout = network_timeout = _TIMEOUT_S
    concurrency = _REQUESTS_AT_ONCE_MAX
    max_retries = 0

    def on_start(self) -> None:
        self.place = next(_numbers)
        terminals = Market.plan.terminals
        own, neighbour = (terminals[(self.place + n) % len(terminals)] for n in (0, 1))
        self.keys = {False: own, True: neighbour}

    @task
    def work(self) -> None:
        """Serve the customers of this till, then close it."""
        plan = Market.plan
        for n in range(self.place, len(plan.customers), len(plan.terminals)):
            self._await_customer(plan.starts_at_us + int(n * _US_PER_S / plan.customers_per_s))
            claim_id, position, scene = plan.customers[n]
            self.voucher = UUID(claim_id), position
            self.numbers = (f"c{n}-{k}" for k in itertools.count(1))
            self._play(scene)
            Market.left -= 1
        if Market.left == 0:
            gevent.spawn_later(0, Market.runner.quit)
        raise StopUser

    def _play(self, scene: str) -> None:
        """Play a scene; one that goes wrong must not stop the till."""
        try:
            SCENES[scene](self)
        except _UndecidedError:
            _record.undecided += 1
        except _UnexpectedError:
            return
        except KeyError as missing:
            self.contradict(f"an answer in {scene} has no {missing}")
        else:
            _record.served += 1

    def number(self) -> str:
        return next(self.numbers)

    def ask(self, request: Request, *expected: str) -> Told:
        """Send until it is settled."""
        for _ in range(_ATTEMPTS_MAX):
            told = self._send(request, expected)
            if told.word in expected:
                self._note(told)
                return told
            if told.word not in _RETRYABLE:
                raise _UnexpectedError
            gevent.sleep(told.body.get("retry_after_ms", _RETRY_DEFAULT_MS) / 1000)
        raise _UndecidedError

    def ask_at_once(self, requests: Sequence[Request], *expected: str) -> list[Told]:
        """Send several at the same moment."""
        asking = [gevent.spawn(self.ask, request, *expected) for request in requests]
        gevent.joinall(asking, raise_error=True)
        return [one.value for one in asking]

    def contradict(self, what: str) -> None:
        _record.contradictions.append(what)

    def _await_customer(self, comes_at_us: int) -> None:
        early_s = (comes_at_us - _clock.now_us()) / _US_PER_S
        if early_s > 0:
            gevent.sleep(early_s)
            _record.late_ms.append((_clock.now_us() - comes_at_us) / 1000)
        self.came_at_us: int | None = comes_at_us

    def _note(self, told: Told) -> None:
        if self.came_at_us is not None:
            _record.answered_ms.append((_clock.now_us() - self.came_at_us) / 1000)
            self.came_at_us = None
        redemption_id = told.body.get("redemption_id")
        if redemption_id is not None and told.word in _STANDING:
            _record.redemptions[redemption_id] = told.word

    def _send(self, request: Request, expected: Sequence[str]) -> Told:
        """Ask once. Whatever is not expected is a failure to Locust and fails the whole run."""
        body = dict(request.body)
        now_s = time.time_ns() / 1e9
        if request.shows_code:
            body["code"] = Market.codes.issue(*self.voucher, now_s=now_s).code
        data = json.dumps(body)
        key_id, secret = self.keys[request.by_neighbour]
        message = Message("POST", request.path.encode(), body=data.encode())
        signed = sign(message, key_id=key_id, secret=_bytes_of(secret), now_s=now_s)
        kind = request.path.rsplit("/", 1)[-1]
        with self.client.post(
            request.path,
            name=kind,
            data=data,
            headers={**signed, "Content-Type": "application/json"},
            catch_response=True,
        ) as answer:
            told = _told(answer.status_code, answer.text, answer.headers)
            answer.request_meta["name"] = f"{kind} {told.word}"
            _record.answers[f"{kind} {told.word}"] += 1
            if told.word in expected or told.word in _RETRYABLE:
                answer.success()
            else:
                answer.failure(f"{answer.status_code} where {expected} was due: {answer.text}")
        return told


def _bytes_of(secret: str) -> bytes:
    return base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))


def _told(status: int, text: str | None, headers: Mapping[str, str] | None) -> Told:
    try:
        body = json.loads(text or "")
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    is_granted = status in (200, 201)
    word = body.get("state") or body.get("outcome") if is_granted else body.get("code")
    replayed = (headers or {}).get("Idempotent-Replayed") == "true"
    return Told(str(word or status), body, replayed)


events.test_start.add_listener(_prepare)  # type: ignore[no-untyped-call]
events.test_stop.add_listener(_keep)  # type: ignore[no-untyped-call]
