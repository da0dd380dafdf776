"""The demo from end to end, on real servers."""

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from services.demo import playing
from services.demo.playing import DemoOptions, play
from services.demo.stack import empty_data_dir
from services.programme_file import NotPlayableError
from shared.bookkeeping.invariants import Check
from shared.embedded.datadir import DataDir
from shared.embedded.servers import erase
from tests.demo.chromium import Chromium, View

EXAMPLES = Path(__file__).parents[2] / "examples"
HANGZHOU = "hangzhou-2020-round-5.toml"
CHENGDU = "chengdu-2022-ecny.toml"
FAIRDROP = Path(sys.executable).with_name("fairdrop")
ENDED_WITHIN_S = 180
SERVERS_ARE_UP = b"Servers "
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
BROKEN_CHECKS = "document.querySelectorAll('.checks .is-bad, .tally.is-bad').length"
SHORTER = {
    # The crowd has all come after three seconds, and the week has three days.
    r"tail_ends_s = [\d.]+": "tail_ends_s = 3.0",
    r"percent_by_day = \[.*\]": "percent_by_day = [50, 30, 20]",
    r"rejected_payouts = 3": "rejected_payouts = 2",
}
ONE_DAY = {
    r"percent_by_day = \[.*\]": "percent_by_day = [100]",
    r"rejected_payouts = 2": "rejected_payouts = 0",
    r"(omit|extra|amount|duplicate|direction) = \d": r"\1 = 0",
}


def shortened(name: str, to: Path, changes: dict[str, str]) -> Path:
    """Write an example with some of it changed, each change in one place at least."""
    text = (EXAMPLES / name).read_text()
    for pattern, instead in changes.items():
        text, made = re.subn(pattern, instead, text)
        assert made or "rejected" in pattern, f"{name} has no {pattern}"
    path = to / name
    path.write_text(text)
    return path


@dataclass(frozen=True, slots=True)
class Run:
    """A demo that has ended, and its data dir."""

    ended: subprocess.CompletedProcess[str]
    data: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Both programmes, played by the command."""
    folder = tmp_path_factory.mktemp("played")
    data = folder / "demo"
    programmes = [shortened(name, folder, SHORTER) for name in (HANGZHOU, CHENGDU)]
    ended = subprocess.run(
        demo_command(data, *programmes),
        capture_output=True,
        text=True,
        timeout=ENDED_WITHIN_S,
        check=False,
    )
    yield Run(ended, data)
    erase(DataDir(data))


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "demo"
    yield path
    erase(DataDir(path))


@pytest.fixture
def hangzhou(tmp_path: Path) -> Path:
    return shortened(HANGZHOU, tmp_path, SHORTER)


def demo_command(data: Path, *programmes: Path) -> list[str]:
    named = [part for path in programmes for part in ("--programme", str(path))]
    return [str(FAIRDROP), "demo", "--scale", "100", *named, "--data", str(data)]


def rows_of(told: str) -> dict[str, str]:
    """Return the tables' rows by their first column, all other columns together."""
    found = re.findall(r"^│ (.+?) +│ (.+) │$", told, re.MULTILINE)
    return {first: squeezed(rest) for first, rest in found}


def squeezed(told: str) -> str:
    """Return cells of tables with one space between what stands in them."""
    return re.sub(r"[ │]*│[ │]*", " | ", told).strip()


