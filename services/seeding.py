"""Seeding: a programme file becomes a programme with money and published drops."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from services.programme_file import ProgrammeFile, ProgrammeFileError, read_programme_file
from shared.auth.roles import Role
from shared.clock import CITY_TIME

if TYPE_CHECKING:
    from rich.console import Console

    from shared.auth.development_keys import DevelopmentIssuer

__all__ = ["ProgrammeFileError", "SeedRefusedError", "Seeded", "SeededDrop", "plant", "seed_file"]

OPERATOR = "seeding"
OPENS_AFTER_S = 10.0
_REQUEST_TIMEOUT_S = 30


class SeedRefusedError(Exception):
    """The campaign service refused a part of the programme, or did not answer."""


@dataclass(frozen=True, slots=True)
class SeededDrop:
    drop_id: str
    name: str
    quota: int
    pack_face_fen: int
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class Seeded:
    """What was made. `moved_by` is how much later than in the file its drops are."""

    programme_id: str
    drops: tuple[SeededDrop, ...]
    moved_by: timedelta


async def seed_file(
    file: Path, urls: Mapping[str, str], issuer: "DevelopmentIssuer", console: "Console"
) -> Seeded:
    """Create what a programme file describes, at its real size, and tell about it.

    A drop whose window lies behind cannot be published. If that is so for any drop of the file, all
    of them are moved by the same time, so that the first opens ten seconds from now; otherwise the
    file's own times are kept.

    Raises:
        ProgrammeFileError: the file cannot be used; nothing was created.
        SeedRefusedError: a service refused; what was created before stays.
    """
    seeded = await plant(read_programme_file(file), urls, issuer)
    console.print(f"programme {seeded.programme_id}", highlight=False)
    if seeded.moved_by:
        console.print(
            "The file's drops are over; they were moved so that the first opens in"
            f" {OPENS_AFTER_S:.0f} seconds.",
            highlight=False,
        )
    for drop in seeded.drops:
        opens, closes = (
            moment.astimezone(CITY_TIME).isoformat(sep=" ", timespec="seconds")
            for moment in (drop.opens_at, drop.closes_at)
        )
        console.print(f"drop {drop.drop_id}  {drop.name}: {drop.quota:,} packs", highlight=False)
        console.print(f"  opens {opens}, closes {closes}", highlight=False)
    return seeded


async def plant(
    file: ProgrammeFile,
    urls: Mapping[str, str],
    issuer: "DevelopmentIssuer",
    *,
    opens_after_s: float | None = None,
) -> Seeded:
    """Create a programme, its funding and its drops, and publish them.

    With `opens_after_s` the drops are moved so that the first opens that long from now; without,
    only where the file's times have passed.

    Raises:
        SeedRefusedError: a service refused; what was created before stays.
    """
    token = issuer.issue(OPERATOR, [Role.OPERATOR], cities=[file.programme.city_code])
    async with aiohttp.ClientSession(
        urls["campaign"],
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
    ) as session:
        programme = await _post(session, "/v1/programmes", file.programme.model_dump(mode="json"))
        programme_id = programme["programme_id"]
        for payment in file.funding:
            body = payment.model_dump(mode="json", exclude_defaults=True)
            await _post(session, f"/v1/programmes/{programme_id}/funding", body)
        # The deployment's own clock, which may have been moved.
        now = datetime.fromisoformat(programme["created_at"])
        moved_by = _shift(file, now, opens_after_s)
        drops = [
            await _publish(session, {**body, "programme_id": programme_id})
            for body in _drafts(file.shifted(moved_by))
        ]
    return Seeded(programme_id, tuple(drops), moved_by)


def _drafts(file: ProgrammeFile) -> list[dict[str, Any]]:
    return [drop.model_dump(mode="json", exclude_none=True) for drop in file.drops]


def _shift(file: ProgrammeFile, now: datetime, opens_after_s: float | None) -> timedelta:
    if opens_after_s is None:
        if all(drop.closes_at > now for drop in file.drops):
            return timedelta()
        opens_after_s = OPENS_AFTER_S
    return now + timedelta(seconds=opens_after_s) - min(drop.opens_at for drop in file.drops)


async def _publish(session: aiohttp.ClientSession, draft: dict[str, Any]) -> SeededDrop:
    drop = await _post(session, "/v1/drops", draft)
    await _post(session, f"/v1/drops/{drop['drop_id']}/publish")
    return SeededDrop(
        drop_id=drop["drop_id"],
        name=drop["name"],
        quota=drop["quota"],
        pack_face_fen=sum(kind["face_fen"] * kind["count"] for kind in draft["pack"]),
        opens_at=datetime.fromisoformat(drop["opens_at"]),
        closes_at=datetime.fromisoformat(drop["closes_at"]),
    )


async def _post(
    session: aiohttp.ClientSession, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    try:
        async with session.post(path, json=body) as answer:
            told: dict[str, Any] = await answer.json(content_type=None)
            if answer.status < HTTPStatus.BAD_REQUEST:
                return told
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise SeedRefusedError(f"POST {path} got no usable answer: {error!r}") from error
    said = f"POST {path} was refused, {answer.status} {told.get('code')}: {told.get('detail')}"
    if fields := told.get("fields"):
        said += f" {fields}"
    if told.get("code") == "unauthenticated":
        said += " Seeding uses development tokens, which a deployment with FAIRDROP_JWKS refuses."
    raise SeedRefusedError(said)
