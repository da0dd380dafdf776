"""The way through one process, when replies are lost, late, or not what they should be."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from redis.exceptions import ConnectionError as GateConnectionError

from services.claim import claiming, deciding, lane, standing
from services.claim.definitions import Definition, Definitions
from services.claim.outcomes import BUSY, LIMIT_REACHED, OVERLOADED, Outcome, Refusal, Refused, Won
from shared.gate import keys
from shared.ids import new_id
from tests import builders
from tests.builders import DropTerms
from tests.claim.lanes import OneLane, lane_of, nothing
from tests.claim.office import Office

SOLD_OUT = Refused(Refusal.SOLD_OUT)


@pytest_asyncio.fixture
async def drop_id(office: Office) -> str:
    """A drop of eight packs."""
    return await office.open_drop(DropTerms(quota=8))


@pytest_asyncio.fixture
async def one(office: Office, drop_id: str) -> AsyncIterator[OneLane]:
    async with lane_of(office, drop_id) as one:
        yield one


class Once:
    """Fails the first time, and never again."""

    def __init__(self, fault: Exception) -> None:
        self.fault = fault
        self.failed = False

    async def __call__(self) -> None:
        if not self.failed:
            self.failed = True
            raise self.fault


def serials(outcomes: list[Outcome]) -> list[int]:
    return sorted(outcome.serial for outcome in outcomes if isinstance(outcome, Won))


LOST = asyncpg.ConnectionDoesNotExistError("the connection was closed in the middle of operation")


class TestUnknownOutcomes:
    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("call", ["issue", "resolve_persons"])
    @pytest.mark.parametrize(
        "fault", [LOST, TimeoutError(), asyncpg.DeadlockDetectedError("x"), OSError(32, "pipe")]
    )
    async def test_a_lost_reply_is_asked_for_again(
        self, office: Office, one: OneLane, when: str, call: str, fault: Exception
    ) -> None:
        """Whether it was committed or not, everybody wins once and is told that it is new."""
        getattr(one.ledger, when)[call] = Once(fault)
        outcomes = list(await asyncio.gather(*(one.ask(f"resident {n}") for n in range(5))))
        assert serials(outcomes) == [1, 2, 3, 4, 5]
        assert all(isinstance(outcome, Won) and outcome.fresh for outcome in outcomes)
        assert await office.issued_of(str(one.definition.drop_id)) == 5

    async def test_a_reply_that_never_comes_is_busy_in_time_and_the_claim_is_found(
        self, office: Office, one: OneLane
    ) -> None:
        async def lost() -> None:
            raise LOST

        one.ledger.after["issue"] = lost
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        assert await one.ask("resident") == BUSY
        assert 1.5 < loop.time() - begun_s < 3.5
        assert one.ledger.calls.count("issue") > 2
        one.ledger.after.clear()
        again = await one.ask("resident")
        if again == BUSY:  # it joined the attempt that was about to be given up
            again = await one.ask("resident")
        assert isinstance(again, Won)
        assert (again.serial, again.fresh) == (1, False)
        assert await office.issued_of(str(one.definition.drop_id)) == 1

    async def test_one_bad_row_fails_alone(self, one: OneLane) -> None:
        """Postgres refuses NUL; the endpoint lets none in, but the batch must not rely on it."""
        asked = [one.ask(f"resident {n}", channel="\0" if n == 3 else "app") for n in range(7)]
        outcomes = list(await asyncio.gather(*asked))
        assert outcomes[3] == BUSY
        assert serials(outcomes) == [1, 2, 3, 4, 5, 6]
        assert one.lane.standing.statement is not None
        assert one.lane.standing.statement.issued == 6

    async def test_a_fault_nobody_thought_of_costs_one_batch(
        self, office: Office, one: OneLane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both flushers fail while others wait behind them; those are served all the same."""
        monkeypatch.setattr(lane, "BATCH_MAX", 1)
        failures = iter([RuntimeError("first"), RuntimeError("second")])

        async def fail_twice() -> None:
            await asyncio.sleep(0.02)
            fault = next(failures, None)
            if fault is not None:
                raise fault

        one.ledger.before["issue"] = fail_twice
        outcomes = list(await asyncio.gather(*(one.ask(f"resident {n}") for n in range(6))))
        assert outcomes[:2] == [BUSY, BUSY]
        assert serials(outcomes) == [1, 2, 3, 4]
        assert one.lane.is_idle or one.lane._timeouts
        assert isinstance(await one.ask("resident 0"), Won)
        assert await office.issued_of(str(one.definition.drop_id)) == 5


