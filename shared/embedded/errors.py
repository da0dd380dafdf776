"""The one error of the embedded servers, and plain words for what the operating system refuses."""

import errno
from pathlib import Path


class EmbeddedServerError(Exception):
    """The embedded servers cannot run; the message says what happened and what to do about it."""


def refused_by_system(path: Path, error: OSError) -> EmbeddedServerError:
    """Explain a file operation that the operating system refused."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return disk_full(path)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return EmbeddedServerError(
            f"{error.filename or path} cannot be written by this user. "
            "Choose a directory of your own with --data, or run as its owner."
        )
    return EmbeddedServerError(f"{error.filename or path}: {error.strerror}.")


def disk_full(path: Path) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"The disk that holds {path} is full. "
        "Free at least 300 MB there, or choose a directory on another disk with --data."
    )
