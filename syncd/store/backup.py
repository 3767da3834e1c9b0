"""A state folder in one file: the state database, with vectors, and uploaded files that wait. `restore` makes a folder of it again.

    copy of the database as of one moment → FILE.partial → FILE

What can be had again is left out: copies of repositories, models, what Chroma holds. So are secrets, unless they are asked for:
the credentials of sources, and the key that they are encrypted with. Of API tokens there are only hashes.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from syncd.errors import PermanentError
from syncd.quoting import told
from syncd.runtime import durable
from syncd.runtime.state import DATABASE_FILE, KEY_FILE, UPLOADS_FOLDER
from syncd.schema import Model
from syncd.store.database import ADVICE

EXPORT_FORMAT = 1
MANIFEST = "manifest.json"
UPLOAD_MEMBER = re.compile(rf"{UPLOADS_FOLDER}/[A-Za-z0-9_][A-Za-z0-9._-]{{0,200}}")
"""The name of an uploaded file in an export."""
_PAGES = 4096
"""Copied at a time: 16 MiB."""
_PIECE_BYTES = 1 << 20

Moved = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and of how much."""


class ExportedFile(Model):
    """One file of an export."""

    size_bytes: int
    sha256: str


class Manifest(Model):
    """What an export holds."""

    format: int
    syncd: str
    created_at: float
    migrations: list[int]
    with_secrets: bool
    files: dict[str, ExportedFile]


def export_state(state: Path, file: Path, version: str, moved: Moved, *, with_secrets: bool = False) -> Manifest:
    """Write a state folder into a new `file`, as it is at one moment, while a daemon may be running on it.

    Raises PermanentError if `file` is there already, there is nothing to export, or it cannot be read or written.
    """
    database = state / DATABASE_FILE
    if file.exists():
        raise PermanentError(f"{file} is there already: name another file")
    if not database.exists():
        raise PermanentError(f"{database} does not exist: there is nothing to export")
    try:
        require_room(file.absolute().parent, 2 * database.stat().st_size)
        with TemporaryDirectory(prefix=f".{file.name}.", dir=file.absolute().parent) as folder:
            files = _gathered(state, Path(folder), moved, with_secrets=with_secrets)
            return _written(files, file, version, moved, with_secrets=with_secrets)
    except sqlite3.DatabaseError as error:
        raise PermanentError(f"{database} cannot be read ({error}); if it is damaged, {ADVICE}") from error
    except OSError as error:
        raise PermanentError(
            f"{error.filename or file} cannot be read or written ({told(error)}); correct the path, or who may use it"
        ) from error


def _gathered(state: Path, folder: Path, moved: Moved, *, with_secrets: bool) -> Mapping[str, Path]:
    """Return what belongs into an export, by name there; copies are in `folder`."""
    files = {DATABASE_FILE: folder / DATABASE_FILE}
    # Before as well as after: what a waiting invocation needs was there at that moment, and goes when the invocation is over.
    _copy_uploads(state, folder, files)
    with _as_of_now(state / DATABASE_FILE) as connection:
        _copy_uploads(state, folder, files)
        with closing(sqlite3.connect(files[DATABASE_FILE])) as copy:
            connection.backup(copy, pages=_PAGES, progress=lambda _, left, all_: moved("copying", all_ - left, all_))
            copy.execute("PRAGMA journal_mode = DELETE")
            if not with_secrets:
                copy.execute("PRAGMA secure_delete = ON")
                copy.execute("DELETE FROM credentials")
                copy.commit()
    if with_secrets and (state / KEY_FILE).exists():
        files[KEY_FILE] = state / KEY_FILE
    return files


@contextmanager
def _as_of_now(database: Path) -> Generator[sqlite3.Connection]:
    """Yield a connection that sees the database as it is now, whatever is written meanwhile."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        yield connection


def _copy_uploads(state: Path, folder: Path, files: dict[str, Path]) -> None:
    uploads = state / UPLOADS_FOLDER
    for path in sorted(uploads.iterdir()) if uploads.is_dir() else ():
        name = f"{UPLOADS_FOLDER}/{path.name}"
        if name not in files and UPLOAD_MEMBER.fullmatch(name) and path.is_file():
            with suppress(FileNotFoundError):
                shutil.copyfile(path, folder / path.name)
                files[name] = folder / path.name


def _written(files: Mapping[str, Path], file: Path, version: str, moved: Moved, *, with_secrets: bool) -> Manifest:
    """Write the archive, durable when this returns."""
    with closing(sqlite3.connect(files[DATABASE_FILE])) as copy:
        migrations = [number for (number,) in copy.execute("SELECT number FROM migrations ORDER BY number")]
    manifest = Manifest(
        format=EXPORT_FORMAT,
        syncd=version,
        created_at=time.time(),
        migrations=migrations,
        with_secrets=with_secrets,
        files={name: _described(path, moved) for name, path in files.items()},
    )
    partly = file.with_name(f"{file.name}.partial")
    partly.unlink(missing_ok=True)
    descriptor = os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out, tarfile.open(fileobj=out, mode="w") as archive:
        text = manifest.model_dump_json().encode()
        archive.addfile(_member(MANIFEST, len(text)), BytesIO(text))
        for name, path in files.items():
            with path.open("rb") as source:
                size_bytes = manifest.files[name].size_bytes
                archive.addfile(_member(name, size_bytes), _Counted(source, "writing", size_bytes, moved))
    durable.rename(partly, file)
    return manifest


def require_room(folder: Path, size_bytes: int) -> None:
    """Raise PermanentError unless so much is free on the disk of a folder."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < size_bytes:
        raise PermanentError(f"{folder} has {free_bytes:,} bytes free, and {size_bytes:,} are needed: free some")


class _Counted:
    """A file that tells how much of it was read."""

    def __init__(self, file: BinaryIO, what: str, size_bytes: int, moved: Moved) -> None:
        self._file = file
        self._what = what
        self._size_bytes = size_bytes
        self._moved = moved

    def read(self, length: int = -1, /) -> bytes:
        """Return the next bytes."""
        piece = self._file.read(length)
        self._moved(self._what, self._file.tell(), self._size_bytes)
        return piece


def _described(path: Path, moved: Moved) -> ExportedFile:
    size_bytes, digest = path.stat().st_size, sha256()
    with path.open("rb") as file:
        counted = _Counted(file, "checksums", size_bytes, moved)
        while piece := counted.read(_PIECE_BYTES):
            digest.update(piece)
    return ExportedFile(size_bytes=size_bytes, sha256=digest.hexdigest())


def _member(name: str, size_bytes: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size_bytes, 0o600, int(time.time())
    return member
