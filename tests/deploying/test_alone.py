"""What the manifests run, run here: each container's own arguments and variables, nothing else."""

import asyncio
import base64
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from typer.testing import CliRunner

from services.cli import app
from shared.embedded.servers import EmbeddedServers
from shared.secrets import MASTER_KEY_VARIABLE
from shared.settings import POSTGRES_VARIABLE, REDIS_VARIABLE
from tests.databases import SECRETS, CloneDatabase
from tests.deploying.rendering import SERVICES, Manifests

FAIRDROP = Path(sys.executable).with_name("fairdrop")
MASTER_KEY = base64.urlsafe_b64encode(SECRETS.master).decode()
_READY_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 30.0
_POLL_S = 0.05


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `fairdrop` to its end with these variables only."""
    return subprocess.run(
        [str(FAIRDROP), *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=_READY_WITHIN_S,
        check=False,
    )


class Cluster:
    """What a cluster puts behind the references of a manifest."""

    def __init__(self, manifests: Manifests, secrets: dict[tuple[str, str], str]) -> None:
        self._manifests = manifests
        self.secrets = secrets
        self.files: dict[str, str] = {}

    def environment(self, name: str) -> dict[str, str]:
        told = self._manifests.environment(name).items()
        values = {k: self.secrets[v] if isinstance(v, tuple) else v for k, v in told}
        return {k: self.files.get(v, v) for k, v in values.items()}

    def arguments(self, name: str) -> list[str]:
        return [str(argument) for argument in self._manifests.container(name)["args"]]


@pytest.fixture
async def cluster(
    prod: Manifests, servers: EmbeddedServers, clone_database: CloneDatabase, tmp_path: Path
) -> Cluster:
    """An empty database, a gate, and an identity provider's keys."""
    cluster = Cluster(
        prod,
        {
            ("postgres-urls", "owner"): await clone_database("template0"),
            ("valkey-url", "valkey-url"): servers.redis_url,
            ("master-key", "master-key"): MASTER_KEY,
        },
    )
    public = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [{**public, "kid": "city-1", "use": "sig"}]}))
    cluster.files["/etc/fairdrop/jwks.json"] = str(keys)
    return cluster


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A working directory that must stay as it is."""
    path = tmp_path / "nowhere"
    path.mkdir()
    return path


async def test_the_manifests_are_enough_to_run(cluster: Cluster, nowhere: Path) -> None:
    migration = cluster.environment("migrate")
    for _ in range(2):
        migrated = await asyncio.to_thread(
            run, *cluster.arguments("migrate"), cwd=nowhere, **migration
        )
        assert migrated.returncode == 0, migrated.stderr
    printed = await asyncio.to_thread(run, "urls", cwd=nowhere, **migration)
    urls = dict(line.split("=", 1) for line in printed.stdout.splitlines())
    assert urls.keys() == {*SERVICES, "auditor"}
    cluster.secrets |= {("postgres-urls", name): url for name, url in urls.items()}
    for name, url in urls.items():
        assert await _login(url) == f"fairdrop_{name}"

    await asyncio.gather(*(_serve_and_drain(cluster, name, nowhere) for name in SERVICES))
    assert os.listdir(nowhere) == []  # noqa: PTH208 - an iterator of a path may block the loop


async def _login(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT session_user")
    finally:
        await connection.close()


async def _serve_and_drain(cluster: Cluster, name: str, cwd: Path) -> None:
    arguments = cluster.arguments(name)
    port = _free_port()
    arguments[arguments.index("--host") + 1] = "127.0.0.1"  # nothing here listens to the outside
    arguments[arguments.index("--port") + 1] = str(port)
    process = await asyncio.create_subprocess_exec(
        str(FAIRDROP),
        *arguments,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **cluster.environment(name)},
        stderr=subprocess.PIPE,
    )
    try:
        assert await _ready(process, f"http://127.0.0.1:{port}"), await _last_words(process)
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), _STOPPED_WITHIN_S)
        assert code in {0, -signal.SIGTERM}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ready(process: asyncio.subprocess.Process, url: str) -> bool:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as client:
        for _ in range(int(_READY_WITHIN_S / _POLL_S)):
            if process.returncode is not None:
                return False
            try:
                async with client.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return True
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(_POLL_S)
    return False


async def _last_words(process: asyncio.subprocess.Process) -> str:
    if process.returncode is None:
        process.kill()
    _, errors = await process.communicate()
    return errors.decode()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize("command", [["migrate"], ["urls"], ["run", "claim"]])
def test_what_is_missing_is_said_in_a_line(command: list[str]) -> None:
    given = {MASTER_KEY_VARIABLE: MASTER_KEY, POSTGRES_VARIABLE: None, REDIS_VARIABLE: None}
    ended = CliRunner().invoke(app, command, env=given)
    assert (ended.exit_code, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert POSTGRES_VARIABLE in line


async def test_a_service_without_its_database_ends(nowhere: Path) -> None:
    nobody = "postgresql://fairdrop_ledger@127.0.0.1:1/fairdrop"
    environment = {POSTGRES_VARIABLE: nobody, REDIS_VARIABLE: "redis://127.0.0.1:1/0"}
    ended = await asyncio.to_thread(
        run, "run", "ledger", "--port", str(_free_port()), cwd=nowhere, **environment
    )
    assert ended.returncode not in {0, None}
    assert "startup failed" in ended.stderr
