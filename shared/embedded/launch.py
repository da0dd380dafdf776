"""Becomes the server user, asks for a signal at its parent's death, then turns into the program.

Runs as a script of its own (`python -I -S launch.py ...`) because a `preexec_fn` is unsafe once
the parent has threads. The order matters: the kernel forgets the parent-death signal
when a process changes its user, and keeps it when the process then executes a program.
It starts as its parent's user, so the interpreter may live where the server user cannot go.
"""

import ctypes
import os
import signal
import sys

SAME_USER = -1
_PR_SET_PDEATHSIG = 1
_REFUSED = 120


def die_with_parent(death_signal: int, parent_pid: int) -> None:
    """Have the kernel send `death_signal` to this process when the parent's spawning thread ends.

    Only Linux can; elsewhere this merely notices a parent that is already gone.

    Raises:
        ProcessLookupError: the parent died before the kernel was asked.
        OSError: the kernel refused.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        raise ProcessLookupError(f"parent {parent_pid} is gone")


def become(uid: int) -> None:
    """Give up every privilege for good and go on as `uid`, its group of the same number."""
    if uid == SAME_USER:
        return
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


def _turn_into_program(uid: int, death_signal: int, parent_pid: int, program: list[str]) -> None:
    become(uid)
    die_with_parent(death_signal, parent_pid)
    # Python ignores these two, and what is ignored stays ignored in the executed program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.umask(0o077)
    os.chdir("/")
    os.execv(program[0], program)  # noqa: S606 - turning into the program is the purpose


def _main(arguments: list[str]) -> None:
    uid, death_signal, parent_pid = (int(text) for text in arguments[:3])
    rest = arguments[3:]
    try:
        if rest[0] == "--enter":
            become(uid)
            os.chdir(rest[1])
        else:
            _turn_into_program(uid, death_signal, parent_pid, rest)
    except OSError as error:
        sys.stderr.write(f"launch: {error}\n")
        sys.exit(_REFUSED)


if __name__ == "__main__":
    _main(sys.argv[1:])
