"""The folder of our own Chroma server: its damage, what deleted collections left, and its lock. Everything blocks.

Chroma 1.5.9 keeps rows in `chroma.sqlite3` and each collection's vectors in a folder named by its vector segment's id, which it
leaves behind when the collection is deleted.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from syncd.runtime.durable import sync_files, sync_names

DATABASE = "chroma.sqlite3"
_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""The second, where SQLite's own message quotes what is damaged and no text."""
_PASSING = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_AUTH,
    }
)
"""Codes of errors that say nothing of the content: locked by somebody, no file descriptor left, a disk that fails."""
_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def damage(folder: Path) -> str | None:
    """Return why a stopped server's database cannot be read, or None if all of it can, or there is none, or that cannot be told now."""
    file = folder / DATABASE
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(file)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except _UNREADABLE as error:
        is_passing = getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
        return None if is_passing else str(error)
    return None if answer == "ok" else " ".join(str(answer).split())


def set_aside(folder: Path) -> Path:
    """Move a stopped server's folder out of the way, in place of one that was moved there before, and return where it is now."""
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    return aside


def set_index_aside(folder: Path, collection_id: str) -> Path | None:
    """Move the index files of a stopped server's collection out of the way, and return where they are now; None if it has none.

    Whoever reads the collection then is told that it has none, and the server lives.
    """
    of_vectors = "SELECT id FROM segments WHERE collection = ? AND scope = 'VECTOR'"
    try:
        with closing(sqlite3.connect(f"{(folder / DATABASE).as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
            row = connection.execute(of_vectors, (collection_id,)).fetchone()
    except _UNREADABLE:
        return None
    if row is None or not (folder / row[0]).is_dir():
        return None
    aside = folder.with_name(f"{folder.name}.damaged-indexes") / row[0]
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(mode=0o700, exist_ok=True)
    (folder / row[0]).rename(aside)
    return aside


def left_over(folder: Path) -> Sequence[Path]:
    """Return the folders of vectors that belong to no collection any more; none if the database cannot be asked."""
    if not (folder / DATABASE).exists():
        return []
    folders = [path for path in folder.iterdir() if _SEGMENT.fullmatch(path.name)]
    try:
        # What is not in the database now was deleted: a collection's folder is made after its rows are.
        with closing(sqlite3.connect(f"{(folder / DATABASE).as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
            used = {ident for (ident,) in connection.execute("SELECT id FROM segments")}
    except _UNREADABLE:
        return []
    return [path for path in folders if path.name not in used]


def lock_path(folder: Path) -> Path:
    """Return the lock file's path; the file is empty unless a server runs, or ran and did not end as it should."""
    return folder.with_name(folder.name + ".lock")


def note_running(descriptor: int, folder: Path) -> None:
    """Note, durably, that a server may be writing: whoever finds that after a power failure must look for damage."""
    os.pwrite(descriptor, b"running\n", 0)
    os.fsync(descriptor)
    sync_names(folder.parent)


def note_clean_stop(folder: Path) -> None:
    """Note that the server ended as it should."""
    # Chroma 1.5.9 does not sync its index files: until that is done, a power failure can still damage them.
    sync_files(folder)
    os.truncate(lock_path(folder), 0)


@contextmanager
def lock_file(folder: Path) -> Generator[int]:
    """Yield a descriptor of the lock file, which is made if there is none."""
    descriptor = os.open(lock_path(folder), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
