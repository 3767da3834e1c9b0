"""The content-addressed vector cache: a text is embedded once per database, model and prompt, whatever document it comes from."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from syncd.store.checksums import DAMAGED
from syncd.store.database import Database

LOOKUP_SIZE = 500
"""Keys per SELECT; SQLite's default limit is 32,766 bound values."""


FIRST_DATABASE = "default_database"
"""Chroma's default."""

USED_RESOLUTION_S = 86_400.0
"""Precision of `used_at`: a vector's row is rewritten at most once a day, however often it is used."""


def vector_key(fingerprint: str, prompt: str | None, text: str, database: str = FIRST_DATABASE) -> bytes:
    """Return the cache key of `text` under a model's `fingerprint` and document prompt (None: the model's own).

    Each database has its own, so that nobody can tell from counts or time whether another has the text; those of the first are
    as they were when all shared them. No fingerprint is the name of a database.
    """
    owner = "" if database == FIRST_DATABASE else f"{database}\0\0"
    prefix = f"{owner}{fingerprint}\0{'' if prompt is None else '=' + prompt}\0"
    return sha256((prefix + text).encode("utf-8", "surrogatepass")).digest()


def mark_used(connection: sqlite3.Connection, keys: Iterable[bytes]) -> None:
    """Record, within the caller's transaction, that these vectors are used now. Twice is safe."""
    now = time.time()
    connection.executemany(
        "UPDATE vectors SET used_at = ?1 WHERE key = ?2 AND used_at < ?3",
        ((now, key, now - USED_RESOLUTION_S) for key in keys),
    )


def absent(connection: sqlite3.Connection, keys: Sequence[bytes]) -> set[bytes]:
    """Return those of `keys` that have no vector, within the caller's transaction."""
    missing = set(keys)
    for start in range(0, len(keys), LOOKUP_SIZE):
        some = keys[start : start + LOOKUP_SIZE]
        marks = ", ".join("?" * len(some))
        rows = connection.execute(f"SELECT key FROM vectors WHERE key IN ({marks}) AND checksum IS NOT {DAMAGED}", some)
        missing.difference_update(key for (key,) in rows)
    return missing


def insert_vectors(connection: sqlite3.Connection, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
    """Keep vectors within the caller's transaction; a key that is there already keeps its vector, unless that is damaged."""
    now = time.time()
    stored = ((key, vector.astype("<f4").tobytes()) for key, vector in vectors.items())
    connection.executemany(
        "INSERT INTO vectors (key, vector, used_at, checksum) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET "
        f"vector = excluded.vector, checksum = excluded.checksum WHERE checksum = {DAMAGED}",
        ((key, vector, now, zlib.crc32(vector)) for key, vector in stored),
    )


class StoredVectors:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def missing(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return those of `keys` that have no vector yet."""
        return await self._db.read(lambda c: absent(c, keys))

    async def put(self, vectors: Mapping[bytes, NDArray[np.float32]]) -> None:
        """Store vectors by key; an existing key keeps its vector, so that a text's vector never changes."""
        await self._db.write(lambda c: insert_vectors(c, vectors))

    async def collect_garbage(self, unused_for_s: float) -> int:
        """Delete vectors that no chunk has used for `unused_for_s`, with a precision of a day; return how many."""
        statement = (
            "DELETE FROM vectors WHERE used_at < ? AND NOT EXISTS (SELECT 1 FROM chunks WHERE vector_key = vectors.key) "
            "AND NOT EXISTS (SELECT 1 FROM prepared_chunks WHERE vector_key = vectors.key)"
        )
        return await self._db.write(lambda c: c.execute(statement, (time.time() - unused_for_s,)).rowcount)
