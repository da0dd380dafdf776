"""Database URLs: the owner's, and those of the login roles derived from it."""

from urllib.parse import quote, urlsplit, urlunsplit

from shared.secrets import Secrets

SERVICES = ("campaign", "claim", "redeem", "ledger", "auditor")


def role_name(service: str) -> str:
    """Return the login role of a service; `auditor` reads every city and writes nothing."""
    if service not in SERVICES:
        raise ValueError(f"{service!r} is none of {', '.join(SERVICES)}")
    return f"fairdrop_{service}"


def service_url(owner_url: str, service: str, secrets: Secrets) -> str:
    """Return the URL with which one service reaches the database that `owner_url` names."""
    parts = urlsplit(owner_url)
    role = role_name(service)
    _, _, address = parts.netloc.rpartition("@")
    login = f"{quote(role)}:{quote(secrets.role_password(role))}"
    return urlunsplit(parts._replace(netloc=f"{login}@{address}"))


def sqlalchemy_url(url: str) -> str:
    """Return a libpq-style URL in the form that SQLAlchemy's asyncpg dialect takes."""
    scheme, separator, rest = url.partition("://")
    if scheme not in {"postgresql", "postgres"} or not separator:
        raise ValueError("a Postgres URL begins with postgresql://")
    return f"postgresql+asyncpg://{rest}"