def test_two_programmes_from_the_money_to_the_reconciled_statement(run: Run) -> None:
    ended, data = run.ended, run.data
    told = ended.stdout
    assert ended.returncode == 0, told + ended.stderr
    assert ended.stderr == ""
    assert "\x1b" not in told
    assert "found no offender" in told
    assert f"fairdrop audit --data {data}" in told
    assert DataDir(data).read_run() is None
    of_hangzhou, of_chengdu = told.split("Hangzhou consumption vouchers 2020   ", 1)[1].split(
        "Chengdu digital-yuan vouchers 2022   ", 1
    )

    rows = rows_of(of_hangzhou)
    assert rows["residents"] == "400, of them 4 bots"
    assert rows["packs won"].startswith("100, ")
    assert rows["residents told sold out"] == "300"
    assert int(rows["told not_open"].replace(",", "")) > 0
    assert rows["vouchers redeemed"] == "351 of 500, 70.2%"
    assert rows["at the tills: released"] == "2"
    assert rows["at the tills: late original refused"] == "3"
    assert rows["at the tills: second till refused"] == "3"
    assert rows["at the tills: told the same again"] == "7"
    assert rows["at the tills: redeemed by a quote"] == "35"
    assert rows["sum"].startswith("351 | 3,510.00 | ")
    # City 70 %, platform 10 %, the merchants' own pool 20 %, which shops bear themselves.
    assert "3,500.00 | 500.00 | 1,000.00 | 5,000.00" in rows["the funders"]
    money = squeezed(of_hangzhou)
    assert "Redeemed | Paid to shops by bank | 2,457.00 | 351.00 | 2,808.00" in money
    assert "Redeemed | Borne by the shops | 702.00 | 702.00" in money
    assert "Expired unused | Returned to its funder | 1,043.00 | 149.00 | 1,192.00" in money
    assert "Expired unused | Pledge never drawn | 298.00 | 298.00" in money

    rows = rows_of(of_chengdu)
    assert rows["vouchers redeemed"] == "80 of 100, 80.0%"
    money = squeezed(of_chengdu)
    assert "Redeemed | Paid to shops in e-CNY | 4,480.00 | 1,280.00 | 640.00 | 6,400.00" in money
    assert (
        "Expired unused | Returned to its funder | 1,120.00 | 320.00 | 160.00 | 1,600.00" in money
    )

    report = (data / "report.html").read_text(encoding="utf-8")
    checks = re.search(r"All (\d+) checks hold", report)
    assert checks is not None
    assert f"Sound: {checks[1]} checks found no offender" in told
    assert "8 planted, 8 of them found, 0 others found" in report
    assert "5 planted, 5 of them found, 0 others found" in report


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("anchor", ["", "#zh"])
async def test_the_report_of_a_run_opens_without_a_complaint(
    chromium: Chromium, run: Run, width: int, anchor: str
) -> None:
    report = (run.data / "report.html").as_uri()

    async with chromium.opened(f"{report}{anchor}", View(width=width)) as page:
        assert await page.evaluate(OVERFLOW) == 0
        assert await page.evaluate(BROKEN_CHECKS) == 0
        assert page.heard.complaints == []
        assert page.heard.outside == []


async def test_an_offender_makes_the_demo_fail(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_an_offender(_postgres_url: str, _redis_url: str) -> list[Check]:
        return [Check("I5_books_balance", "Debits equal credits.", 1, [{"journal_id": "x"}])]

    monkeypatch.setattr(playing, "audit", find_an_offender)
    quick = shortened(HANGZHOU, tmp_path, SHORTER | ONE_DAY)
    written = io.StringIO()

    exit_code = await play(DemoOptions((quick,), data, packs=100), Console(file=written))

    told = written.getvalue()
    assert exit_code == 1, told
    assert "found 1 offenders" in told
    assert DataDir(data).read_run() is None
    report = (data / "report.html").read_text(encoding="utf-8")
    assert "1 of 21 checks found something wrong" in report


async def test_servers_that_do_not_start_are_told_with_their_log(
    hangzhou: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_data_dir(data)
    monkeypatch.setattr(playing, "empty_data_dir", lambda _path: None)
    written = io.StringIO()

    with DataDir(data).lock():
        exit_code = await play(DemoOptions((hangzhou,), data, packs=100), Console(file=written))

    told = written.getvalue()
    assert exit_code == 1, told
    assert "fairdrop serve ended before it was ready" in told
    assert f"in use by process {os.getpid()}" in told


@pytest.mark.parametrize(
    ("number", "exit_codes"), [(signal.SIGTERM, {1}), (signal.SIGINT, {130, 1})]
)
async def test_a_signal_stops_the_servers(
    hangzhou: Path, data: Path, number: signal.Signals, exit_codes: set[int]
) -> None:
    process = await asyncio.create_subprocess_exec(
        *demo_command(data, hangzhou),
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
    assert not list((data / "simulators").glob("*.url"))
    with pytest.raises(ProcessLookupError):
        os.kill(pids["postgres"], 0)


@pytest.mark.parametrize("name", ["shanghai-2022-lottery.toml", "luohu-2020-ecny-packet.toml"])
def test_what_cannot_be_played_yet_starts_nothing(data: Path, name: str) -> None:
    options = DemoOptions((EXAMPLES / name,), data, packs=None)

    with pytest.raises(NotPlayableError, match="can be read, but not be played yet"):
        asyncio.run(play(options, Console(file=io.StringIO())))
    assert not data.exists()
