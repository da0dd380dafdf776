"""What a run makes of files that are issued again, unreadable, or unexplained."""

from shared.ids import new_id
from tests import builders
from tests.builders import OPERATOR
from tests.reconciling import histories
from tests.reconciling.bureau import Bureau
from tests.reconciling.movements import BANK, WALLET, Row
from tests.reconciling.telling import Teller, at_the_bank, confirm, open_payouts


async def test_a_file_that_is_issued_again(desk: Bureau) -> None:
    """What is still different keeps its break and its state, what is not any more is cleared."""
    history, teller = await at_the_bank(desk)
    payouts = await open_payouts(desk, history)
    await confirm(desk, payouts)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    extra = Row("unknown-1", "in", 77, "U1")
    opening_fen = teller.closing_fen
    run = await teller.run(await teller.state(day, [extra, *payouts[1:]]))
    assert run["differences"] == 2
    missing, unknown = sorted(await teller.breaks(), key=lambda one: one["type"])
    posted = await desk.settle(unknown["break_id"], "post")
    assert posted["state"] == "posted"

    teller.closing_fen = opening_fen
    second = await teller.state(day, [*payouts, extra])
    run = await teller.run(second)
    assert run["differences"] == 1
    by_id = {one["break_id"]: one for one in await teller.breaks()}
    assert by_id.keys() == {missing["break_id"], unknown["break_id"]}
    assert by_id[missing["break_id"]]["state"] == "cleared"
    still = by_id[unknown["break_id"]]
    assert (still["state"], still["line_no"], still["statement_id"]) == ("posted", 5, second)

    # Without it, what was booked stays booked: it is settled, and no longer there.
    teller.closing_fen = opening_fen
    run = await teller.run(await teller.state(day, payouts))
    assert run["differences"] == 0
    (gone,) = await desk.breaks(teller.programme.programme_id, "&state=posted")
    assert gone["cleared_at"] is not None
    assert gone["journal_id"] == posted["journal_id"]


async def test_what_was_posted_and_then_booked_as_it_should_have_been(desk: Bureau) -> None:
    _, teller = await at_the_bank(desk)
    programme = teller.programme
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    deposit = Row("TREASURY-7", "in", 5_000, "D7")
    await teller.run(await teller.state(day, [deposit]))
    (found,) = await teller.breaks()
    assert (found["type"], found["label"], found["difference_fen"]) == (
        *("missing_in_ledger", "over"),
        5_000,
    )
    await desk.settle(found["break_id"], "post")
    outcome = await desk.owner.fetchval(
        "SELECT campaign.fund($1, $2, $3, 'city', 5000, 'TREASURY-7', 'J1', $4)",
        *(programme.city_id, programme.programme_id, new_id(programme.city_id), OPERATOR),
    )
    assert outcome == "booked"

    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    run = await teller.run(await teller.state(day, []))
    assert run["differences"] == 0
    (settled,) = await teller.breaks()
    assert (settled["state"], settled["break_id"]) == ("posted", found["break_id"])
    assert settled["cleared_at"] is not None
    # Booked twice, as the waterfall says: what is over has yet to be resolved.
    assert run["waterfall"]["booked_fen"] == -5_000


async def test_a_row_that_cannot_be_read(desk: Bureau) -> None:
    """Its amount is known from the balances around it, so the waterfall still ends."""
    history, teller = await at_the_bank(desk)
    payouts = await open_payouts(desk, history)
    await confirm(desk, payouts)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    run = await teller.run(await teller.state(day, payouts, spoilt=2))
    assert (run["lines"], run["matched"], run["differences"]) == (4, 3, 2)
    found = {one["type"]: one for one in await teller.breaks()}
    hidden, missing = found["unreadable"], found["missing_in_channel"]
    assert (hidden["line_no"], hidden["statement_fen"]) == (2, payouts[1].signed_fen)
    assert hidden["difference_fen"] + missing["difference_fen"] == 0
    assert missing["end_to_end_no"] == payouts[1].number


