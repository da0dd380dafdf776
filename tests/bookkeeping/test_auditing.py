"""What `fairdrop audit` prints, and when it fails."""

import io
from uuid import UUID

import asyncpg
from rich.console import Console

from services.auditing import audit, print_report
from shared.bookkeeping.invariants import Check, is_sound, queries
from shared.embedded.servers import EmbeddedServers
from tests import builders

NO_REDIS = "unix:///nowhere/valkey.sock"


def printed(checks: list[Check], width: int = 120) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_report(checks, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def live_drop(owner: asyncpg.Connection) -> UUID:
    drop_id = await builders.make_drop(owner, await builders.make_programme(owner))
    await builders.publish(owner, drop_id)
    await builders.issue(owner, drop_id, 4)
    return drop_id


async def test_sound_books_are_reported_as_sound(
    owner: asyncpg.Connection, database_url: str, servers: EmbeddedServers
) -> None:
    await live_drop(owner)
    checks = await audit(database_url, servers.redis_url)
    report = printed(checks)
    assert is_sound(checks)
    assert len(checks) == len(queries()) + 1
    assert all(check.name in report for check in checks)
    assert f"Sound: {len(checks)} checks found no offender." in report


async def test_the_report_names_the_tampered_rows(
    owner: asyncpg.Connection, database_url: str
) -> None:
    drop_id = await live_drop(owner)
    await owner.execute("UPDATE campaign.drops SET live = 7, issued = 9")
    checks = await audit(database_url, None)
    report = printed(checks, width=80)
    assert not is_sound(checks)
    assert "I1_live_is_counted, 1 of 1 offenders:" in report
    assert f"  city_id 1, drop_id {drop_id}, counter 7, live_claims 4\n" in report
    assert "I1_serials_gap_free, 1 of 1 offenders:" in report
    assert f"Not sound: 2 of {len(queries())} checks found 2 offenders." in report


async def test_the_sample_is_bounded_and_the_count_exact(
    owner: asyncpg.Connection, database_url: str
) -> None:
    await live_drop(owner)
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(
        "INSERT INTO ledger.journals (city_id, journal_id, programme_id, kind, event,"
        " accounting_date, posted_at, actor) SELECT 1, gen_random_uuid(), gen_random_uuid(),"
        " 'J1', n::text, current_date, now(), '[bold]x' FROM generate_series(1, 12) AS n"
    )
    checks = {check.name: check for check in await audit(database_url, None)}
    assert checks["I9_events_have_their_journals"].offenders == 12
    assert len(checks["I9_events_have_their_journals"].sample) == 5
    assert "I9_events_have_their_journals, 5 of 12 offenders:" in printed([*checks.values()])


async def test_a_gate_that_does_not_answer_is_no_sound_gate(
    owner: asyncpg.Connection, database_url: str
) -> None:
    await live_drop(owner)
    checks = await audit(database_url, NO_REDIS)
    assert [check.name for check in checks if check.offenders] == ["I10_gates_follow_the_ledger"]
    assert "gate does not answer" in printed(checks)
