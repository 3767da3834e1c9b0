"""Durable marks of the documents being prepared, and the crashes counted against them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from syncd.store.database import Database

DEATHS_MAX = 3
"""Crashes of the daemon during the preparation of one version of a document, after which it is set aside."""


class Mark(NamedTuple):
    """One version of one document, whatever the collection."""

    source_id: str
    key: bytes
    version: bytes


@dataclass(frozen=True, slots=True)
class DeathRecord:
    """How often the daemon died while preparing a document, and whether the document was to blame."""

    deaths: int = 0
    condemned: bool = False


def mark_of(source_id: str, key: str, version: str) -> Mark:
    """Return the mark of a document's version."""
    return Mark(source_id, text_digest(key), text_digest(version))


def text_digest(text: str) -> bytes:
    """Return the digest under which a key or a version is stored."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


class Marks:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def reckon(self) -> frozenset[tuple[str, bytes]]:
        """Count a crash against every document still marked; return the sources and keys of documents with crashes on record.

        Nothing is marked after a clean stop, nor after this: twice is safe. Call it before anything is marked.
        """

        def transaction(connection: sqlite3.Connection) -> frozenset[tuple[str, bytes]]:
            (held,) = connection.execute("SELECT count(*) FROM in_hand WHERE held").fetchone()
            connection.execute(
                "UPDATE in_hand SET held = 0, deaths = deaths + 1, condemned = condemned OR (deaths + 1 >= ? AND ? = 1) "
                "WHERE held",
                (DEATHS_MAX, held),
            )
            connection.execute("DELETE FROM in_hand WHERE source_id NOT IN (SELECT id FROM sources)")
            return frozenset(connection.execute("SELECT source_id, key FROM in_hand").fetchall())

        return await self._db.write(transaction)

    async def write(self, held: Mapping[Mark, bool]) -> None:
        """Mark documents as being prepared or not. Crashes on record are kept."""
        taken = [mark for mark, is_held in held.items() if is_held]
        left = [mark for mark, is_held in held.items() if not is_held]

        def transaction(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO in_hand (source_id, key, version, held) VALUES (?, ?, ?, 1) ON CONFLICT DO UPDATE SET held = 1",
                taken,
            )
            place = "source_id = ? AND key = ? AND version = ?"
            connection.executemany(f"DELETE FROM in_hand WHERE {place} AND deaths = 0", left)
            connection.executemany(f"UPDATE in_hand SET held = 0 WHERE {place}", left)

        await self._db.write(transaction)

    async def release(self) -> None:
        """Remove all marks, because the daemon stops cleanly. Twice is safe."""

        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM in_hand WHERE deaths = 0")
            connection.execute("UPDATE in_hand SET held = 0 WHERE held")

        await self._db.write(transaction)

    async def record(self, mark: Mark) -> DeathRecord:
        """Return the record of a document's version."""
        statement = "SELECT deaths, condemned FROM in_hand WHERE source_id = ? AND key = ? AND version = ?"
        row = await self._db.read(lambda c: c.execute(statement, mark).fetchone())
        return DeathRecord(row[0], bool(row[1])) if row else DeathRecord()

    async def clear(self, mark: Mark) -> None:
        """Delete the crashes counted against a document, because it was prepared without one; earlier versions' too."""
        await self._db.write(
            lambda c: c.execute(
                "DELETE FROM in_hand WHERE source_id = ? AND key = ? AND NOT held AND NOT condemned",
                (mark.source_id, mark.key),
            )
        )

    async def forgive(self, source_id: str, keys: Sequence[str] | None = None) -> None:
        """Delete the crashes counted against these documents of a source, or (None) all of them, because a retry was requested."""
        digests = None if keys is None else [(source_id, text_digest(key)) for key in keys]

        def transaction(connection: sqlite3.Connection) -> None:
            statement = "UPDATE in_hand SET deaths = 0, condemned = 0 WHERE source_id = ?"
            if digests is None:
                connection.execute(statement, (source_id,))
            else:
                connection.executemany(f"{statement} AND key = ?", digests)
            connection.execute("DELETE FROM in_hand WHERE deaths = 0 AND NOT held")

        await self._db.write(transaction)
