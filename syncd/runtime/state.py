"""What lies in a state folder, and the lock that keeps it to one daemon."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from syncd.errors import ConfigError

PID_FILE = "syncd.pid"
"""Locked while a daemon holds the folder; names its process."""
DAEMON_FILE = "daemon.json"
"""Written by a daemon that serves: where, and which process it is."""
SOCKET_FILE = "api.sock"
"""The API, for whoever may read the folder."""
TOKEN_FILE = "token"  # noqa: S105 - a file name
"""The token that the command line uses."""
DATABASE_FILE = "syncd.sqlite"
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


@contextmanager
def state_folder(folder: Path) -> Generator[Path]:
    """Make `folder` (mode 0700) and hold it for this process until the block ends; `syncd.pid` in it names
    the holder.

    Raises ConfigError at once when another daemon holds it or when it cannot be used. The kernel frees it
    when the process dies in any way; children do not inherit it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / PID_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"state folder {folder} cannot be used: {error.strerror}") from error
    try:
        _lock(descriptor, folder)
        yield folder
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        raise ConfigError(
            f"another syncd (process {pid}) uses the state folder {folder}: stop it or choose another state folder"
        ) from None
    except OSError as error:
        raise ConfigError(f"state folder {folder} is on a file system without locks: {error.strerror}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
