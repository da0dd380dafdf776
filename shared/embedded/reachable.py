"""Where the servers keep their files: in the data dir, or where the server user can reach them.

Postgres refuses to run as root, so root runs the servers as an unprivileged user. That user cannot
enter a private data dir, so its clusters then live elsewhere and the data dir points at them.
"""

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.embedded.datadir import DataDir, exclusive_lock, write_private
from shared.embedded.errors import EmbeddedServerError, refused_by_system
from shared.embedded.processes import ServerUser

SERVER_UID = 65534
SOCKETS_PREFIX = "fairdrop-"
_ROOTS = (Path("/var/lib/fairdrop"), Path("/var/tmp/fairdrop"))  # noqa: S108 - ownership is checked
_SHORT_TEMPORARY = Path("/tmp")  # noqa: S108 - only as the parent of a private mkdtemp
_THROW_AWAY = (_SHORT_TEMPORARY, Path("/var/tmp"))  # noqa: S108 - only compared with
_PASSABLE_MODE = 0o711
_WRITABLE_BY_OTHERS = 0o022
_SOCKET_PATH_BYTES_MAX = 100
_LONGEST_SOCKET_NAME = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class Place:
    """The directory that holds the servers' files."""

    path: Path
    user: ServerUser

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Let one process at a time run servers here."""
        with exclusive_lock(self.path / "servers.lock", holding=self.path):
            yield


def server_user() -> ServerUser:
    return ServerUser(SERVER_UID if os.geteuid() == 0 else None)


def place_of(data: DataDir, user: ServerUser) -> Place:
    """Return the place of a data dir's servers; decided on first use, then kept.

    Raises:
        EmbeddedServerError: there is none, it belongs to another user, or to another data dir.
    """
    try:
        pointed = _pointed(data)
        if pointed is not None:
            _check_pointed(data, pointed)
            place = Place(pointed, user)
        elif user.uid is None or _has_servers(data.path) or user.can_enter(data.path):
            place = Place(data.path, user)
        else:
            place = Place(_make_elsewhere(data, user), user)
        _check_owner(place)
    except OSError as error:
        raise refused_by_system(data.path, error) from error
    return place


def copies_folder(user: ServerUser) -> Path:
    """Return where root keeps copies of programs that the server user cannot reach."""
    return _root("wheels", user)


def make_sockets_folder(user: ServerUser) -> Path:
    """Make a short private folder for the sockets; the caller removes it.

    Raises:
        EmbeddedServerError: a socket in it would have too long a path.
    """
    parent = Path(os.environ.get("TMPDIR") or _SHORT_TEMPORARY)
    if user.uid is not None and not user.can_enter(parent):
        parent = _SHORT_TEMPORARY
    try:
        folder = Path(tempfile.mkdtemp(prefix=SOCKETS_PREFIX, dir=parent))
    except OSError as error:
        raise EmbeddedServerError(
            f"No folder for sockets can be made in {parent} ({error.strerror}). "
            "Set TMPDIR to a short directory that you can write."
        ) from error
    if len(os.fsencode(folder / _LONGEST_SOCKET_NAME)) > _SOCKET_PATH_BYTES_MAX:
        folder.rmdir()
        raise EmbeddedServerError(
            f"Socket paths in {parent} would be over {_SOCKET_PATH_BYTES_MAX} bytes long. "
            "Set TMPDIR to a short directory, for example /tmp."
        )
    user.own(folder)
    return folder


def folder_of(data: DataDir) -> Path:
    """Return where the servers' files are, or would be, without making anything."""
    return _pointed(data) or data.path


def _pointer(data_path: Path) -> Path:
    return data_path / "postgres.pointer"


def _pointed(data: DataDir) -> Path | None:
    pointer = _pointer(data.path)
    return Path(pointer.read_text().strip()) if pointer.exists() else None


def _has_servers(folder: Path) -> bool:
    return (folder / "postgres").exists()


