"""What outlives a power failure: a file's content does after its own fsync, its name only after one of its folder. Everything blocks."""

from __future__ import annotations

import os
from pathlib import Path


def sync_names(folder: Path) -> None:
    """Make durable which names a folder has: files made, renamed or removed in it. Twice is safe. Source: fsync(2)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(folder: Path) -> None:
    """Make durable everything below a folder, whoever wrote it. Twice is safe; files that vanish meanwhile are passed over."""
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                descriptor = os.open(Path(place, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        sync_names(Path(place))
