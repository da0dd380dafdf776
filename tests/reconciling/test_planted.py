"""Planted differences are found exactly, and nothing else, whatever the seed."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

from tests.builders import Programme
from tests.reconciling import histories, movements
from tests.reconciling.bureau import Bureau
from tests.reconciling.movements import BANK, FORMATS, WALLET
from tests.reconciling.planting import Expected, Planted, plant
from tests.schema.booked import balance, journal

SEEDS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Played:
    """One programme's account with its statements of some days, run one after the other."""

    programme: Programme
    account: str
    statements: list[str]
    runs: list[dict[str, Any]]
    planted: list[Planted]

    @property
    def expected(self) -> list[Expected]:
        return [one for planted in self.planted for one in planted.expected]


def told(difference: dict[str, Any]) -> Expected:
    return Expected(
        difference["type"],
        difference["end_to_end_no"],
        difference["statement_fen"],
        difference["booked_fen"],
    )


def in_order(expected: list[Expected]) -> list[Expected]:
    return sorted(expected, key=lambda one: (one.number, one.type))


async def play(desk: Bureau, account: str, seed: int) -> Played:
    """Three days of movements, each with a statement in which every kind of lie is told."""
    rail = "ecny" if account == WALLET else "bank"
    history = await histories.begin(desk, rail, shops=8, claims=16)
    played = Played(history.programme, account, [], [], [])
    opening_fen = 0
    since = movements._EARLIER
    for day_no in range(3):
        await histories.redeem(desk, history, 16 * day_no, 16 * (day_no + 1))
        if account == BANK and day_no > 0:
            await histories.pay(desk, history)
        day = await desk.today()
        true_rows = await movements.booked(desk.owner, history.programme, account, day, since)
        # On the bank rail the first day has nothing but the funding.
        enough = len(true_rows) >= 5
        planted = plant(true_rows, seed) if enough else Planted(true_rows, [])
        played.planted.append(planted)
        await desk.to_noon_of_a_new_day()
        content = movements.write(
            history.programme, account, day, planted.rows, opening_fen=opening_fen
        )
        opening_fen += movements.sum_fen(planted.rows)
        statement = await desk.take(history.programme.programme_id, FORMATS[account], content)
        played.statements.append(statement["statement_id"])
        played.runs.append(await desk.run(statement["statement_id"]))
        since = day
    return played


@pytest.mark.parametrize("account", [BANK, WALLET])
@pytest.mark.parametrize("seed", SEEDS)
async def test_what_was_planted_is_found_and_nothing_else(
    desk: Bureau, account: str, seed: int
) -> None:
    played = await play(desk, account, seed)
    programme_id = played.programme.programme_id
    assert len(played.expected) >= 10

    for run, planted in zip(played.runs, played.planted, strict=True):
        found = (
            await desk.finance.get(f"/v1/reconciliations/{run['reconciliation_id']}/differences")
        ).body["items"]
        assert in_order([told(one) for one in found]) == in_order(planted.expected)
        assert run["difference_fen"] == planted.difference_fen
        assert run["lines"] == len(planted.rows)
        assert run["waterfall"]["unexplained_fen"] == (0 if account == BANK else None)
        assert run["is_continuous"] is (True if account == BANK else None)
        assert run["missing_days"] == []

    breaks = await desk.breaks(programme_id)
    assert in_order([told(one) for one in breaks]) == in_order(played.expected)
    assert {one["state"] for one in breaks} == {"open"}
    assert {one["account"] for one in breaks} == {account}

    # Running again finds the same, in whichever order: the same hash, the same breaks.
    chosen = random.Random(seed)
    for nth in chosen.sample(range(3), 3):
        again = await desk.run(played.statements[nth])
        assert again["result_hash"] == played.runs[nth]["result_hash"]
        assert again["reconciliation_id"] != played.runs[nth]["reconciliation_id"]
    assert len({run["result_hash"] for run in played.runs}) == 3
    assert [one["break_id"] for one in await desk.breaks(programme_id)] == [
        one["break_id"] for one in breaks
    ]


