"""What the environment tells this service."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A variable is missing; the message names it."""


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """`postgres_url` logs in as fairdrop_campaign."""

    postgres_url: str
    redis_url: str
    data_dir: Path


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the variables that `fairdrop serve` sets. Raises SettingsError."""
    return Settings(
        postgres_url=_required(environ, "FAIRDROP_POSTGRES_URL"),
        redis_url=_required(environ, "FAIRDROP_REDIS_URL"),
        data_dir=Path(environ.get("FAIRDROP_DATA", ".fairdrop")),
    )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise SettingsError(f"{name} is not set; `fairdrop serve` sets it for every service")
    return value