class TestWaiting:
    async def test_cancelled_requests_break_no_batch(self, one: OneLane) -> None:
        tasks = [asyncio.ensure_future(one.ask(f"resident {n}")) for n in range(8)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError, Won] * 4
        again = [await one.ask(f"resident {n}") for n in range(0, 8, 2)]
        assert serials([*again, *outcomes[1::2]]) == list(range(1, 9))  # type: ignore[list-item]

    async def test_a_request_that_is_answered_accepts_nobody_else(
        self, office: Office, one: OneLane
    ) -> None:
        """While the hand-over to a slow gate goes on, asking again is a request of its own."""
        for n in range(8):
            assert isinstance(await one.ask(f"winner {n}"), Won)
        held = asyncio.Event()
        one.lane.standing._as_of_s = float("-inf")  # nothing is answered from memory
        drop_key, _ = keys.of_drop(one.definition.drop_id)
        await office.redis.hset(drop_key, "permits", 5)

        async def wait_the_first_time() -> None:
            one.gate.before_take = nothing
            await held.wait()

        one.gate.before_take = wait_the_first_time
        assert await one.ask("loser") == SOLD_OUT
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        assert await one.ask("loser") == SOLD_OUT
        assert loop.time() - begun_s < 1.5
        held.set()

    async def test_so_many_may_wait_for_one_request(self, one: OneLane) -> None:
        held = asyncio.Event()
        one.ledger.before["issue"] = held.wait  # type: ignore[assignment]
        asked = [asyncio.ensure_future(one.ask("resident")) for _ in range(lane.WAITING_MAX + 9)]
        await asyncio.sleep(0.05)
        held.set()
        outcomes = await asyncio.gather(*asked)
        assert Counter(type(outcome) for outcome in outcomes) == {Won: 64, Refused: 9}
        assert {outcome for outcome in outcomes if isinstance(outcome, Refused)} == {OVERLOADED}
        assert sum(isinstance(outcome, Won) and outcome.fresh for outcome in outcomes) == 1

    async def test_the_queue_is_bounded(
        self, one: OneLane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lane, "BATCH_MAX", 1)
        monkeypatch.setattr(lane, "QUEUE_MAX", 4)
        held = asyncio.Event()
        one.ledger.before["issue"] = held.wait  # type: ignore[assignment]
        asked = []
        for n in range(9):
            asked.append(asyncio.ensure_future(one.ask(f"resident {n}")))
            await asyncio.sleep(0.01)
        held.set()
        outcomes = list(await asyncio.gather(*asked))
        assert outcomes[6:] == [OVERLOADED] * 3
        assert serials(outcomes) == [1, 2, 3, 4, 5, 6]

    async def test_wins_are_remembered_within_a_bound_and_for_a_second(
        self, one: OneLane, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lane, "_RECENT_WINS_MAX", 3)
        for n in range(8):
            await one.ask(f"resident {n}")
        assert len(one.lane._recent) == 3
        one.ledger.calls.clear()
        assert isinstance(await one.ask("resident 7"), Won)
        assert one.ledger.calls == []
        await asyncio.sleep(1.01)
        assert isinstance(await one.ask("resident 7"), Won)
        assert "find_claims" in one.ledger.calls
        assert "issue" not in one.ledger.calls  # which would take the lock of the drop

    async def test_batches_form_while_two_are_in_flight(self, one: OneLane) -> None:
        """Forty at once are two or three calls, not forty."""
        outcomes = list(await asyncio.gather(*(one.ask(f"resident {n}") for n in range(40))))
        assert serials(outcomes) == list(range(1, 9))
        assert one.ledger.calls.count("issue") <= 3