def _check_pointed(data: DataDir, place: Path) -> None:
    try:
        owner = json.loads((place / "owner.json").read_text())
    except FileNotFoundError:
        if not place.is_dir():
            raise EmbeddedServerError(
                f"The database of {data.path} was kept in {place}, which is gone. "
                "Restore it from a backup, or choose another directory with --data."
            ) from None
        _write_owner(place, data)  # a crash came between making the place and claiming it
        return
    except OSError as error:
        raise EmbeddedServerError(
            f"The database of {data.path} is kept in {place}, which this user cannot read "
            f"({error.strerror}). Run as the user who made it, or choose another --data."
        ) from error
    original = Path(owner["data"])
    if original == data.path:
        return
    if _pointer(original).exists() and _pointer(original).read_text().strip() == str(place):
        raise EmbeddedServerError(
            f"{data.path} is a copy of {original}, and both would use one database in {place}. "
            "Use the original, or choose another directory with --data."
        )
    _write_owner(place, data)  # the data dir was moved


def _check_owner(place: Place) -> None:
    uid = os.geteuid() if place.user.uid is None else place.user.uid
    if not place.postgres.exists():
        return
    owner = place.postgres.stat().st_uid
    if owner != uid:
        raise EmbeddedServerError(
            f"{place.postgres} belongs to uid {owner}, but its server would run as uid {uid}. "
            "Run Fairdrop as the user who made it, or choose another directory with --data."
        )
    if place.user.uid is not None and not place.user.can_enter(place.postgres):
        raise EmbeddedServerError(
            f"{place.postgres} can no longer be entered by its server's user (uid {uid}). "
            f"Make every directory above it passable again: chmod o+x {place.path}"
        )


def _make_elsewhere(data: DataDir, user: ServerUser) -> Path:
    clusters = _root("clusters", user)
    _sweep(clusters)
    name = f"{hashlib.sha256(os.fsencode(data.path)).hexdigest()[:12]}-{data.identity[:8]}"
    place = clusters / name
    place.mkdir(mode=_PASSABLE_MODE, exist_ok=True)
    place.chmod(_PASSABLE_MODE)
    # The pointer comes first: a sweep takes a place whose owner does not point at it for abandoned.
    write_private(_pointer(data.path), str(place))
    _write_owner(place, data)
    return place


def _write_owner(place: Path, data: DataDir) -> None:
    write_private(place / "owner.json", json.dumps({"data": str(data.path)}))


def _root(purpose: str, user: ServerUser) -> Path:
    """Return a directory that we own, nobody else can change, and the server user can enter."""
    for root in _ROOTS:
        folder = root / purpose
        if _made_ours(root) and _made_ours(folder) and user.can_enter(folder):
            return folder
    raise EmbeddedServerError(
        f"As root, Fairdrop keeps its database in {_ROOTS[0]} or {_ROOTS[1]}, and uid {user.uid} "
        "can use neither. Run Fairdrop as a normal user, or make one of them passable."
    )


def _made_ours(folder: Path) -> bool:
    try:
        folder.mkdir(mode=_PASSABLE_MODE, parents=True, exist_ok=True)
        found = folder.lstat()
        # Anybody may make directories and links in /var/tmp, so it is checked before it is changed.
        ours = found.st_uid == os.geteuid() and not found.st_mode & _WRITABLE_BY_OTHERS
        if not ours or not stat.S_ISDIR(found.st_mode):
            return False
        folder.chmod(_PASSABLE_MODE)
    except OSError:
        return False
    return True


def _sweep(clusters: Path) -> None:
    """Remove clusters whose data dir was temporary and is gone: those of finished tests.

    A data dir elsewhere may be on a disk that is not mounted now, so its cluster stays.
    """
    throw_away = {*_THROW_AWAY, Path(tempfile.gettempdir())}
    for owner in clusters.glob("*/owner.json"):
        with contextlib.suppress(EmbeddedServerError, OSError, ValueError, KeyError):
            data_path = Path(json.loads(owner.read_text())["data"])
            if not throw_away.isdisjoint(data_path.parents) and not _pointer(data_path).exists():
                with exclusive_lock(owner.with_name("servers.lock"), holding=owner.parent):
                    shutil.rmtree(owner.parent)
