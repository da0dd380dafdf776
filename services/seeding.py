"""Seeding: a programme file becomes a programme with money, shops with tills, published drops."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from services.demo.desk import Desk, DeskError, desk_at
from services.demo.reporting import yuan
from services.demo.till import Till
from services.demo.treasury import Treasury, reach_treasury
from services.programme_file import (
    DropOfFile,
    MerchantGroup,
    ProgrammeFile,
    ProgrammeFileError,
    read_playable_file,
)
from shared.auth.roles import Role
from shared.clock import CITY_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from shared.auth.development_keys import DevelopmentIssuer

__all__ = [
    "ProgrammeFileError",
    "SeedRefusedError",
    "Seeded",
    "SeededDrop",
    "SeededShop",
    "plant",
    "seed_file",
]

OPERATOR = "seeding"
APPROVER = "seeding-approver"
FINANCE = "seeding-finance"
OPENS_AFTER_S = 10.0
_SHOPS_AT_ONCE = 4
_FILE_MODE = 0o600


class SeedRefusedError(Exception):
    """A service refused a part of the programme, or did not answer."""


@dataclass(frozen=True, slots=True)
class SeededDrop:
    drop_id: str
    name: str
    rail: str
    quota: int
    pack_face_fen: int
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class SeededShop:
    """An approved shop and the tills that may take vouchers of its categories."""

    merchant_id: str
    name: str
    categories: tuple[str, ...]
    tills: tuple[Till, ...]


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was made. `moved_by` is how much later than in the file its drops are."""

    programme_id: str
    drops: tuple[SeededDrop, ...]
    shops: tuple[SeededShop, ...]
    moved_by: timedelta

    def tills_for(self, category: str) -> list[Till]:
        return [till for shop in self.shops if category in shop.categories for till in shop.tills]


async def seed_file(
    file: Path,
    urls: Mapping[str, str],
    issuer: "DevelopmentIssuer",
    console: "Console",
    *,
    data: Path,
) -> Seeded:
    """Create what a programme file describes, at its real size, and tell about it.

    A drop whose window lies behind cannot be published. If that is so for any drop of the file, all
    of them are moved by the same time, so that the first opens ten seconds from now; otherwise the
    file's own times are kept. The keys of the tills are written into the data dir.

    Raises:
        ProgrammeFileError: the file cannot be used, or not yet; nothing was created.
        SeedRefusedError: a service refused; what was created before stays.
    """
    read = read_playable_file(file)
    async with reach_treasury(data) as treasury:
        seeded = await plant(read, urls, issuer, treasury=treasury)
    keys = _write_keys(data, seeded)
    _print_seeded(read, seeded, keys, console)
    return seeded


async def plant(
    file: ProgrammeFile,
    urls: Mapping[str, str],
    issuer: "DevelopmentIssuer",
    *,
    treasury: Treasury | None = None,
    opens_at: datetime | None = None,
) -> Seeded:
    """Create a programme, its funding, its shops and its drops, and publish them.

    With `opens_at` the drops are moved so that the first opens then; without, only where the file's
    times have passed. With a treasury the simulated bank and operator are told of the money: of
    what comes in before it is booked, of what the books moved into the wallet after.

    Raises:
        SeedRefusedError: a service refused; what was created before stays.
    """
    cities = [file.programme.city_code]
    tokens = {
        role: issuer.issue(subject, [role], cities=cities)
        for role, subject in (
            (Role.OPERATOR, OPERATOR),
            (Role.APPROVER, APPROVER),
            (Role.FINANCE, FINANCE),
        )
    }
    try:
        async with AsyncExitStack() as open_desks:
            operator, approver, finance = [
                await open_desks.enter_async_context(desk_at(urls[service], tokens[role]))
                for service, role in (
                    ("campaign", Role.OPERATOR),
                    ("campaign", Role.APPROVER),
                    ("ledger", Role.FINANCE),
                )
            ]
            programme = await operator.post(
                "/v1/programmes", file.programme.model_dump(mode="json")
            )
            programme_id = programme["programme_id"]
            # The deployment's own clock, which may have been moved.
            now = datetime.fromisoformat(programme["created_at"])
            await _fund(file, programme_id, operator, treasury, now)
            shops = await _enrol(file, programme_id, operator, approver)
            moved_by = _shift(file, now, opens_at)
            drops = [
                await _publish(operator, drop, programme_id)
                for drop in file.shifted(moved_by).drops
            ]
            if treasury is not None:
                await treasury.carry_out(finance, programme_id)
    except DeskError as refused:
        raise SeedRefusedError(str(refused)) from refused
    return Seeded(programme_id, tuple(drops), tuple(shops), moved_by)


async def _fund(
    file: ProgrammeFile,
    programme_id: str,
    operator: Desk,
    treasury: Treasury | None,
    now: datetime,
) -> None:
    modes = {funder.funder_id: funder.mode for funder in file.programme.funders}
    names = {funder.funder_id: funder.name for funder in file.programme.funders}
    for payment in file.funding:
        is_cash = payment.settles_pledge or modes[payment.funder_id] == "cash"
        if treasury is not None and is_cash:
            await treasury.receive(
                programme_id, payment.reference, payment.amount_fen, names[payment.funder_id], now
            )
        body = payment.model_dump(mode="json", exclude_defaults=True)
        await operator.post(f"/v1/programmes/{programme_id}/funding", body)


