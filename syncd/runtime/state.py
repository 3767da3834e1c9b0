"""What lies in a state folder, and the lock that keeps it to one daemon."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import structlog

from syncd.errors import ConfigError

log = structlog.get_logger()

PID_FILE = "syncd.pid"
"""Locked while a daemon holds the folder; names its process."""
DAEMON_FILE = "daemon.json"
"""Written by a daemon that serves: where, and which process it is."""
LOG_FILE = "daemon.log"
"""Where whoever starts the daemon may have its log written, for `syncd logs`; the daemon itself writes to its stderr."""
SOCKET_FILE = "api.sock"
"""The API, for whoever may read the folder."""
TOKEN_FILE = "token"  # noqa: S105 - a file name
"""The token that the command line uses."""
DATABASE_FILE = "syncd.sqlite"
WORDS_FILE = "words.sqlite"
"""Inverted lists, made of what the database has."""
MODELS_FOLDER = "models"
"""Where models' files are fetched to, unless the configuration names another folder."""
CHROMA_FOLDER = "chroma"
"""Of our own Chroma server."""
REPOSITORIES_FOLDER = "git"
UPLOADS_FOLDER = "uploads"
SPOOL_FOLDER = "spool"
"""Large bodies while somebody reads them; emptied at every start."""
KEY_FILE = "syncd.key"
"""Credentials in the database are encrypted with it."""
SCRATCH_FILE = "scratch"
"""Names the folder of the daemon's temporary files."""
_PRIVATE = (*(f"{name}{end}" for name in (DATABASE_FILE, WORDS_FILE) for end in ("", "-wal", "-shm")), TOKEN_FILE)
_LEFT_LIMIT_S, _LEFT_POLL_S = 10.0, 0.05
"""How long a child of a daemon that was killed may take to run its own program: with little time to itself, some tenths of a second."""
_SCRATCH_NAME = re.compile(r"syncd-[0-9a-f]{8}")


@contextmanager
def state_folder(folder: Path) -> Generator[Path]:
    """Make `folder` (mode 0700) and hold it for this process until the block ends; `syncd.pid` in it names
    the holder. A folder, database or token that others can read is closed to them, and the log says so.

    Raises ConfigError at once when another daemon holds it or when it cannot be used. The kernel frees it
    when the process dies in any way; a child that it was just starting holds it until it runs its own program, which is waited for.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(folder)
        descriptor = os.open(folder / PID_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"state folder {folder} cannot be used ({error.strerror}); have state_dir name a folder that this user may write"
        ) from error
    try:
        _lock(descriptor, folder)
        yield folder
    finally:
        os.close(descriptor)


def holder_of(folder: Path) -> str | None:
    """Return the id of the process that holds `folder`; None if none does, or the kernel lists no locks (Linux does: proc(5)).

    Asks for no lock itself: a daemon that started just then would be refused the folder.
    """
    try:
        inode = (folder / PID_FILE).stat().st_ino
        held = any(
            " FLOCK " in line and line.split()[5].endswith(f":{inode}")
            for line in Path("/proc/locks").read_text().splitlines()
        )
        return (folder / PID_FILE).read_text(errors="replace").strip() or "unknown" if held else None
    except OSError:
        return None


def _lock(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + _LEFT_LIMIT_S
    while not _is_locked(descriptor, folder):
        pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        if not _has_died(pid) or time.monotonic() > deadline:
            raise ConfigError(
                f"another syncd (process {pid}) uses the state folder {folder}: stop it or choose another state folder"
            )
        time.sleep(_LEFT_POLL_S)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _is_locked(descriptor: int, folder: Path) -> bool:
    """Lock the folder, and return whether that could be had."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise ConfigError(f"state folder {folder} is on a file system without locks: {error.strerror}") from error
    return True


def _has_died(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (ValueError, OSError):
        return False
    return False


def _make_private(folder: Path) -> None:
    were_open: list[str] = []
    for path in (folder, *(folder / name for name in _PRIVATE)):
        if path.exists() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            path.chmod(mode & 0o700)
            were_open.append(str(path))
    if were_open:
        advice = "if this machine has other users, revoke the tokens that they may have read"
        log.warning("state.was_open", closed=were_open, advice=advice)


@contextmanager
def scratch_folder(state: Path) -> Generator[Path]:
    """Make the folder of this process's temporary files, which `tempfile` uses until the block ends and removes it.

    The one of a process that was killed is removed before: its name stands in the state folder, which the caller holds.
    """
    note = state / SCRATCH_FILE
    _remove_left(note)
    folder, before = Path(tempfile.gettempdir(), f"syncd-{secrets.token_hex(4)}"), tempfile.tempdir
    # Before it is made, so that none is left whose name nobody knows.
    note.write_text(str(folder))
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
        note.unlink(missing_ok=True)


def _remove_left(note: Path) -> None:
    folder = Path(note.read_text(errors="replace")) if note.exists() else None
    # The place is everybody's: somebody else may have made something of this name by now.
    if folder and _SCRATCH_NAME.fullmatch(folder.name) and folder.is_dir() and folder.lstat().st_uid == os.geteuid():
        shutil.rmtree(folder, ignore_errors=True)
