"""kill -9 while tills redeem: what a till was told is so, and nothing is redeemed twice."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import pytest

from shared.terminal_keys import TerminalKeys
from shared.voucher_codes import VoucherCodes
from tests import builders, tills
from tests.builders import DropTerms
from tests.harness.books import assert_books_are_sound
from tests.harness.stack import Stack
from tests.kills.striking import Strike, kill, kill_postgres, replaced
from tests.tills_http import TillCaller, order, real_time_s

CLAIMS, TILLS = 240, 8
STRIKE_AFTER = 60
ASKED_AGAIN_MAX = 400
PAUSE_S = 0.05


@dataclass(slots=True)
class Shopping:
    """A crowd at the tills, and how far it is."""

    made: dict[str, str] = field(default_factory=dict)
    unheard: int = 0
    busy: int = 0

    async def until(self, made: int) -> None:
        for _ in range(int(30 / 0.005)):
            if len(self.made) >= made:
                return
            await asyncio.sleep(0.005)
        pytest.fail(f"only {len(self.made)} of {made} were redeemed")

    async def redeem(self, till: TillCaller, code: Callable[[], str]) -> None:
        """Ask until there is an answer, with the code that is shown by then."""
        body = order(code())
        for _ in range(ASKED_AGAIN_MAX):
            try:
                answer = await till.redeem({**body, "code": code()})
            except (aiohttp.ClientError, OSError):
                self.unheard += 1
            else:
                if answer.status == 201:
                    self.made[body["request_no"]] = answer.body["redemption_id"]
                    return
                assert answer.status == 503, answer.body
                self.busy += 1
            await asyncio.sleep(PAUSE_S)
        pytest.fail("it was never redeemed")


async def shop(stack: Stack, strike: Callable[[], Strike]) -> tuple[Shopping, Strike]:
    """Redeem one voucher of each claim, and strike in the middle of it."""
    programme = await builders.make_programme(stack.owner)
    drop_id = await builders.make_drop(stack.owner, programme, DropTerms(quota=CLAIMS))
    await builders.publish(stack.owner, drop_id)
    claims = (await builders.issue(stack.owner, drop_id, CLAIMS)).won
    codes, keys = VoucherCodes(stack.secrets), TerminalKeys(stack.secrets)
    enrolled = [await tills.enrol_till(stack.owner, programme.programme_id) for _ in range(TILLS)]
    shopping = Shopping()
    async with aiohttp.ClientSession(stack.urls["redeem"]) as http:
        callers = [TillCaller(http, till, keys.secret(till.key_id)) for till in enrolled]

        async def queue(caller: TillCaller, number: int) -> None:
            for claim_id in claims[number::TILLS]:
                await shopping.redeem(
                    caller,
                    lambda claim_id=claim_id: codes.issue(claim_id, 0, now_s=real_time_s()).code,  # type: ignore[misc]
                )

        async with asyncio.TaskGroup() as crowd:
            for number, caller in enumerate(callers):
                crowd.create_task(queue(caller, number))
            await shopping.until(STRIKE_AFTER)
            struck = strike()
            assert len(shopping.made) < CLAIMS, "everything was redeemed before"
    return shopping, struck


async def assert_redeemed_once(stack: Stack, shopping: Shopping) -> None:
    owner = await stack.connect_owner()
    try:
        made = await owner.fetch(
            "SELECT request_no, redemption_id::text FROM redeem.redemptions"
            " WHERE request_no = ANY ($1) AND state = 'captured'",
            list(shopping.made),
        )
    finally:
        await owner.close()
    assert len(made) == len(shopping.made) == CLAIMS
    assert {row["request_no"]: row["redemption_id"] for row in made} == shopping.made
    await assert_books_are_sound(stack)


async def test_the_redeem_process_killed(stack: Stack) -> None:
    shopping, strike = await shop(stack, lambda: kill(stack, *stack.pids("redeem")))
    assert shopping.unheard > 0, "no connection was cut"
    await replaced(stack, "redeem", strike.pids[0])
    await assert_redeemed_once(stack, shopping)


async def test_postgres_killed_under_tills(stack: Stack) -> None:
    shopping, strike = await shop(stack, lambda: kill_postgres(stack))
    assert "call sent again" in strike.log_since(stack)
    await replaced(stack, "postgres", strike.pids[0])
    await assert_redeemed_once(stack, shopping)
