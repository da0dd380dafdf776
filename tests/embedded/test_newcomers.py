"""What a newcomer meets says what happened and what to do."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.embedded import binaries, postgres
from shared.embedded.datadir import DataDir
from shared.embedded.errors import EmbeddedServerError
from shared.embedded.reachable import place_of, server_user
from shared.embedded.servers import EmbeddedServers
from tests.embedded.conftest import running


async def refusal(data: DataDir) -> str:
    with pytest.raises(EmbeddedServerError) as refused:
        await EmbeddedServers(data).start()
    return str(refused.value)


async def test_a_database_of_another_postgres(data: DataDir) -> None:
    async with running(data):
        pass
    (place_of(data, server_user()).postgres / "PG_VERSION").write_text("19\n")
    message = await refusal(data)
    assert "holds a database of Postgres 19" in message
    assert "Use the Fairdrop that made it" in message


async def test_a_socket_path_that_is_too_long(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = Path(tempfile.mkdtemp(dir="/tmp")) / ("d" * 80)
    deep.mkdir()
    deep.parent.chmod(0o755)
    deep.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(deep))
    message = await refusal(data)
    assert "Set TMPDIR to a short directory" in message
    assert list(deep.iterdir()) == []
    shutil.rmtree(deep.parent)


async def test_a_missing_temporary_directory(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user = server_user()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    if user.uid is None:
        assert "Set TMPDIR to a short directory that you can write" in await refusal(data)
    else:  # the server user cannot enter it either, so root falls back to the usual place
        async with running(data) as servers:
            assert servers.redis_url.startswith("unix:///tmp/fairdrop-")


async def test_little_disk_is_noticed_before_anything_is_made(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(data.path)._replace(free=299 * 1024 * 1024)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    assert "is full. Free at least 300 MB" in await refusal(data)
    assert not place_of(data, server_user()).postgres.exists()


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    mount_point = Path(tempfile.mkdtemp(dir="/tmp"))
    command = ["/bin/mount", "-t", "tmpfs", "-o", "size=16m,mode=0755", "tmpfs", str(mount_point)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        mount_point.rmdir()
        pytest.skip("this machine lets us mount no tmpfs; the test above covers the message")
    yield mount_point
    subprocess.run(["/bin/umount", str(mount_point)], check=True)
    mount_point.rmdir()


async def test_a_disk_that_fills_up_while_the_cluster_is_made(
    tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_disk / "data"
    folder.mkdir(mode=0o755)  # passable, so that even root's servers keep their files here
    monkeypatch.setattr(postgres, "FREE_BYTES_MIN", 0)
    data = DataDir(folder)
    assert "is full. Free at least 300 MB" in await refusal(data)
    assert "No space left" in (data.logs / "postgres.log").read_text()


async def test_a_failed_start_shows_the_end_of_the_log(data: DataDir) -> None:
    async with running(data):
        pass
    configuration = place_of(data, server_user()).postgres / "postgresql.conf"
    configuration.write_text("no_such_setting = 1\n")
    message = await refusal(data)
    assert "Postgres did not start" in message
    assert 'unrecognized configuration parameter "no_such_setting"' in message


async def test_a_lost_password(data: DataDir) -> None:
    async with running(data):
        pass
    password = data.path / "postgres.password"
    password.write_text("not it")
    assert "is not the password of the database" in await refusal(data)
    password.unlink()
    assert "the password of the database, is missing" in await refusal(data)


async def test_a_wheel_without_programs_for_this_platform(
    data: DataDir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(binaries, "_package", lambda _distribution: tmp_path)
    message = await refusal(data)
    assert "has no server for this platform" in message
    assert "FAIRDROP_POSTGRES_URL" in message


async def test_a_data_dir_of_another_user(data: DataDir) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make files of another user")
    async with running(data):
        pass
    os.chown(place_of(data, server_user()).postgres, 12345, 12345)
    assert "belongs to uid 12345" in await refusal(data)