async def test_what_two_persons_settle_is_booked_to_the_fen_and_found_no_more(
    desk: Bureau,
) -> None:
    played = await play(desk, BANK, 4)
    programme_id = played.programme.programme_id
    breaks = await desk.breaks(programme_id)
    balance_before = await balance(desk.owner, played.programme, BANK)

    posted_fen = {"over": 0, "short": 0}
    for nth, one in enumerate(breaks):
        if nth % 3 == 2:
            settled = await desk.settle(one["break_id"], "accept")
            assert (settled["state"], settled["journal_id"]) == ("accepted", None)
            continue
        settled = await desk.settle(one["break_id"], "post")
        assert settled["state"] == "posted"
        fen = one["difference_fen"]
        label = "over" if fen > 0 else "short"
        assert settled["label"] == label
        posted_fen[label] += abs(fen)
        kind, lines = (
            ("J24", {(BANK, "suspense_over:main"): fen})
            if fen > 0
            else ("J25", {("suspense_short:main", BANK): -fen})
        )
        assert await journal(desk.owner, kind, one["break_id"]) == lines
        booked = (await desk.finance.get(f"/v1/journals/{settled['journal_id']}")).body
        assert (booked["kind"], booked["event"]) == (kind, one["break_id"])
        assert booked["actor"] == "approver-1"
    assert posted_fen["over"] > 0
    assert posted_fen["short"] > 0
    for label, code in (("over", "suspense_over:main"), ("short", "suspense_short:main")):
        assert await balance(desk.owner, played.programme, code) == posted_fen[label]
    assert (
        await balance(desk.owner, played.programme, BANK)
        == balance_before + posted_fen["over"] - posted_fen["short"]
    )

    settled_now = await desk.breaks(programme_id)
    await desk.to_noon_of_a_new_day()
    for statement_id, before in zip(played.statements, played.runs, strict=True):
        again = await desk.run(statement_id)
        assert again["result_hash"] == before["result_hash"]
        assert again["waterfall"]["unexplained_fen"] == 0
    again_now = await desk.breaks(programme_id)
    unchanged = ("break_id", "state", "difference_fen", "journal_id", "approved_by", "cleared_at")
    assert [[one[name] for name in unchanged] for one in again_now] == [
        [one[name] for name in unchanged] for one in settled_now
    ]


async def test_a_true_statement_leaves_no_difference(desk: Bureau) -> None:
    history = await histories.begin(desk, "bank")
    await histories.redeem(desk, history, 0, 20)
    await desk.to_noon_of_a_new_day()
    await histories.pay(desk, history)
    day = await desk.today()
    await desk.to_noon_of_a_new_day()
    rows = await movements.booked(desk.owner, history.programme, BANK, day)
    # In another order, and with numbers that occur twice: both funders paid under one reference.
    assert len({row.number for row in rows}) == len(rows) - 1
    random.Random(5).shuffle(rows)
    content = movements.write(history.programme, BANK, day, rows)
    statement = await desk.take(history.programme.programme_id, FORMATS[BANK], content)
    run = await desk.run(statement["statement_id"])
    # It is the first statement and opens at nothing: the days before it are judged with it.
    assert (run["matched"], run["movements"], run["lines"]) == (len(rows),) * 3
    assert (run["differences"], run["is_continuous"]) == (0, True)
    assert run["by_type"] == run["missing_in_ledger"] == run["missing_in_channel"] == []
    paid_fen = movements.sum_fen(rows)
    assert run["waterfall"] == {
        "ledger_fen": paid_fen,
        "carried_fen": 0,
        "found_fen": 0,
        "timing_fen": 0,
        "booked_fen": 0,
        "unexplained_fen": 0,
        "statement_fen": paid_fen,
    }
    pairs = (
        await desk.finance.get(f"/v1/reconciliations/{run['reconciliation_id']}/matches?limit=500")
    ).body["items"]
    assert [pair["line_no"] for pair in pairs] == list(range(1, len(rows) + 1))
    assert {pair["pass"] for pair in pairs} == {1}
    assert len({pair["journal_id"] for pair in pairs}) == len(rows)
    assert await desk.breaks(history.programme.programme_id) == []
