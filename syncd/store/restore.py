"""Makes a state folder of what `backup` exported.

    FILE → state/import.partial, checked → state; the database last

A crash leaves a folder without a database, into which the file can be imported again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from syncd.errors import PermanentError
from syncd.quoting import told
from syncd.runtime import durable
from syncd.runtime.state import CHROMA_FOLDER, DATABASE_FILE, KEY_FILE, WORDS_FILE
from syncd.store.backup import EXPORT_FORMAT, MANIFEST, UPLOAD_MEMBER, Manifest, Moved, require_room
from syncd.store.checked_rows import keep_checksums
from syncd.store.database import OWN_PACKAGE, numbered_migrations
from syncd.store.refills import REFILL_ALL

_MAX_MANIFEST_BYTES = 1 << 26
_PARTLY = "import.partial"
_SIGNS_OF_USE = (DATABASE_FILE, f"{DATABASE_FILE}-wal", WORDS_FILE, CHROMA_FOLDER)
"""SQLite would play the log of another database into this one, and another one's words would be found."""
_PIECE_BYTES = 1 << 20


def import_state(file: Path, state: Path, packages: Sequence[str], moved: Moved) -> Manifest:
    """Make the state folder `state`, which must not have been used before and is held by the caller, of an export.

    Its collections are made anew from the store by the next daemon, and nothing is embedded again. Raises PermanentError if
    `state` is in use, or `file` cannot be read, is damaged, or was written by a newer syncd; `state` then has no database.
    """
    used = next((name for name in _SIGNS_OF_USE if (state / name).exists()), None)
    if used:
        raise PermanentError(
            f"{state} was used before ({used} is there): import into another state folder, or move it away"
        )
    partly = state / _PARTLY
    shutil.rmtree(partly, ignore_errors=True)
    try:
        with tarfile.open(file, "r:") as archive:
            manifest = _manifest(archive, file, packages)
            require_room(state, sum(one.size_bytes for one in manifest.files.values()))
            partly.mkdir(mode=0o700)
            for name in manifest.files:
                _unpack(archive, manifest, name, partly, moved)
        _refill(partly / DATABASE_FILE)
        others = manifest.files.keys() - {DATABASE_FILE}
        for name in others:
            (state / name).parent.mkdir(mode=0o700, exist_ok=True)
            (partly / name).replace(state / name)
        for folder in {(state / name).parent for name in others} | {state}:
            durable.sync_names(folder)
        durable.rename(partly / DATABASE_FILE, state / DATABASE_FILE)
    except (tarfile.TarError, EOFError) as error:
        raise PermanentError(
            f"{file} is no export of syncd, or is cut off ({error}): take another copy of it"
        ) from error
    except sqlite3.DatabaseError as error:
        raise PermanentError(f"the database in {file} cannot be used ({error}): take another export") from error
    except OSError as error:
        raise PermanentError(
            f"{error.filename or file} cannot be read or written ({told(error)}); correct the path, or who may use it"
        ) from error
    finally:
        shutil.rmtree(partly, ignore_errors=True)
    return manifest


def _manifest(archive: tarfile.TarFile, file: Path, packages: Sequence[str]) -> Manifest:
    """Read what the export says of itself, which is its first member. Raises PermanentError if it is not for this syncd."""
    member = archive.next()
    content = archive.extractfile(member) if member and member.name == MANIFEST and member.isreg() else None
    if member is None or content is None or member.size > _MAX_MANIFEST_BYTES:
        raise PermanentError(f"{file} is no export of syncd")
    try:
        manifest = Manifest.model_validate_json(content.read())
    except ValidationError as error:
        raise PermanentError(f"{file} is no export of syncd, or is damaged: take another copy of it") from error
    newer = set(manifest.migrations) - numbered_migrations((OWN_PACKAGE, *packages)).keys()
    if newer or manifest.format > EXPORT_FORMAT:
        raise PermanentError(f"{file} was written by a newer syncd ({manifest.syncd}): upgrade syncd, then import it")
    odd = [
        name for name in manifest.files if name not in (DATABASE_FILE, KEY_FILE) and not UPLOAD_MEMBER.fullmatch(name)
    ]
    if odd or DATABASE_FILE not in manifest.files:
        raise PermanentError(f"{file} is no export of syncd: it holds {odd[0] if odd else 'no database'}")
    return manifest


def _unpack(archive: tarfile.TarFile, manifest: Manifest, name: str, folder: Path, moved: Moved) -> None:
    """Write the next member, durable when this returns. Raises PermanentError if it is not what the manifest says."""
    member, expected = archive.next(), manifest.files[name]
    content = archive.extractfile(member) if member and member.name == name and member.isreg() else None
    digest, done = sha256(), 0
    path = folder / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        while content and done <= expected.size_bytes and (piece := content.read(_PIECE_BYTES)):
            digest.update(piece)
            done += len(piece)
            out.write(piece)
            moved("reading", done, expected.size_bytes)
        out.flush()
        os.fsync(out.fileno())
    if (done, digest.hexdigest()) != (expected.size_bytes, expected.sha256):
        raise PermanentError(f"the export is damaged: {name} is not what was written; take another copy of the file")


def _refill(database: Path) -> None:
    """Have every collection made anew, whatever the vector store has, or had when the export was made."""
    with closing(sqlite3.connect(database)) as connection:
        keep_checksums(connection)
        for statement in REFILL_ALL:
            connection.execute(statement)
        connection.commit()
