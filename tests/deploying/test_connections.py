"""Every connection that the pods of an overlay may open, against what its Postgres takes."""

import importlib
import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from shared.db import database
from shared.embedded.servers import EmbeddedServers
from shared.settings import Settings
from tests.deploying.rendering import K8S, REPOSITORY, SERVICES, Manifests
from tests.serving import environment_of

_POOLS = re.compile(r"#   (\w+) +\((\d+) \+ 1\) x +(\d+) = +(\d+)")
_MIGRATION = re.compile(r"#   migrate +1 +x +(\d+) = +(\d+)")
_CONNECTIONS_MAX = re.compile(r"#   max_connections (\d+)")
_DOCUMENTED = re.compile(r"^\| (\w+) \| (\d+)\b", re.MULTILINE)
# The rest is for the operator of the database, backups, the audit, and the pods of a big drop.
_SHARE_MAX = 0.85


@pytest.fixture
async def pool_sizes(
    database_url: str, servers: EmbeddedServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    """Start each service and count the connections that its pools may hold."""
    opened: list[int] = []
    create_pool: Any = asyncpg.create_pool
    create_engine: Any = create_async_engine

    def count_pool(*arguments: object, max_size: int, **options: object) -> object:
        opened.append(max_size)
        return create_pool(*arguments, max_size=max_size, **options)

    def count_engine(url: str, *, pool_size: int, max_overflow: int, **options: object) -> object:
        opened.append(pool_size + max_overflow)
        return create_engine(url, pool_size=pool_size, max_overflow=max_overflow, **options)

    monkeypatch.setattr(asyncpg, "create_pool", count_pool)
    monkeypatch.setattr(database, "create_async_engine", count_engine)
    environment = environment_of(Settings(database_url, servers.redis_url, tmp_path))
    sizes = {}
    for service in SERVICES:
        module = importlib.import_module(f"services.{service}.app")
        app = getattr(module, "create_api", module.create)(environment)
        async with app.router.lifespan_context(app):
            sizes[service] = sum(opened)
        opened.clear()
    return sizes


async def test_connections_fit_postgres(manifests: Manifests, pool_sizes: dict[str, int]) -> None:
    text = _arithmetic(manifests.overlay)
    written = {name: tuple(map(int, rest)) for name, *rest in _POOLS.findall(text)}
    deployments = manifests.of_kind("Deployment")
    replicas = {name: deployments[name]["spec"]["replicas"] for name in SERVICES}
    assert written == {
        name: (replicas[name], pool_sizes[name], (replicas[name] + 1) * pool_sizes[name])
        for name in SERVICES
    }
    [(migration, migrations)] = _MIGRATION.findall(text)
    assert migration == migrations
    [connections_max] = _CONNECTIONS_MAX.findall(text)
    taken = sum(total for *_, total in written.values()) + int(migrations)
    assert taken <= _SHARE_MAX * int(connections_max)


def test_the_documentation_has_the_same_numbers(pool_sizes: dict[str, int]) -> None:
    text = (REPOSITORY / "docs" / "deploying.md").read_text()
    assert {name: int(size) for name, size in _DOCUMENTED.findall(text)} == pool_sizes


def _arithmetic(overlay: str) -> str:
    return (K8S / "overlays" / overlay / "kustomization.yaml").read_text()
