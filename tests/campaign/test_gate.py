"""After a change the gate has what the ledger has, or the change stands without it."""

import os
import signal
import time
from uuid import UUID

from shared.embedded.servers import EmbeddedServers
from tests import builders
from tests.campaign.desk import Desk
from tests.campaign.terms import CITY, make_drop, make_live_drop, make_programme


async def test_the_gate_follows_every_change(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    assert await desk.gate_of(drop_id) == (1, 10, "live")
    issued = await builders.issue(desk.owner, UUID(drop_id), 3)
    assert len(issued.won) == 3

    expected_permits = 7
    for method, path, body, state in (
        ("POST", "/pause", None, "paused"),
        ("POST", "/resume", None, "live"),
        ("PATCH", "", {"quota": 20}, "live"),
        ("PATCH", "", {"quota": 5}, "live"),
        ("POST", "/close", None, "closed"),
    ):
        answer = await operator.send_json(method, f"/v1/drops/{drop_id}{path}", body)
        expected_permits = answer.body["quota"] - 3
        expected = (answer.body["version"], expected_permits, state)
        assert await desk.gate_of(drop_id) == expected
        assert (answer.body["state"], answer.body["live"]) == (state, 3)


async def test_a_refused_publish_leaves_no_gate(desk: Desk) -> None:
    operator = desk.operator(CITY)
    drop_id = await make_drop(operator, await make_programme(operator))
    (await operator.post(f"/v1/drops/{drop_id}/publish")).assert_problem(409, "insufficient_funds")
    assert await desk.gate_of(drop_id) is None


async def test_saying_it_again_mends_a_gate_that_was_lost(desk: Desk) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    await desk.redis.flushall()
    assert await desk.gate_of(drop_id) is None
    again = await operator.post(f"/v1/drops/{drop_id}/publish")
    assert (again.status, again.body["version"]) == (200, 1)
    assert await desk.gate_of(drop_id) == (1, 10, "live")


async def test_a_gate_that_hangs_delays_a_change_but_does_not_fail_it(
    desk: Desk, servers: EmbeddedServers
) -> None:
    operator = desk.operator(CITY)
    _, drop_id = await make_live_drop(operator)
    os.kill(servers.valkey.pid, signal.SIGSTOP)
    try:
        started_s = time.monotonic()
        paused = await operator.post(f"/v1/drops/{drop_id}/pause")
        elapsed_s = time.monotonic() - started_s
        ready = await desk.nobody().get("/readyz")
        row = await desk.owner.fetchrow(
            "SELECT state FROM campaign.drops WHERE drop_id = $1", UUID(drop_id)
        )
    finally:
        os.kill(servers.valkey.pid, signal.SIGCONT)
    assert (paused.status, paused.body["state"]) == (200, "paused")
    assert 0.45 < elapsed_s < 2.0
    assert (ready.status, ready.body["checks"]) == (200, {"postgres": "ok"})
    assert row is not None
    assert row["state"] == "paused"
    assert b"fairdrop_campaign_gate_statements_total" in await _metrics(desk)
    # The connections of the pool survived: the next change is told.
    resumed = await operator.post(f"/v1/drops/{drop_id}/resume")
    assert await desk.gate_of(drop_id) == (resumed.body["version"], 10, "live")


async def _metrics(desk: Desk) -> bytes:
    async with desk.http.get("/metrics") as response:
        return await response.read()
