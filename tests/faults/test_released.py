"""Packs that are given back: to the drop, or withdrawn with their money."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.operating import release
from tests.harness.city import City, Drop
from tests.harness.crowd import Crowd, Rush, assert_everything_holds, residents
from tests.harness.history import Call
from tests.harness.stack import Stack

_QUOTA = 40
_RELEASED = 5
_SELLS_WITHIN = timedelta(seconds=2)


async def _sold_out(crowd: Crowd, drop: Drop) -> Rush:
    """Sell a drop out to residents of whom some are refused; both processes know it then."""
    async with crowd.rush(drop, residents(3 * _QUOTA), connections=3) as rush:
        await rush.ended()
    assert len(rush.history.winners) == _QUOTA
    assert rush.history.told()["sold_out"] >= 3 * 2 * _QUOTA
    return rush


async def _until_won(rush: Rush, holders: list[str], since: datetime) -> list[Call]:
    """Have the holders ask, again and again though told "sold out", until each has a pack."""
    won = []
    rush.holders = [*rush.holders, *holders]
    for holder in holders:
        while True:
            call, _ = await rush.crowd.claim(rush.drop, holder, "", rush.history)
            if call.won:
                won.append(call)
                break
            assert call.code in {"sold_out", "busy"}, call
            assert datetime.now(UTC) - since < _SELLS_WITHIN, f"{len(won)} won, then {call}"
    return won


@pytest.mark.parametrize("reclaim", [False, True])
async def test_a_reopened_pack_sells_again(
    stack: Stack, city: City, crowd: Crowd, *, reclaim: bool
) -> None:
    drop = await city.open_drop(quota=_QUOTA, reclaim=reclaim)
    rush = await _sold_out(crowd, drop)
    given_back = list(rush.history.winners.values())[:_RELEASED]
    for win in given_back:
        assert await release(stack, drop, win.claim_id or "", reopen=True) == "released"
        assert await release(stack, drop, win.claim_id or "", reopen=True) == "released_before"
    released_at = datetime.now(UTC)

    late = residents(_RELEASED - 1, "late")
    won = await _until_won(rush, late, since=released_at)
    assert sorted(call.serial or 0 for call in won) == [_QUOTA + n for n in range(1, _RELEASED)]

    # The one pack that is left: its last holder gets it only where the drop lets them try again.
    holder = given_back[0].holder
    again = await _final_beside_the_released(rush, given_back[0])
    if reclaim:
        assert (again.status, again.serial) == (201, _QUOTA + _RELEASED)
        assert again.claim_id != given_back[0].claim_id
    else:
        assert again.code == "limit_reached"
        [last] = await _until_won(rush, residents(1, "last"), since=datetime.now(UTC))
        assert last.serial == _QUOTA + _RELEASED
    assert await _states_of(crowd, holder, given_back[0]) == {"released"}
    ledger = await assert_everything_holds(rush)
    assert (ledger.live, ledger.issued) == (_QUOTA, _QUOTA + _RELEASED)


async def test_a_withdrawn_pack_is_gone(stack: Stack, city: City, crowd: Crowd) -> None:
    """Its money goes back to the funders and the quota shrinks: nobody else gets it."""
    drop = await city.open_drop(quota=_QUOTA, reclaim=True)
    rush = await _sold_out(crowd, drop)
    given_back = list(rush.history.winners.values())[:_RELEASED]
    for win in given_back:
        assert await release(stack, drop, win.claim_id or "", reopen=False) == "released"
    async with crowd.rush(drop, residents(100, "late"), connections=2) as late:
        await late.ended()
    assert late.history.told()["sold_out"] == 200
    assert (await _final_beside_the_released(rush, given_back[0])).code == "sold_out"
    rush.history.calls += late.history.calls
    rush.holders = [*rush.holders, *late.holders]
    ledger = await assert_everything_holds(rush)
    assert (ledger.live, ledger.quota) == (_QUOTA - _RELEASED, _QUOTA - _RELEASED)
    assert ledger.issued == _QUOTA


async def test_packs_are_given_back_under_load(stack: Stack, city: City, crowd: Crowd) -> None:
    """Released while others claim: what comes back is sold, and no serial is used again."""
    drop = await city.open_drop(quota=400)
    async with crowd.rush(drop, residents(800), connections=2, arrive_within_s=1) as rush:
        given_back: list[Call] = []
        for wins in range(50, 350, 50):
            await rush.until(wins=wins)
            won = [win for win in rush.history.winners.values() if win not in given_back]
            for win in won[:5]:
                assert await release(stack, drop, win.claim_id or "", reopen=True) == "released"
                given_back.append(win)
        await rush.ended()
    # Packs that came back after the rest were sold wait for whoever comes a second later.
    late = residents(150, "late")
    async with crowd.rush(drop, late, arrive_within_s=2.5) as second:
        await second.ended()
    rush.history.calls += second.history.calls
    rush.holders = [*rush.holders, *late]
    ledger = await assert_everything_holds(rush)
    assert (ledger.live, ledger.issued) == (400, 400 + len(given_back))


async def _final_beside_the_released(rush: Rush, released: Call) -> Call:
    """Ask as the last holder until the answer is neither "busy" nor the released claim."""
    deadline = datetime.now(UTC) + _SELLS_WITHIN
    while datetime.now(UTC) < deadline:
        call, _ = await rush.crowd.claim(rush.drop, released.holder, released.key, rush.history)
        if call.final and call.claim_id != released.claim_id:
            return call
    pytest.fail(f"still {call}")


async def _states_of(crowd: Crowd, holder: str, win: Call) -> set[str]:
    status, shown = await crowd.read_claim(holder, win.claim_id or "")
    assert status == 200, shown
    return {voucher["state"] for voucher in shown["vouchers"]}
