"""The data dir: private, locked, with a format and a record of what runs."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shared.embedded.datadir import FORMAT, DataDir
from shared.embedded.errors import EmbeddedServerError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_private(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "new" / "data")
    data.prepare()
    data.write_run({"ready": True})
    assert mode(data.path) == 0o700
    assert {mode(file) for file in data.path.iterdir() if file.is_file()} == {0o600}


def test_a_newer_format_is_refused(data: DataDir) -> None:
    newer = {"format": FORMAT + 1, "id": data.identity}
    (data.path / "format.json").write_text(json.dumps(newer))
    with pytest.raises(
        EmbeddedServerError, match=r"newer Fairdrop. Upgrade Fairdrop, or .* --data"
    ):
        data.prepare()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "x", "id": 1}'])
def test_a_damaged_format_is_refused(data: DataDir, text: str) -> None:
    (data.path / "format.json").write_text(text)
    with pytest.raises(EmbeddedServerError, match="is damaged"):
        data.prepare()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(EmbeddedServerError, match="Not a directory"):
        DataDir(file / "data").prepare()


def test_a_second_holder_is_refused_and_told_who_holds_it(data: DataDir) -> None:
    with data.lock():
        with pytest.raises(EmbeddedServerError, match=f"in use by process {os.getpid()}. Stop"):
            data.lock().__enter__()
        outsider = (
            "import sys; from pathlib import Path; from shared.embedded.datadir import DataDir;"
            "DataDir(Path(sys.argv[1])).lock().__enter__()"
        )
        command = [sys.executable, "-c", outsider, str(data.path)]
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
        assert refused.returncode != 0
        assert f"in use by process {os.getpid()}" in refused.stderr
    with data.lock():
        pass


def test_the_record_of_a_run_counts_only_while_its_parent_lives(data: DataDir) -> None:
    assert data.read_run() is None
    data.write_run({"ready": True})
    run = data.read_run()
    assert run is not None
    assert run["ready"] is True
    assert run["parent_pid"] == os.getpid()

    recorded = json.loads((data.path / "run.json").read_text())
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for stale in ({"parent_pid": ended.pid}, {"parent_started": "another process, same pid"}):
        (data.path / "run.json").write_text(json.dumps(recorded | stale))
        assert data.read_run() is None

    data.clear_run()
    assert data.read_run() is None
