from pathlib import Path

import pytest

from services.demo.stack import DemoError, empty_data_dir
from shared.embedded.datadir import DataDir
from shared.embedded.errors import EmbeddedServerError


def test_a_demos_data_dir_is_made_and_emptied(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    empty_data_dir(data)
    (data / "books").touch()

    empty_data_dir(data)

    assert data.is_dir()
    assert not (data / "books").exists()


def test_what_no_demo_has_made_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(DemoError, match="was not made by a demo"):
        empty_data_dir(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_data_dir_in_use_is_not_touched(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    empty_data_dir(data)

    with DataDir(data).lock(), pytest.raises(EmbeddedServerError, match="in use by process"):
        empty_data_dir(data)
    assert data.is_dir()
