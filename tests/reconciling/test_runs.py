"""What a run makes of days that are late, early, or missing."""

from datetime import time

from tests import builders
from tests.builders import DropTerms
from tests.reconciling import histories, movements
from tests.reconciling.bureau import Bureau
from tests.reconciling.telling import at_the_bank, confirm, open_payouts


async def test_paid_before_midnight_and_booked_after(desk: Bureau) -> None:
    history, teller = await at_the_bank(desk)
    payouts = await open_payouts(desk, history)
    day = await desk.today()
    await desk.to(time(0, 5))
    await confirm(desk, payouts)

    run = await teller.run(await teller.state(day, payouts))
    assert (run["matched"], run["differences"]) == (4, 0)
    assert run["waterfall"]["timing_fen"] == movements.sum_fen(payouts)
    next_day = await desk.today()
    await desk.to_noon_of_a_new_day()
    run = await teller.run(await teller.state(next_day, []))
    assert (run["matched"], run["movements"], run["differences"]) == (0, 0, 0)
    assert run["waterfall"]["timing_fen"] == 0
    assert await teller.breaks() == []


async def test_booked_only_after_the_first_run(desk: Bureau) -> None:
    """The next day's run runs the earlier statement again, and clears what it had found."""
    history, teller = await at_the_bank(desk)
    payouts = await open_payouts(desk, history)
    day = await desk.today()
    await desk.to(time(0, 5))
    statement_id = await teller.state(day, payouts)
    run = await teller.run(statement_id)
    assert (run["matched"], run["differences"]) == (0, 4)
    assert {one["state"] for one in await teller.breaks()} == {"open"}

    await confirm(desk, payouts)
    next_day = await desk.today()
    await desk.to_noon_of_a_new_day()
    run = await teller.run(await teller.state(next_day, []))
    assert (run["matched"], run["differences"]) == (0, 0)
    breaks = await teller.breaks()
    assert [(one["type"], one["state"]) for one in breaks] == [("missing_in_ledger", "cleared")] * 4
    assert all(one["cleared_at"] for one in breaks)
    runs = await desk.finance.get(
        f"/v1/reconciliations?programme_id={teller.programme.programme_id}"
        f"&statement_id={statement_id}"
    )
    assert [(one["matched"], one["differences"]) for one in runs.body["items"]] == [(4, 0), (0, 4)]


async def test_booked_before_midnight_and_stated_after(desk: Bureau) -> None:
    """What we book first may be stated a day later; it is missing when it is not stated then."""
    _, teller = await at_the_bank(desk)
    await desk.to(time(23, 55))
    for quota in (1, 2):
        drop_id = await builders.make_drop(
            desk.owner,
            teller.programme,
            DropTerms(quota=quota, rail="ecny", closes_in=histories.LONG),
        )
        await builders.publish(desk.owner, drop_id)
    day = await desk.today()
    first, second = await teller.booked(day)
    assert (first.kind, second.kind) == ("J32", "J32")
    await desk.to(time(0, 5))

    run = await teller.run(await teller.state(day, []))
    assert (run["movements"], run["differences"]) == (0, 0)
    assert run["waterfall"]["timing_fen"] == -first.signed_fen - second.signed_fen
    next_day = await desk.today()
    await desk.to_noon_of_a_new_day()
    run = await teller.run(await teller.state(next_day, [first]))
    assert (run["matched"], run["movements"], run["differences"]) == (1, 2, 1)
    (missing,) = await teller.breaks()
    assert (missing["type"], missing["end_to_end_no"]) == ("missing_in_channel", second.number)
    assert (missing["happened_on"], missing["booked_fen"]) == (str(next_day), second.signed_fen)
    assert missing["difference_fen"] == -second.signed_fen


