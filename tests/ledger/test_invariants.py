"""The invariants over HTTP."""

from uuid import UUID

import asyncpg

from shared.bookkeeping.invariants import queries
from shared.embedded.servers import EmbeddedServers
from shared.gate.gate import Gate, connect
from shared.gate.statement import READ_STATEMENT, Statement
from shared.ids import city_of
from tests.ledger.conftest import CITY, OTHER_CITY, Office

NAMES = [query.name for query in queries()] + ["I10_gates_follow_the_ledger"]


async def statement_of(owner: asyncpg.Connection, drop_id: UUID) -> Statement:
    row = await owner.fetchrow(READ_STATEMENT, city_of(drop_id), drop_id)
    assert row is not None
    return Statement.of_row(dict(row))


async def test_sound_books(office: Office) -> None:
    answer = await office.staff("auditor", "*").get("/v1/invariants")
    assert answer.status == 200, answer.body
    assert answer.body["sound"] is True
    assert [check["name"] for check in answer.body["checks"]] == NAMES
    assert all((check["offenders"], check["sample"]) == (0, []) for check in answer.body["checks"])


async def test_offenders_are_shown_to_their_city_only(private_office: Office) -> None:
    office = private_office
    await office.owner.execute("SET session_replication_role = replica")
    await office.owner.execute(
        "UPDATE ledger.balances SET balance_fen = balance_fen + 1 WHERE programme_id = $1",
        office.book.other_programme.programme_id,
    )
    seen = {}
    for cities in ((CITY,), (OTHER_CITY,), (CITY, OTHER_CITY), ("*",), ("999999",)):
        body = (await office.staff("auditor", *cities).get("/v1/invariants")).body
        assert [check["name"] for check in body["checks"]] == NAMES
        broken = {c["name"]: c["offenders"] for c in body["checks"] if c["offenders"]}
        assert body["sound"] is (broken == {})
        seen[cities] = broken
    # bank:main and two available accounts.
    offence = {"I6_guarded_balances_match": 3}
    assert seen == {
        (CITY,): {},
        (OTHER_CITY,): offence,
        (CITY, OTHER_CITY): offence,
        ("*",): offence,
        ("999999",): {},
    }


async def test_a_gate_ahead_of_the_ledger_is_an_offender(
    private_office: Office, servers: EmbeddedServers
) -> None:
    office, drop_id = private_office, private_office.book.drop_id
    redis = connect(servers.redis_url)
    gate = Gate(redis)
    statement = await statement_of(office.owner, drop_id)
    await gate.take(drop_id, statement)
    assert (await office.staff("auditor").get("/v1/invariants")).body["sound"] is True

    ahead = Statement(
        version=statement.version + 1,
        state="live",
        remaining=1_000_000,
        issued=statement.issued,
        quota=statement.quota,
        opens_us=statement.opens_us,
        closes_us=statement.closes_us,
    )
    await gate.take(drop_id, ahead)
    body = (await office.staff("auditor").get("/v1/invariants")).body
    await redis.aclose(close_connection_pool=True)
    assert body["sound"] is False
    assert [check["name"] for check in body["checks"] if check["offenders"]] == [NAMES[-1]]
    assert body["checks"][-1]["sample"] == [
        {
            "city_id": 1,
            "drop_id": str(drop_id),
            "ledger_version": statement.version,
            "gate_version": statement.version + 1,
            "ledger_remaining": 7,
            "gate_permits": 1_000_000,
        }
    ]
