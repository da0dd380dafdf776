"""A day at the tills: codes shown, signed requests, lost answers, and every answer noted."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from services.demo.shopping import Errand, Fate
from services.demo.till import UNCERTAIN, Redeemed, Till, TillLine, TillLog
from services.demo.wire import NoAnswerError, Reply, Wire

_TRIES_MAX = 12
_RETRY_S = 0.3
_LATER_S = 0.5
_OPERATOR_POLLS_MAX = 90
_CERTAIN = frozenset({"captured", "failed", "released", "reversed"})


@dataclass(slots=True)
class _Customer:
    """Somebody at a till with a voucher; `code` is what the phone shows, once it was asked."""

    errand: Errand
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Market:
    """One programme's customers and tills.

    `tokens` are the residents', `tills` stand by category; `at_once` are served together, and
    `prefix` begins every request number.
    """

    tokens: Sequence[str]
    tills: Mapping[str, Sequence[Till]]
    at_once: int
    prefix: str


class Cashiers:
    """Serve errands; what is answered goes into the log."""

    def __init__(self, phones: Wire, line: TillLine, market: Market, log: TillLog) -> None:
        self._phones = phones
        self._line = line
        self._market = market
        self._log = log
        self._requests = 0
        self.served = 0

    async def serve(self, errands: Sequence[Errand]) -> None:
        """Serve a day's errands, a bounded number at once.

        They come in queues: while one is served, the next one's phones show their codes.
        """
        at_once = self._market.at_once
        queue = await self._line_up(errands[:at_once])
        for start in range(at_once, len(errands) + at_once, at_once):
            following, _ = await asyncio.gather(
                self._line_up(errands[start : start + at_once]),
                asyncio.gather(*(self._serve(customer) for customer in queue)),
            )
            queue = following

    async def _line_up(self, errands: Sequence[Errand]) -> list[_Customer]:
        customers = [_Customer(errand) for errand in errands]
        await asyncio.gather(*(self._code(customer) for customer in customers))
        return customers

    async def _serve(self, customer: _Customer) -> None:
        errand = customer.errand
        tills = self._market.tills[errand.voucher.category]
        till = tills[errand.till]
        match errand.fate:
            case Fate.QUOTED_FIRST:
                await self._quote_and_redeem(customer, till)
            case Fate.HELD_FIRST:
                await self._hold_and_finish(customer, till, "capture")
            case Fate.RELEASED:
                await self._hold_and_finish(customer, till, "release")
            case Fate.SENT_AGAIN:
                await self._lose_and_ask_again(customer, till)
            case Fate.REVERSED:
                await self._lose_and_reverse(customer, till)
            case Fate.NEVER_CAME:
                await self._reverse_before_it_came(customer, till)
            case Fate.TRIED_TWICE:
                if await self._redeem(customer, till):
                    await self._try_again_elsewhere(customer, till, tills[errand.second_till])
            case Fate.REDEEMED:
                await self._redeem(customer, till)
        self.served += 1

    async def _redeem(self, customer: _Customer, till: Till) -> bool:
        """Redeem in one step; return whether it was made."""
        request_no = self._number()
        reply = await self._ask(customer, till, request_no, capture=True)
        return await self._note(customer, till, request_no, reply)

    async def _quote_and_redeem(self, customer: _Customer, till: Till) -> None:
        """Ask what the voucher takes off, and redeem by the quote instead of the code."""
        request_no, errand = self._number(), customer.errand
        code = await self._code(customer)
        if code is None:
            self._log.undecided.append(request_no)
            return
        asked = {"order_amount_fen": errand.order_fen, "category": errand.voucher.category}
        quote = await self._send(till, "/v1/quotes", {"code": code, **asked})
        if quote is None or not quote.is_good:
            self._breach("a quote was refused", customer, quote)
            return
        if (quote.body["applicable"], quote.body["discount_fen"]) != (
            True,
            errand.voucher.face_fen,
        ):
            self._breach("a quote of something else", customer, quote)
        body = _redemption(errand, request_no, {"quote_id": quote.body["quote_id"]}, capture=True)
        reply = await self._send(till, "/v1/redemptions", body)
        if await self._note(customer, till, request_no, reply):
            self._log.told["redeemed by a quote"] += 1

    async def _hold_and_finish(self, customer: _Customer, till: Till, operation: str) -> None:
        held_no, finish_no = self._number(), self._number()
        held = await self._ask(customer, till, held_no, capture=False)
        if held is None:
            self._log.undecided.append(held_no)
            return
        if not self._expect(held, {"held"}, customer, "hold"):
            return
        path = f"/v1/redemptions/{held.body['redemption_id']}/{operation}"
        reply = await self._send(till, path, {"request_no": finish_no})
        if operation == "capture":
            await self._note(customer, till, finish_no, reply)
        elif reply is None:
            self._log.undecided.append(finish_no)
        elif self._expect(reply, {"released"}, customer, "release"):
            self._undone(customer, "released")

    async def _lose_and_ask_again(self, customer: _Customer, till: Till) -> None:
        """Send a request whose answer is lost, then the same again, with the code of then."""
        request_no = self._number()
        await self._lose(customer, till, request_no)
        first = await self._ask(customer, till, request_no, capture=True)
        second = await self._ask(customer, till, request_no, capture=True)
        if first and second and first.is_good and second.is_good:
            self._log.told["told the same again"] += 1
            if first.body["redemption_id"] != second.body["redemption_id"]:
                self._breach("another answer to the same request", customer, second)
        await self._note(customer, till, request_no, first)

    async def _lose_and_reverse(self, customer: _Customer, till: Till) -> None:
        original_no = self._number()
        await self._lose(customer, till, original_no)
        outcome = await self._reverse(customer, till, original_no)
        if outcome is not None:
            self._undone(customer, outcome)
            await self._send_late(customer, till, original_no)

    async def _reverse_before_it_came(self, customer: _Customer, till: Till) -> None:
        original_no = self._number()
        outcome = await self._reverse(customer, till, original_no)
        if outcome == "reversed":
            self._breach("what never came was reversed", customer, None)
        if outcome is not None:
            self._undone(customer, outcome)
            await self._send_late(customer, till, original_no)

    async def _reverse(self, customer: _Customer, till: Till, original_no: str) -> str | None:
        """Reverse a request until the outcome is final, and return it."""
        body = {"request_no": self._number(), "original_request_no": original_no}
        for _ in range(_OPERATOR_POLLS_MAX):
            reply = await self._send(till, "/v1/reversals", body)
            if reply is None:
                break
            if not reply.is_good:
                self._breach("a reversal was refused", customer, reply)
                return None
            if reply.body["outcome"] != "pending":
                return str(reply.body["outcome"])
            await asyncio.sleep(_LATER_S)
        self._log.undecided.append(original_no)
        return None

    async def _send_late(self, customer: _Customer, till: Till, original_no: str) -> None:
        """The original arrives after its reversal: it must be refused."""
        reply = await self._ask(customer, till, original_no, capture=True)
        if reply is not None and reply.code == "reversed":
            self._log.told["late original refused"] += 1
        else:
            self._breach("a late original was not refused", customer, reply)

    async def _try_again_elsewhere(self, customer: _Customer, first: Till, second: Till) -> None:
        reply = await self._ask(customer, second, self._number(), capture=True)
        by = "this_terminal" if second is first else "other_terminal"
        if reply is not None and reply.code == "already_redeemed" and reply.body.get("by") == by:
            self._log.told["second till refused"] += 1
        else:
            self._breach("a second till was not told that it was redeemed", customer, reply)

    async def _note(
        self, customer: _Customer, till: Till, request_no: str, reply: Reply | None
    ) -> bool:
        """Note a redemption that is made, once the wallet's operator is certain, too."""
        if reply is not None and reply.is_good and reply.body["state"] == "pending":
            self._log.told[UNCERTAIN] += 1
            reply = await self._certain(till, request_no)
        if reply is None:
            self._log.undecided.append(request_no)
            return False
        if not self._expect(reply, {"captured"}, customer, "redeem"):
            return False
        told, errand = reply.body, customer.errand
        voucher = errand.voucher
        if (
            told["voucher_id"] != voucher.voucher_id
            or told["discount_fen"] != voucher.face_fen
            or told["payable_by_customer_fen"] != errand.order_fen - voucher.face_fen
        ):
            self._breach("a redemption of something else", customer, reply)
        self._log.redeemed.append(
            Redeemed(
                told["settlement_id"],
                till.terminal_id,
                told["voucher_id"],
                told["discount_fen"],
                errand.order_fen,
            )
        )
        self._log.least_fen += max(voucher.min_spend_fen, voucher.face_fen)
        return True

    async def _certain(self, till: Till, request_no: str) -> Reply | None:
        """Read back until the operator has confirmed or refused."""
        for _ in range(_OPERATOR_POLLS_MAX):
            await asyncio.sleep(_LATER_S)
            try:
                reply = await self._line.read_back(till, request_no)
            except NoAnswerError:
                continue
            if reply.is_good and reply.body["state"] in _CERTAIN:
                return reply
        return None

    async def _lose(self, customer: _Customer, till: Till, request_no: str) -> None:
        code = await self._code(customer)
        if code is not None:
            body = _redemption(customer.errand, request_no, {"code": code}, capture=True)
            try:
                await self._line.post_and_hang_up(till, "/v1/redemptions", body)
            except NoAnswerError:
                return
            self._log.told["answer lost"] += 1

    async def _ask(
        self, customer: _Customer, till: Till, request_no: str, *, capture: bool
    ) -> Reply | None:
        """Ask for a redemption under one number until there is an answer that stands."""
        for tried in range(_TRIES_MAX):
            await asyncio.sleep(tried * _RETRY_S)
            code = await self._code(customer)
            if code is None:
                return None
            body = _redemption(customer.errand, request_no, {"code": code}, capture=capture)
            reply = await self._post(till, "/v1/redemptions", body)
            if reply is not None and reply.code == "bad_code":
                # It was shown too long ago; the next one may be good.
                customer.code = None
            elif reply is not None:
                return reply
        return None

    async def _send(self, till: Till, path: str, body: dict[str, Any]) -> Reply | None:
        for tried in range(_TRIES_MAX):
            await asyncio.sleep(tried * _RETRY_S)
            reply = await self._post(till, path, body)
            if reply is not None:
                return reply
        return None

    async def _post(self, till: Till, path: str, body: dict[str, Any]) -> Reply | None:
        """Return an answer, None when there was none or the service asks to come again."""
        sent_s = time.perf_counter()
        try:
            reply = await self._line.post(till, path, body)
        except NoAnswerError:
            self._log.told["no answer"] += 1
            return None
        self._log.on_the_wire_ms.append((time.perf_counter() - sent_s) * 1000)
        if reply.status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
            self._log.told["asked to come again"] += 1
            return None
        return reply

    async def _code(self, customer: _Customer) -> str | None:
        """Return what the customer's phone shows; it is asked once while that is good."""
        if customer.code is not None:
            return customer.code
        path = f"/v1/vouchers/{customer.errand.voucher.voucher_id}/code"
        headers = {"authorization": f"Bearer {self._market.tokens[customer.errand.holder]}"}
        for tried in range(_TRIES_MAX):
            await asyncio.sleep(tried * _RETRY_S)
            try:
                reply = await self._phones.ask("GET", path, headers)
            except NoAnswerError:
                continue
            if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                if reply.is_good:
                    customer.code = str(reply.body["code"])
                    return customer.code
                self._breach("a holder got no code", customer, reply)
                return None
        return None

    def _undone(self, customer: _Customer, outcome: str) -> None:
        self._log.undone[customer.errand.voucher.voucher_id] = outcome
        self._log.told[outcome] += 1

    def _expect(self, reply: Reply, states: set[str], customer: _Customer, what: str) -> bool:
        if reply.is_good and reply.body["state"] in states:
            return True
        self._breach(f"{what} was refused", customer, reply)
        return False

    def _breach(self, what: str, customer: _Customer, reply: Reply | None) -> None:
        told = None if reply is None else f"{reply.status} {reply.code}"
        self._log.broken.append(
            {"what": what, "voucher_id": customer.errand.voucher.voucher_id, "told": told}
        )

    def _number(self) -> str:
        self._requests += 1
        return f"{self._market.prefix}{self._requests}"


def _redemption(
    errand: Errand, request_no: str, shown: Mapping[str, str], *, capture: bool
) -> dict[str, Any]:
    """Return a request for a redemption by the code, or quote, that was shown."""
    return {
        **shown,
        "request_no": request_no,
        "order_no": f"order-{request_no}",
        "order_amount_fen": errand.order_fen,
        "category": errand.voucher.category,
        "capture": capture,
    }
