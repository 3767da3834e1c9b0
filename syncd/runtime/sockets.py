"""Unix sockets in folders of any depth: their paths may have 107 bytes only (unix(7)), folders' may have 4,095."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LONGEST_PATH_BYTES = 100


@contextmanager
def reachable(path: Path) -> Generator[str]:
    """Yield a path short enough to bind or connect to, valid until the block ends; its folder must exist.

    A long one leads through an open descriptor of its folder, in /proc/self/fd. Raises OSError.
    """
    if len(os.fsencode(path)) <= LONGEST_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