class TestRefusals:
    @pytest.mark.parametrize("change", ["sold out", "pause", "close"])
    async def test_losers_are_answered_from_memory_for_a_second(
        self, office: Office, one: OneLane, change: str
    ) -> None:
        """Two hundred losers ask neither the gate nor the ledger; a second later one does."""
        for n in range(8 if change == "sold out" else 1):
            await one.ask(f"winner {n}")
        if change != "sold out":
            await office.change(str(one.definition.drop_id), change)
        refused = await one.ask("loser")
        assert isinstance(refused, Refused)
        assert refused.refusal in {Refusal.SOLD_OUT, Refusal.PAUSED, Refusal.CLOSED}
        await one.ask("loser")  # by now the winners are listed
        drop_key, _ = keys.of_drop(one.definition.drop_id)
        rank = await office.redis.hget(drop_key, "rank")
        one.ledger.calls.clear()
        assert {await one.ask(f"another {n}") for n in range(200)} == {refused}
        assert one.ledger.calls == []
        assert await office.redis.hget(drop_key, "rank") == rank
        await asyncio.sleep(1.01)
        assert await one.ask("loser") == refused
        assert one.ledger.calls == ["read_statement"]
        assert int(await office.redis.hget(drop_key, "rank") or 0) == int(rank or 0) + 1

    async def test_a_refusal_is_the_ledgers_of_now(self, office: Office, one: OneLane) -> None:
        """The drop gets more packs while its winners are being listed."""
        for n in range(8):
            await one.ask(f"winner {n}")
        drop_id = str(one.definition.drop_id)

        async def raise_the_quota() -> None:
            await office.change(drop_id, "quota", 10)
            one.ledger.before.clear()
            await one.lane.standing._read(0)

        one.ledger.before["winner_keys"] = raise_the_quota
        assert await one.ask("loser") == BUSY
        # Where nothing was left, the ledger gives nothing for as long as memories last.
        assert await one.ask("loser") == BUSY
        await asyncio.sleep(1.3)
        assert isinstance(await one.ask("loser"), Won)

    async def test_nobody_is_refused_while_winners_cannot_be_listed(
        self, office: Office, drop_id: str
    ) -> None:
        await builders.issue(office.owner, UUID(drop_id), 8)

        async def lost() -> None:
            raise LOST

        async with lane_of(office, drop_id) as one:
            one.ledger.before["winner_keys"] = lost
            assert await one.ask("loser") == SOLD_OUT  # the gate had a permit: the ledger refused
            await office.load_gate(UUID(drop_id))
            assert await one.ask("another") == BUSY
            one.ledger.before.clear()
            assert await one.ask("another") == SOLD_OUT

    async def test_winners_are_listed_in_pieces(
        self, office: Office, drop_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with lane_of(office, drop_id) as winning:
            for n in range(8):
                await winning.ask(f"winner {n}")
        async with lane_of(office, drop_id) as one:
            monkeypatch.setattr(standing, "WINNERS_LISTED_AT_ONCE", 3)
            assert await one.ask("loser") == SOLD_OUT
            assert one.ledger.calls.count("winner_keys") == 3
            for n in range(8):
                again = await one.ask(f"winner {n}")
                assert isinstance(again, Won)
                assert again.serial == n + 1

    def test_a_piece_is_as_large_as_the_function_makes_it(self) -> None:
        text = (Path(deciding.__file__).parents[2] / "shared/functions/find_claims.sql").read_text()
        assert f"c.serial <= p_after + {deciding.WINNERS_LISTED_AT_ONCE}\n" in text

    async def test_limit_reached_comes_from_the_ledger(self, office: Office, one: OneLane) -> None:
        won = await one.ask("resident")
        assert isinstance(won, Won)
        assert await builders.release(office.owner, won.claim_id, reopen=True) == "released"
        await asyncio.sleep(1.01)
        assert await one.ask("resident") == LIMIT_REACHED


class TestHealing:
    async def test_a_gate_far_ahead_is_corrected_by_the_next_decision(
        self, office: Office, one: OneLane
    ) -> None:
        drop_key, _ = keys.of_drop(one.definition.drop_id)
        await office.redis.hset(drop_key, "version", 10**9)
        await office.redis.hset(drop_key, "permits", 10**6)
        assert isinstance(await one.ask("resident"), Won)
        for _ in range(50):
            version, permits = await office.redis.hmget(drop_key, ["version", "permits"])
            if permits == b"7":
                break
            await asyncio.sleep(0.01)
        statement = one.lane.standing.statement
        assert statement is not None
        assert (version, permits) == (str(statement.version).encode(), b"7")

    async def test_a_gate_that_takes_nothing_does_not_storm_the_ledger(
        self, office: Office, one: OneLane
    ) -> None:
        """Valkey may be read but not written: a fast crowd costs five readings a second."""
        await office.redis.delete(*keys.of_drop(one.definition.drop_id))

        async def refuse() -> None:
            raise GateConnectionError("read only")

        one.gate.before_take = refuse
        loop = asyncio.get_running_loop()
        until_s = loop.time() + 0.9
        asked = 0
        while loop.time() < until_s:
            assert await one.ask(f"resident {asked}") == BUSY
            asked += 1
        assert asked > 20
        assert 2 <= len(one.ledger.calls) <= 6
        assert set(one.ledger.calls) == {"read_statement"}

    async def test_a_gate_that_is_lost_twice_in_a_moment_is_loaded_twice(
        self, office: Office, one: OneLane
    ) -> None:
        for n in range(3):
            await office.redis.delete(*keys.of_drop(one.definition.drop_id))
            assert isinstance(await one.ask(f"resident {n}"), Won)

    async def test_a_last_permit_that_leaked_is_given_to_the_next(
        self, office: Office, one: OneLane
    ) -> None:
        """A process took the last permits and died; nobody is told that the drop is sold out."""
        strangers = [f"ghost {n}".encode().ljust(8, b".")[:8] for n in range(8)]
        admission = await office.gate.admit(one.definition.drop_id, strangers, 0)
        assert admission.answers == "P" * 8
        assert await one.ask("resident") == BUSY
        assert isinstance(await one.ask("resident"), Won)
        kept = [(rank, outcome) for *_, rank, _, _, outcome in one.lane._arrivals._kept]
        assert kept == [(9, "busy"), (10, "won")]


class TestMemory:
    async def test_everybody_waits_for_one_reading_of_a_definition(self, office: Office) -> None:
        drop_id = UUID(await office.open_drop())
        read = 0

        class Counting(Definitions):
            async def _read(self, drop_id: UUID) -> Definition | None:
                nonlocal read
                read += 1
                return await super()._read(drop_id)

        definitions = Counting(office.resources.reads)
        found = await asyncio.gather(*(definitions.find(drop_id, now_s=5) for _ in range(100)))
        assert {definition.drop_id for definition in found if definition} == {drop_id}
        assert read == 1
        unknown = new_id(1)
        found = await asyncio.gather(*(definitions.find(unknown, now_s=5) for _ in range(100)))
        assert set(found) == {None}
        assert await definitions.find(unknown, now_s=5.9) is None
        assert read == 2
        assert await definitions.find(unknown, now_s=6.1) is None
        assert read == 3
        assert definitions._readings == {}

    async def test_lanes_that_nobody_uses_are_dropped(
        self, office: Office, drop_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(claiming, "_IDLE_LANE_KEPT_S", 0.01)
        await office.bearer(None).get(f"/v1/drops/{drop_id}")
        for _ in range(50):
            if not office.resources.claiming._lanes:
                break
            await asyncio.sleep(0.05)
        assert office.resources.claiming._lanes == {}
        assert office.resources.claiming._used_s == {}
