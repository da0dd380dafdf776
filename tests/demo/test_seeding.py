"""A programme file becomes a programme, on real servers with a simulated bank and operator."""

import asyncio
import io
import json
import shutil
import stat
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from rich.console import Console

from services.demo.desk import desk_at
from services.demo.stack import Stack, empty_data_dir, serving
from services.demo.till import Till, TillLine
from services.demo.treasury import reach_treasury
from services.demo.wire import Wire
from services.programme_file import NotPlayableError
from services.seeding import FINANCE, Seeded, SeedRefusedError, seed_file
from shared.auth.development_keys import DevelopmentIssuer
from shared.auth.roles import Role
from shared.counterparties import BANK, ECNY_OPERATOR
from shared.embedded.datadir import DataDir
from shared.embedded.servers import erase

EXAMPLES = Path(__file__).parents[2] / "examples"
HANGZHOU = EXAMPLES / "hangzhou-2020-round-5.toml"
CHENGDU = EXAMPLES / "chengdu-2022-ecny.toml"


@pytest_asyncio.fixture(scope="module")
async def data(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    path = tmp_path_factory.mktemp("seeding") / "data"
    yield path
    erase(DataDir(path))


@pytest_asyncio.fixture(scope="module")
async def stack(data: Path) -> AsyncIterator[Stack]:
    empty_data_dir(data)
    async with serving(data, simulated=(BANK, ECNY_OPERATOR)) as stack:
        yield stack


async def seed(file: Path, stack: Stack, data: Path) -> tuple[Seeded, str]:
    """Seed a file and return what was made with what was told."""
    written = io.StringIO()
    console = Console(file=written, width=200)
    seeded = await seed_file(file, stack.urls, DevelopmentIssuer(data), console, data=data)
    return seeded, written.getvalue()


async def test_hangzhou_is_made_at_its_real_size(stack: Stack, data: Path) -> None:
    seeded, told = await seed(HANGZHOU, stack, data)

    [drop] = seeded.drops
    async with desk_at(stack.urls["claim"]) as page:
        shown = await page.get(f"/v1/drops/{drop.drop_id}")
    assert (shown["quota"], shown["remaining"], shown["state"]) == (1_500_000, 1_500_000, "live")
    assert drop.closes_at - drop.opens_at == timedelta(hours=4)
    assert len(seeded.shops) == 28
    assert len(seeded.tills_for("general")) == 56
    assert "were moved so that the first opens in 10 seconds" in told
    assert drop.drop_id in told
    assert "Noodle shop 1 to 16" in told


async def test_money_comes_in_at_the_bank_before_it_is_booked(stack: Stack, data: Path) -> None:
    seeded, _ = await seed(HANGZHOU, stack, data)

    async with reach_treasury(data) as treasury:
        assert treasury.bank is not None
        account = await treasury.bank.get(f"/v1/accounts/{seeded.programme_id}")
    # The city's payment, and the pledge that the platform has paid; the merchants' is a promise.
    assert account["balance_fen"] == 5_250_000_000 + 750_000_000


async def test_the_money_of_a_digital_yuan_drop_lies_in_its_wallet(
    stack: Stack, data: Path
) -> None:
    seeded, _ = await seed(CHENGDU, stack, data)

    issuer = DevelopmentIssuer(data)
    token = issuer.issue(FINANCE, [Role.FINANCE], cities=["510100"])
    async with reach_treasury(data) as treasury, desk_at(stack.urls["ledger"], token) as finance:
        assert treasury.bank is not None
        assert treasury.operator is not None
        wallet = await treasury.operator.get(f"/v1/wallets/{seeded.programme_id}")
        account = await treasury.bank.get(f"/v1/accounts/{seeded.programme_id}")
        book = await finance.get("/v1/trial-balance", programme_id=seeded.programme_id)
        # The treasurer looks again and has nothing left to do.
        await treasury.carry_out(finance, seeded.programme_id)
        again = await treasury.operator.get(f"/v1/wallets/{seeded.programme_id}")
    booked = {account["code"]: account["debit_fen"] for account in book["accounts"]}
    assert wallet["balance_fen"] == booked["wallet:main"] == 1_772_020_000
    assert account["balance_fen"] == booked["bank:main"] == 1_790_000_000 - 1_772_020_000
    assert again == wallet


async def test_a_till_of_the_key_file_is_known_by_its_signature(stack: Stack, data: Path) -> None:
    seeded, told = await seed(CHENGDU, stack, data)

    file = data / "tills" / f"{seeded.programme_id}.json"
    tills = json.loads(file.read_text())
    assert str(file) in told
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(tills) == 12
    assert not any(till["secret"] in told for till in tills)
    first, second = (
        Till(till["merchant_id"], till["terminal_id"], till["key_id"], till["secret"])
        for till in tills[:2]
    )
    forged = Till(first.merchant_id, first.terminal_id, first.key_id, second.secret)
    wire = Wire(stack.urls["redeem"], connections_max=1)
    known = await TillLine(wire).read_back(first, "never-sent")
    refused = await TillLine(wire).read_back(forged, "never-sent")
    wire.close()
    assert (known.status, known.code) == (404, "not_found")
    assert (refused.status, refused.code) == (401, "bad_signature")


@pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("curl")), reason="openssl and curl are not here"
)
async def test_a_till_needs_nothing_but_openssl_and_curl(stack: Stack, data: Path) -> None:
    seeded, _ = await seed(CHENGDU, stack, data)
    keys = data / "tills" / f"{seeded.programme_id}.json"

    async def send(*request: str) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            EXAMPLES / "till.sh", keys, *request, stdout=subprocess.PIPE
        )
        written, _ = await process.communicate()
        told: dict[str, Any] = json.loads(written)
        return told

    url = stack.urls["redeem"]
    not_sent = await send("GET", f"{url}/v1/redemptions?request_no=never-sent")
    quote = {"code": "1nonsense", "order_amount_fen": 12000, "category": "jd-self-operated"}
    not_a_code = await send("POST", f"{url}/v1/quotes", json.dumps(quote))
    assert not_sent["code"] == "not_found"
    assert not_a_code["code"] == "bad_code"


async def test_a_file_to_come_keeps_its_times(stack: Stack, data: Path, tmp_path: Path) -> None:
    to_come = tmp_path / "to-come.toml"
    to_come.write_text(HANGZHOU.read_text().replace("2020-04-2", "2090-04-2"))

    kept, _ = await seed(to_come, stack, data)

    assert kept.moved_by == timedelta()
    assert kept.drops[0].opens_at == datetime(2090, 4, 20, 12, tzinfo=UTC)


async def test_a_token_of_another_deployment_is_refused(
    stack: Stack, data: Path, tmp_path: Path
) -> None:
    stranger = DevelopmentIssuer(tmp_path)
    console = Console(file=io.StringIO())

    with pytest.raises(SeedRefusedError, match="401 unauthenticated"):
        await seed_file(HANGZHOU, stack.urls, stranger, console, data=data)


@pytest.mark.parametrize("name", ["shanghai-2022-lottery.toml", "luohu-2020-ecny-packet.toml"])
async def test_what_cannot_be_played_yet_is_not_seeded(stack: Stack, data: Path, name: str) -> None:
    with pytest.raises(NotPlayableError, match="can be read, but not be played yet"):
        await seed(EXAMPLES / name, stack, data)
