"""One file below a folder as a body: a private, consistent copy of its bytes."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread

from syncd.errors import PermanentError, RetryableError
from syncd.sources.bodies import BODY_PIECE_SIZE_BYTES, Check, spool
from syncd.sources.folder.root import Identity, Root, open_file
from syncd.sources.path_keys import key_of


@dataclass(frozen=True, slots=True)
class FileBody:
    """Copied at every opening, so that a writer cannot change what a parser is reading."""

    root: Root
    identity: Identity
    """Identity of the folder that was walked: another folder in its place is not read."""
    path: bytes
    check: Callable[[], Check]
    spool_folder: Path | None = None

    def open(self) -> AbstractAsyncContextManager[BinaryIO]:
        """Yield the file's current bytes; if it changed since it was listed, the next walk notices that too.

        Raises RetryableError if it changes while it is copied, PermanentError if it is gone or unreadable,
        and whatever the check raises.
        """
        return _opened(self)


def stamp(status: os.stat_result) -> str:
    """Return a version for a file's content from its status, without reading it: `mtime-size-inode-ctime`.

    Nobody sets the ctime: what restores a file's time after an edit does not restore this one.
    """
    return f"{status.st_mtime_ns}-{status.st_size}-{status.st_ino}-{status.st_ctime_ns}"


@asynccontextmanager
async def _opened(body: FileBody) -> AsyncGenerator[BinaryIO]:
    copy = await to_thread.run_sync(_copied, body)
    with copy:
        yield copy


def _copied(body: FileBody) -> BinaryIO:
    name = key_of(body.path)
    copy = spool(body.spool_folder)
    try:
        with body.root.opened() as root:
            if root.identity != body.identity:
                raise RetryableError(f"{body.root.path} was replaced during the walk; nothing was removed")
            _copy(open_file(root, body.path.split(b"/")), copy, body.check(), name)
    except BaseException as error:
        copy.close()
        if isinstance(error, OSError):
            raise _translated(error, name) from error
        raise
    copy.seek(0)
    return copy


def _copy(file: int, copy: BinaryIO, check: Check, name: str) -> None:
    with os.fdopen(file, "rb", buffering=0) as opened:
        before = stamp(os.fstat(file))
        while piece := opened.read(BODY_PIECE_SIZE_BYTES):
            check.feed(piece)
            copy.write(piece)
        if stamp(os.fstat(file)) != before:
            raise RetryableError(f"{name} changed while it was being read; it will be read again")
        check.finish()


def _translated(error: OSError, name: str) -> PermanentError | RetryableError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermanentError(f"{name}: permission denied; give the daemon's user read access, or exclude the file")
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO):
        return PermanentError(f"{name} was removed or replaced before it was read; the next run will pick this up")
    return RetryableError(f"{name} cannot be read or copied: {error.strerror}")
