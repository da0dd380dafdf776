"""What the environment tells a process; docs/configuration.md lists every variable."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

POSTGRES_VARIABLE = "FAIRDROP_POSTGRES_URL"
REDIS_VARIABLE = "FAIRDROP_REDIS_URL"
DATA_VARIABLE = "FAIRDROP_DATA"
DATA_DIR_DEFAULT = Path(".fairdrop")


class SettingsError(Exception):
    """A variable that a process needs is missing; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The addresses of a service process, whose role `postgres_url` logs in as."""

    postgres_url: str
    redis_url: str
    data_dir: Path

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings of a service process. Raises SettingsError."""
        missing = [name for name in (POSTGRES_VARIABLE, REDIS_VARIABLE) if not environ.get(name)]
        if missing:
            raise SettingsError(
                f"{' and '.join(missing)} must be set for a service process;"
                " `fairdrop serve` sets them for those it starts"
            )
        return cls(
            postgres_url=environ[POSTGRES_VARIABLE],
            redis_url=environ[REDIS_VARIABLE],
            data_dir=data_dir(environ),
        )


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the data dir that the environment names, else the one in this folder."""
    return Path(environ.get(DATA_VARIABLE) or DATA_DIR_DEFAULT)
