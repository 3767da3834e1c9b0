"""What outlives a power failure: a file's content does after its own fsync, its name only after one of its folder. Everything blocks."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def sync_names(folder: Path) -> None:
    """Make durable which names a folder has: files made, renamed or removed in it. Twice is safe. Source: fsync(2)."""
    _sync(folder, os.O_DIRECTORY)


def rename(path: Path, to: Path) -> None:
    """Give a finished file the name `to`, on the same disk, in place of what has it. Its content and the name are durable when this
    returns; until then a power failure leaves what had the name there, or the whole file.
    """
    _sync(path)
    path.replace(to)
    sync_names(to.absolute().parent)


def sync_files(folder: Path) -> None:
    """Make durable everything below a folder, whoever wrote it. Twice is safe; files that vanish meanwhile are passed over."""
    for place, _, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                _sync(Path(place, name), os.O_NOFOLLOW)
        sync_names(Path(place))


def _sync(path: Path, flags: int = 0) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