async def test_stated_a_day_late(desk: Bureau) -> None:
    """A break that tomorrow's file clears is closed by itself; a proposal about it lapses."""
    history, teller = await at_the_bank(desk)
    payouts = await open_payouts(desk, history)
    await confirm(desk, payouts)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    first_statement = await teller.state(day, payouts[:2])
    run = await teller.run(first_statement)
    assert run["differences"] == 2
    breaks = await teller.breaks()
    assert [one["type"] for one in breaks] == ["missing_in_channel"] * 2
    answer = await desk.finance.post(
        f"/v1/breaks/{breaks[0]['break_id']}/propose", {"proposal": "post", "reason": "lost"}
    )
    assert answer.status == 200

    next_day = await desk.today()
    await desk.to_noon_of_a_new_day()
    late_statement = await teller.state(next_day, payouts[2:])
    run = await teller.run(late_statement)
    assert (run["matched"], run["differences"]) == (2, 0)
    cleared = await teller.breaks()
    assert [(one["state"], one["proposal"]) for one in cleared] == [("cleared", None)] * 2
    answer = await desk.approver.post(f"/v1/breaks/{breaks[0]['break_id']}/approve")
    assert answer.assert_problem(409, "not_proposed")["state"] == "cleared"
    answer = await desk.finance.post(
        f"/v1/breaks/{breaks[0]['break_id']}/propose", {"proposal": "post", "reason": "lost"}
    )
    answer.assert_problem(409, "cleared")

    # Run again, the first day knows that it is only late.
    again = await teller.run(first_statement)
    assert again["differences"] == 0
    assert again["waterfall"]["timing_fen"] == -movements.sum_fen(payouts[2:])

    # The late file is issued again without them: they are missing after all, as the same breaks.
    teller.closing_fen -= movements.sum_fen(payouts[2:])
    assert (await teller.run(await teller.state(next_day, [])))["differences"] == 0
    reopened = await teller.breaks()
    assert [(one["break_id"], one["state"]) for one in reopened] == [
        (one["break_id"], "open") for one in breaks
    ]


async def test_a_missing_file_does_not_mean_that_nothing_happened(desk: Bureau) -> None:
    history, teller = await at_the_bank(desk)
    payouts = await open_payouts(desk, history)
    await confirm(desk, payouts)
    unstated = await desk.today()
    opening_fen = teller.closing_fen
    await desk.to_noon_of_a_new_day()
    day = await desk.today()
    await desk.to_noon_of_a_new_day()

    # The bank has paid on the day whose file did not come.
    teller.closing_fen += movements.sum_fen(payouts)
    statement_id = await teller.state(day, [])
    run = await teller.run(statement_id)
    assert (run["is_continuous"], run["missing_days"]) == (False, [str(unstated)])
    assert (run["movements"], run["differences"]) == (0, 0)
    assert await teller.breaks() == []

    teller.closing_fen = opening_fen
    run = await teller.run(await teller.state(unstated, payouts))
    assert (run["is_continuous"], run["matched"], run["differences"]) == (True, 4, 0)
    run = await teller.run(statement_id)
    assert (run["is_continuous"], run["missing_days"], run["differences"]) == (True, [], 0)


async def test_a_day_on_which_the_bank_says_that_nothing_happened(desk: Bureau) -> None:
    """No file, but the next one opens as the last one closed: what was booked in between is not so.

    The bank's next word, that it paid after all, clears it.
    """
    history, teller = await at_the_bank(desk)
    payouts = await open_payouts(desk, history)
    await confirm(desk, payouts)
    booked_on = await desk.today()
    await desk.to_noon_of_a_new_day()
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    run = await teller.run(await teller.state(day, []))
    assert (run["is_continuous"], run["missing_days"]) == (True, [])
    assert (run["movements"], run["differences"]) == (4, 4)
    breaks = await teller.breaks()
    assert {(one["type"], one["happened_on"]) for one in breaks} == {
        ("missing_in_channel", str(booked_on))
    }
    assert {one["age_days"] for one in breaks} == {2}
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    run = await teller.run(await teller.state(day, payouts))
    assert (run["matched"], run["differences"]) == (4, 0)
    assert {one["state"] for one in await teller.breaks()} == {"cleared"}
