"""The demo from end to end, on real servers."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from rich.console import Console

from services.demo import playing
from services.demo.playing import DemoOptions, play
from services.demo.stack import empty_data_dir, serving
from services.seeding import SeedRefusedError, seed_file
from shared.auth.development_keys import DevelopmentIssuer
from shared.bookkeeping.invariants import Check
from shared.embedded.datadir import DataDir
from shared.embedded.servers import erase

HANGZHOU = Path(__file__).parents[2] / "examples" / "hangzhou-2020-round-5.toml"
FAIRDROP = Path(sys.executable).with_name("fairdrop")
ENDED_WITHIN_S = 90
SERVERS_ARE_UP = b"Servers "


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "demo"
    yield path
    erase(DataDir(path))


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """The programme with a crowd that has all come after four seconds instead of twenty."""
    path = tmp_path / "quick.toml"
    text = HANGZHOU.read_text()
    assert "tail_ends_s = 20.0" in text
    path.write_text(text.replace("tail_ends_s = 20.0", "tail_ends_s = 4.0"))
    return path


def demo_command(programme: Path, data: Path) -> list[str]:
    return [
        *(str(FAIRDROP), "demo", "--scale", "300"),
        *("--programme", str(programme), "--data", str(data)),
    ]


def test_300_packs_sell_out_to_1200_residents_and_the_books_are_sound(
    quick: Path, data: Path
) -> None:
    ended = subprocess.run(
        demo_command(quick, data),
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN_S,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert "\x1b" not in ended.stdout
    rows = dict(re.findall(r"^│ (.+?) +│ (.+?) +│$", ended.stdout, re.MULTILINE))
    assert rows["residents"] == "1,200, of them 12 bots"
    assert rows["packs won"].startswith("300, ")
    assert rows["residents told sold out"] == "900"
    assert int(rows["told not_open"].replace(",", "")) > 0
    assert re.search(r"│ outstanding .*│ +15,000\.00 │", ended.stdout)
    assert re.search(r"│ bank .*│ 12,000\.00 │ ", ended.stdout)
    assert "found no offender" in ended.stdout
    assert f"fairdrop audit --data {data}" in ended.stdout
    assert DataDir(data).read_run() is None


async def test_an_offender_makes_the_demo_fail(
    quick: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_an_offender(_postgres_url: str, _redis_url: str) -> list[Check]:
        return [Check("I5_books_balance", "Debits equal credits.", 1, [{"journal_id": "x"}])]

    monkeypatch.setattr(playing, "audit", find_an_offender)
    written = io.StringIO()

    exit_code = await play(DemoOptions(quick, data, packs=100), Console(file=written))

    told = written.getvalue()
    assert exit_code == 1, told
    assert "found 1 offenders" in told
    assert DataDir(data).read_run() is None


async def test_servers_that_do_not_start_are_told_with_their_log(
    quick: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_data_dir(data)
    monkeypatch.setattr(playing, "empty_data_dir", lambda _path: None)
    written = io.StringIO()

    with DataDir(data).lock():
        exit_code = await play(DemoOptions(quick, data, packs=100), Console(file=written))

    told = written.getvalue()
    assert exit_code == 1, told
    assert "The servers ended before they were ready" in told
    assert f"in use by process {os.getpid()}" in told


@pytest.mark.parametrize(
    ("number", "exit_codes"), [(signal.SIGTERM, {1}), (signal.SIGINT, {130, 1})]
)
async def test_a_signal_stops_the_servers(
    quick: Path, data: Path, number: signal.Signals, exit_codes: set[int]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *demo_command(quick, data),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    async with asyncio.timeout(ENDED_WITHIN_S):
        await process.stdout.readuntil(SERVERS_ARE_UP)
        pids = (DataDir(data).read_run() or {})["pids"]
        process.send_signal(number)
        await process.communicate()

    assert process.returncode in exit_codes
    assert DataDir(data).read_run() is None
    with pytest.raises(ProcessLookupError):
        os.kill(pids["postgres"], 0)


async def test_a_programme_is_seeded_at_its_real_size(tmp_path: Path, data: Path) -> None:
    written = io.StringIO()
    to_come = tmp_path / "to-come.toml"
    to_come.write_text(HANGZHOU.read_text().replace("2020-04-2", "2090-04-2"))
    empty_data_dir(data)
    async with serving(data) as stack, aiohttp.ClientSession() as session:
        issuer = DevelopmentIssuer(data)
        seeded = await seed_file(HANGZHOU, stack.urls, issuer, Console(file=written, width=200))
        [drop] = seeded.drops
        async with session.get(f"{stack.urls['claim']}/v1/drops/{drop.drop_id}") as answer:
            shown = await answer.json()
        kept = await seed_file(to_come, stack.urls, issuer, Console(file=io.StringIO()))
        stranger = DevelopmentIssuer(data / "elsewhere")
        with pytest.raises(SeedRefusedError, match="401 unauthenticated"):
            await seed_file(HANGZHOU, stack.urls, stranger, Console(file=written))

    assert (shown["quota"], shown["remaining"], shown["state"]) == (1_500_000, 1_500_000, "live")
    assert drop.closes_at - drop.opens_at == timedelta(hours=4)
    assert kept.moved_by == timedelta()
    assert kept.drops[0].opens_at == datetime(2090, 4, 20, 12, tzinfo=UTC)
    assert "were moved so that the first opens in 10 seconds" in written.getvalue()
    assert drop.drop_id in written.getvalue()
