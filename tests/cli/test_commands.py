"""The commands as a user types them, on a data dir of their own."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from services.durations import parse_duration
from services.reaching import servers
from shared.auth.tokens import open_verifier
from shared.embedded.datadir import DataDir
from shared.embedded.servers import erase
from tests import builders

_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("cli") / "data"
    yield path
    erase(DataDir(path))


def fairdrop(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


async def test_tokens_are_what_the_services_accept(data: Path) -> None:
    resident = await asyncio.to_thread(
        fairdrop,
        *("token", "--role", "resident", "--sub", "alice", "--attr", "city=330100"),
        *("--attr", "lanes=senior,assisted", "--data", str(data)),
    )
    staff = await asyncio.to_thread(
        fairdrop,
        *("token", "--role", "finance", "--sub", "bob", "--city", "330100", "--city", "*"),
        *("--data", str(data)),
    )
    verifier = await open_verifier(data, {})
    alice = verifier.verify(resident.stdout.strip())
    assert alice.subject == "alice"
    assert alice.roles == frozenset({"resident"})
    assert alice.attributes.city == "330100"
    assert alice.attributes.lanes == frozenset({"senior", "assisted"})
    bob = verifier.verify(staff.stdout.strip())
    assert bob.roles == frozenset({"finance"})
    assert bob.cities == frozenset({"330100", "*"})


def test_tokens_are_counted(data: Path) -> None:
    made = fairdrop(
        "token", "--role", "resident", "--sub", "r", "--count", "3", "--data", str(data)
    )
    assert made.returncode == 0
    assert len(set(made.stdout.split())) == 3


async def test_audit_tells_a_sound_book_from_a_tampered_one(data: Path) -> None:
    async with servers(data) as reached:
        owner = await asyncpg.connect(reached.postgres_url)
        programme = await builders.make_programme(owner)
        drop_id = await builders.make_drop(owner, programme)
        await builders.publish(owner, drop_id)
        await builders.issue(owner, drop_id, 3)
        await owner.close()
    sound = await asyncio.to_thread(fairdrop, "audit", "--data", str(data))
    assert sound.returncode == 0, sound.stdout + sound.stderr
    assert "Sound" in sound.stdout

    async with servers(data) as reached:
        owner = await asyncpg.connect(reached.postgres_url)
        await owner.execute("SET session_replication_role = replica")
        await owner.execute("DELETE FROM claim.claims WHERE serial = 2")
        await owner.close()
    unsound = await asyncio.to_thread(fairdrop, "audit", "--data", str(data))
    assert unsound.returncode == 1
    for name in ("I1_serials_gap_free", "I1_live_is_counted", "I7_outstanding_is_unused_vouchers"):
        assert re.search(rf"^{name}, \d of \d offenders", unsound.stdout, re.MULTILINE), name
    assert "Not sound" in unsound.stdout


def test_the_clock_only_moves_forward_and_stays(data: Path) -> None:
    def shown() -> datetime:
        told = fairdrop("clock", "--data", str(data))
        assert told.returncode == 0, told.stderr
        return datetime.fromisoformat(told.stdout.split()[0])

    before = shown()
    assert abs(before - datetime.now(UTC)) < timedelta(minutes=1)
    moved = fairdrop("clock", "--advance", "8d12h", "--data", str(data))
    assert moved.returncode == 0, moved.stderr
    assert timedelta(days=8, hours=12) <= shown() - before < timedelta(days=8, hours=12, minutes=1)
    refused = fairdrop("clock", "--advance", "yesterday", "--data", str(data))
    assert refused.returncode == 2
    assert "1d12h" in refused.stderr


def test_seeding_needs_something_that_serves(data: Path) -> None:
    refused = fairdrop("seed", "examples/hangzhou-2020-round-5.toml", "--data", str(data))
    assert refused.returncode == 1
    assert f"fairdrop serve --data {data}" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8d", timedelta(days=8)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("90s", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "8", "d", "-1d", "1w", "1d ", "9999999d"])
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match="1d12h"):
        parse_duration(text)
