"""The folder of our own Chroma server: whether its database is damaged, and what deleted collections left. Everything blocks.

Chroma 1.5.9 keeps rows in `chroma.sqlite3` and each collection's vectors in a folder named by its vector segment's id, which it
leaves behind when the collection is deleted.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

DATABASE = "chroma.sqlite3"
_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def damage(folder: Path) -> str | None:
    """Return why a stopped server's database cannot be read, or None if all of it can, or there is none."""
    file = folder / DATABASE
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(file)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if answer == "ok" else " ".join(str(answer).split())


def set_aside(folder: Path) -> Path:
    """Move a stopped server's folder out of the way, in place of one that was moved there before, and return where it is now."""
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    folder.mkdir(mode=0o700)
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
    except sqlite3.DatabaseError:
        return []
    return [path for path in folders if path.name not in used]