async def test_a_balance_that_nothing_explains(desk: Bureau) -> None:
    """It is one break, once: the days after carry it."""
    history = await histories.begin(desk, "bank")
    teller = Teller(desk, history.programme, BANK, closing_fen=500)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    first = await teller.state(day, await teller.booked(day))
    run = await desk.run(first)
    assert (run["is_continuous"], run["differences"]) == (False, 1)
    assert (run["waterfall"]["unexplained_fen"], run["difference_fen"]) == (500, 500)
    (found,) = await teller.breaks()
    assert (found["type"], found["difference_fen"], found["missing_in"]) == ("balance", 500, None)
    assert found["present_in"] == ["ledger", "channel"]

    next_day = await desk.today()
    await desk.to_noon_of_a_new_day()
    second = await teller.state(next_day, [])
    run = await teller.run(second)
    assert (run["differences"], run["waterfall"]["carried_fen"]) == (0, 500)

    await desk.settle(found["break_id"], "post")
    assert (await desk.run(first))["differences"] == 1
    assert (await teller.run(second))["differences"] == 0
    third_day = await desk.today()
    await desk.to_noon_of_a_new_day()
    run = await teller.run(await teller.state(third_day, []))
    # Booked on that day, so that the books agree with the bank again.
    assert run["waterfall"]["ledger_fen"] == run["waterfall"]["statement_fen"]
    assert len(await teller.breaks()) == 1


async def test_a_number_that_the_channel_gave_is_enough(desk: Bureau) -> None:
    """The end-to-end number got lost on the way; the channel's own is on both sides."""
    history = await histories.begin(desk, "ecny")
    await histories.redeem(desk, history, 0, 6)
    teller = Teller(desk, history.programme, WALLET)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    true_rows = await teller.booked(day)
    paid = [row for row in true_rows if row.kind == "J17"]
    lost = [
        Row(f"lost-{n}", *(r.direction, r.amount_fen, r.channel_no)) for n, r in enumerate(paid)
    ]
    lost[0] = Row("lost-0", "out", paid[0].amount_fen + 1, paid[0].channel_no)
    topped_up = [row for row in true_rows if row.kind == "J32"]
    run = await teller.run(await teller.state(day, [*topped_up, *lost]))
    assert (run["matched"], run["differences"]) == (7, 1)
    (found,) = await teller.breaks()
    assert (found["type"], found["difference_fen"]) == ("amount", -1)
    pairs = await desk.finance.get(f"/v1/reconciliations/{run['reconciliation_id']}/matches")
    assert sorted(pair["pass"] for pair in pairs.body["items"]) == [1, 2, 2, 2, 2, 2, 4]


async def test_a_reference_that_people_use_again(desk: Bureau) -> None:
    """A payment of another day and another amount is another payment, whatever it is called."""
    _, teller = await at_the_bank(desk)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    statement_id = await teller.state(day, [Row("receipt", "in", 90, "R1")])
    first = await teller.run(statement_id)
    (found,) = await teller.breaks()
    # Both fundings are called so, and were stated before.
    assert (found["type"], found["difference_fen"]) == ("duplicate", 90)

    await desk.to_noon_of_a_new_day()
    await builders.fund(desk.owner, teller.programme, "city", 100)
    booked_on = await desk.today()
    await desk.to_noon_of_a_new_day()
    assert (await teller.run(statement_id))["result_hash"] == first["result_hash"]
    run = await teller.run(await teller.state(booked_on, await teller.booked(booked_on)))
    assert (run["matched"], run["differences"]) == (1, 0)
    # The amount of that day's, and it is the same payment, booked late.
    await builders.fund(desk.owner, teller.programme, "city", 90)
    assert (await teller.run(statement_id))["differences"] == 0
    assert [one["state"] for one in await teller.breaks()] == ["cleared"]


async def test_a_day_that_is_not_over(desk: Bureau) -> None:
    history = await histories.begin(desk, "bank")
    teller = Teller(desk, history.programme, BANK)
    day = await desk.today()
    statement_id = await teller.state(day, await teller.booked(day))
    answer = await desk.finance.post("/v1/reconciliations", {"statement_id": statement_id})
    answer.assert_problem(409, "day_not_over")
    await desk.to_noon_of_a_new_day()
    assert (await teller.run(statement_id))["differences"] == 0


async def test_what_is_there_to_see_of_runs(desk: Bureau) -> None:
    _, teller = await at_the_bank(desk)
    programme_id = teller.programme.programme_id
    listed = (await desk.finance.get(f"/v1/reconciliations?programme_id={programme_id}")).body
    (run,) = listed["items"]
    path = f"/v1/reconciliations/{run['reconciliation_id']}"
    shown = (await desk.staff("auditor-1", "auditor").get(path)).body
    assert {name: shown[name] for name in run} == run
    for role in ("approver", "auditor", "operator"):
        answer = await desk.staff("x", role).post(
            "/v1/reconciliations", {"statement_id": run["statement_id"]}
        )
        answer.assert_problem(403, "forbidden")
    elsewhere = desk.staff("finance-2", "finance", city="440300")
    for hidden in (path, f"{path}/differences", f"{path}/matches"):
        (await elsewhere.get(hidden)).assert_problem(404, "not_found")
    answer = await elsewhere.get(f"/v1/reconciliations?programme_id={programme_id}")
    answer.assert_problem(404, "not_found")
