"""What a deployment does once, apart from its services: migrate, and learn the roles' URLs."""

from collections.abc import Mapping

from shared.db.urls import SERVICES, service_url
from shared.migrations.migrate import migrate
from shared.secrets import Secrets
from shared.settings import POSTGRES_VARIABLE, SettingsError


async def migrate_given(environ: Mapping[str, str], secrets: Secrets) -> None:
    """Migrate the database that the environment names; running it again changes nothing.

    Raises:
        SettingsError: the environment names none.
        NotDurableError, DatabaseNewerError: the database is not one that this version may use.
    """
    await migrate(_owner_url(environ), secrets)


def role_urls(environ: Mapping[str, str], secrets: Secrets) -> dict[str, str]:
    """Return the URL with which each service logs in, its password included.

    Raises:
        SettingsError: the environment names no database.
    """
    owner_url = _owner_url(environ)
    return {service: service_url(owner_url, service, secrets) for service in SERVICES}


def _owner_url(environ: Mapping[str, str]) -> str:
    url = environ.get(POSTGRES_VARIABLE)
    if not url:
        raise SettingsError(
            f"{POSTGRES_VARIABLE} must name a database as its owner;"
            " `fairdrop serve` migrates the one of a data dir by itself"
        )
    return url
