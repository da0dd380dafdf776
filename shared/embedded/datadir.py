"""The data directory: its format, its lock, and the record of what runs on it."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.embedded.errors import EmbeddedServerError, refused_by_system
from shared.embedded.processes import start_mark

FORMAT = 1
_DIRECTORY_MODE = 0o700
_FILE_MODE = 0o600


class DataDir:
    """Everything of one deployment on one machine."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def identity(self) -> str:
        """What tells this directory from another one made later at the same path."""
        return str(self._read_format()["id"])

    def prepare(self) -> None:
        """Make the directory on first use, and refuse one that this version cannot read.

        Raises:
            EmbeddedServerError: it cannot be written, or a newer Fairdrop made it.
        """
        try:
            self.path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
            if not self._format_file.exists():
                made = {"format": FORMAT, "id": secrets.token_hex(16)}
                write_private(self._format_file, json.dumps(made))
            self.logs.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
        except OSError as error:
            raise refused_by_system(self.path, error) from error
        if int(self._read_format()["format"]) > FORMAT:
            raise EmbeddedServerError(
                f"{self.path} was made by a newer Fairdrop. "
                "Upgrade Fairdrop, or choose another directory with --data."
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory, which must be prepared, against every other process.

        Raises:
            EmbeddedServerError: another process holds it; the message names its pid.
        """
        with exclusive_lock(self.path / "lock", holding=self.path):
            yield

    def write_run(self, run: dict[str, Any]) -> None:
        """Record what runs, together with who runs it, for `read_run`."""
        parent = {"parent_pid": os.getpid(), "parent_started": start_mark(os.getpid())}
        write_private(self._run_file, json.dumps(run | parent))

    def read_run(self) -> dict[str, Any] | None:
        """Return what `write_run` recorded, None if nothing or if the recording process is dead."""
        try:
            run = json.loads(self._run_file.read_text())
            alive = start_mark(run["parent_pid"]) == run["parent_started"]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused_by_system(self._run_file, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(self._run_file) from error
        return dict(run) if alive else None

    def clear_run(self) -> None:
        self._run_file.unlink(missing_ok=True)

    @property
    def _format_file(self) -> Path:
        return self.path / "format.json"

    @property
    def _run_file(self) -> Path:
        return self.path / "run.json"

    def _read_format(self) -> dict[str, Any]:
        try:
            made = json.loads(self._format_file.read_text())
            return {"format": int(made["format"]), "id": str(made["id"])}
        except OSError as error:
            raise refused_by_system(self._format_file, error) from error
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(self._format_file) from error


@contextlib.contextmanager
def exclusive_lock(file: Path, *, holding: Path) -> Iterator[None]:
    """Hold a lock file until the block ends or this process dies, whichever comes first.

    Raises:
        EmbeddedServerError: another process holds it; the message names its pid.
    """
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, _FILE_MODE)
    except OSError as error:
        raise refused_by_system(file, error) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode() or "that is just starting"
            raise EmbeddedServerError(
                f"{holding} is in use by process {holder}. "
                "Stop that one first, or choose another directory with --data."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read: all of it or, after a crash, nothing of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _damaged(file: Path) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"{file} is damaged. Restore it from a backup, or choose another directory with --data."
    )
