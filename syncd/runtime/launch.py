"""Ties a process to the life of its parent; as a program it does so for a foreign one and then becomes it.

    python -m syncd.runtime.launch SIGTERM PARENT_PID PROGRAM ARGUMENT...

Standard library only: it runs before every child process does anything else.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT_PID = "SYNCD_PARENT_PID"
"""Environment variable that tells a child which process started it."""

NUMPY_THREADS = {"OPENBLAS_NUM_THREADS": "1"}
"""Of the daemon and all its children: numpy's idle threads would spin on cores that the model needs, and nothing here is
large enough for them to pay. To be set before numpy is imported."""

_PR_SET_PDEATHSIG = 1
_EXIT_ORPHANED = 75


def die_with_parent(death_signal: signal.Signals, parent_pid: int | None = None) -> None:
    """Ask the kernel to send this process `death_signal` when its parent ends, however it ends (prctl(2)).

    Outlives execve(2), is not inherited by processes this one starts. Exits with 75 when `parent_pid`
    (default: what the parent left in the environment) is gone already. The kernel means the parent's
    *thread*: spawn from a lasting one. Raises OSError where the kernel refuses. Twice is safe, the last
    signal counts.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_PDEATHSIG): {os.strerror(number)}")
    expected = parent_pid if parent_pid is not None else int(os.environ.get(PARENT_PID, os.getppid()))
    if os.getppid() != expected:
        os._exit(_EXIT_ORPHANED)


def lower_priority(niceness: int) -> None:
    """Let other processes go first. A courtesy: where a filter of system calls forbids it, says so on stderr and goes on."""
    try:
        os.nice(niceness)
    except OSError as error:
        sys.stderr.write(f"this process keeps its priority: nice({niceness}): {error.strerror}\n")


def main(arguments: list[str]) -> None:
    """Become `arguments[2:]`, tied to process `arguments[1]` by signal `arguments[0]`. Raises OSError when it
    cannot run.
    """
    name, parent_pid, *program = arguments
    die_with_parent(signal.Signals[name], int(parent_pid))
    os.execvp(program[0], program)  # noqa: S606 - becoming the given program is this module's purpose


if __name__ == "__main__":
    main(sys.argv[1:])