async def _enrol(
    file: ProgrammeFile, programme_id: str, operator: Desk, approver: Desk
) -> "list[SeededShop]":
    """Enrol every shop, have another person approve it, and register its tills."""
    city_code = file.programme.city_code
    wanted = [(name, group) for group in file.merchants for name in group.shops]
    free = asyncio.Semaphore(_SHOPS_AT_ONCE)

    async def enrol(number: int, name: str, group: MerchantGroup) -> SeededShop:
        async with free:
            body = {
                "name": name,
                "city_code": city_code,
                "categories": group.categories,
                "programmes": [programme_id],
                "payout_account": f"6217{city_code}{number:09d}",
                "wallet_id": f"0021{city_code}{number:06d}",
            }
            merchant_id = (await operator.post("/v1/merchants", body))["merchant_id"]
            await approver.post(f"/v1/merchants/{merchant_id}/approve")
            path = f"/v1/merchants/{merchant_id}/terminals"
            issued = [await operator.post(path, {}) for _ in range(group.terminals)]
        tills = [
            Till(merchant_id, told["terminal_id"], told["key_id"], told["secret"])
            for told in issued
        ]
        return SeededShop(merchant_id, name, tuple(group.categories), tuple(tills))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(enrol(number, name, kind))
                for number, (name, kind) in enumerate(wanted, 1)
            ]
    except* DeskError as refusals:
        raise refusals.exceptions[0] from None
    return [task.result() for task in tasks]


def _shift(file: ProgrammeFile, now: datetime, opens_at: datetime | None) -> timedelta:
    if opens_at is None:
        if all(drop.closes_at > now for drop in file.drops):
            return timedelta()
        opens_at = now + timedelta(seconds=OPENS_AFTER_S)
    return opens_at - min(drop.opens_at for drop in file.drops)


async def _publish(operator: Desk, wanted: DropOfFile, programme_id: str) -> SeededDrop:
    drop = await operator.post("/v1/drops", wanted.draft(programme_id))
    await operator.post(f"/v1/drops/{drop['drop_id']}/publish")
    return SeededDrop(
        drop_id=drop["drop_id"],
        name=drop["name"],
        rail=wanted.rail,
        quota=drop["quota"],
        pack_face_fen=wanted.pack_face_fen,
        opens_at=datetime.fromisoformat(drop["opens_at"]),
        closes_at=datetime.fromisoformat(drop["closes_at"]),
    )


def _write_keys(data: Path, seeded: Seeded) -> Path:
    """Write every till's key where only the owner of the data dir can read it."""
    folder = data / "tills"
    folder.mkdir(exist_ok=True)
    path = folder / f"{seeded.programme_id}.json"
    tills: list[dict[str, Any]] = [
        {
            "shop": shop.name,
            "merchant_id": till.merchant_id,
            "categories": shop.categories,
            "terminal_id": till.terminal_id,
            "key_id": till.key_id,
            "secret": till.secret,
        }
        for shop in seeded.shops
        for till in shop.tills
    ]
    path.touch(_FILE_MODE)
    path.write_text(json.dumps(tills, ensure_ascii=False, indent=1))
    return path


def _print_seeded(file: ProgrammeFile, seeded: Seeded, keys: Path, to: "Console") -> None:
    to.print(f"programme {seeded.programme_id}", highlight=False)
    if seeded.moved_by:
        to.print(
            "The file's drops are over; they were moved so that the first opens in"
            f" {OPENS_AFTER_S:.0f} seconds.",
            highlight=False,
        )
    to.print(_money_table(file))
    to.print(_drops_table(seeded.drops))
    if seeded.shops:
        to.print(_shops_table(file, seeded))
        to.print(
            f"The keys of the tills are in {keys}; a till signs what it sends (RFC 9421).",
            highlight=False,
            soft_wrap=True,
        )


def _money_table(file: ProgrammeFile) -> Table:
    table = Table(title="Money, yuan", title_justify="left")
    table.add_column("funder")
    table.add_column("what")
    table.add_column("reference")
    table.add_column("amount", justify="right")
    modes = {funder.funder_id: funder.mode for funder in file.programme.funders}
    for payment in file.funding:
        what = "paid" if modes[payment.funder_id] == "cash" else "pledged"
        what = "pledge paid" if payment.settles_pledge else what
        table.add_row(payment.funder_id, what, payment.reference, yuan(payment.amount_fen))
    return table


def _drops_table(drops: "Sequence[SeededDrop]") -> Table:
    table = Table(title="Drops", title_justify="left")
    table.add_column("drop_id", no_wrap=True)
    for column in ("name", "rail", "opens", "closes"):
        table.add_column(column)
    table.add_column("packs", justify="right")
    for drop in drops:
        times = [
            f"{moment.astimezone(CITY_TIME):%Y-%m-%d %H:%M:%S}"
            for moment in (drop.opens_at, drop.closes_at)
        ]
        table.add_row(drop.drop_id, drop.name, drop.rail, *times, f"{drop.quota:,}")
    return table


def _shops_table(file: ProgrammeFile, seeded: Seeded) -> Table:
    table = Table(title="Shops", title_justify="left")
    table.add_column("shops")
    table.add_column("take")
    table.add_column("tills", justify="right")
    table.add_column("the first till's key_id", no_wrap=True)
    first = 0
    for group in file.merchants:
        shops = seeded.shops[first : first + group.count]
        first += group.count
        tills = [till for shop in shops for till in shop.tills]
        name = group.name if group.count == 1 else f"{group.name} 1 to {group.count}"
        table.add_row(name, ", ".join(group.categories), f"{len(tills):,}", tills[0].key_id)
    return table
