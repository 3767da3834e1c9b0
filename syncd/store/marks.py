"""Marks of documents in hand, which outlive the daemon, and what its deaths say of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from syncd.store.database import Database

DEATHS_MAX = 3
"""Of the daemon, with the same version of one document in hand."""


class Mark(NamedTuple):
    """One version of one document, whatever the collection."""

    source_id: str
    key: bytes
    version: bytes


@dataclass(frozen=True, slots=True)
class DeathRecord:
    """How often the daemon died with a document in hand, and whether it was to blame."""

    deaths: int = 0
    condemned: bool = False


def mark_of(source_id: str, key: str, version: str) -> Mark:
    """Return the mark of a document's version."""
    return Mark(source_id, text_digest(key), text_digest(version))


def text_digest(text: str) -> bytes:
    """Return the digest that stands for a key or a version."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


class Marks:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def reckon(self) -> frozenset[tuple[str, bytes]]:
        """Blame the last life's death on what it left held; return the sources and keys of documents with deaths on record.

        Nothing is held after a polite end, nor after this: twice is safe. To be called before anything is marked.
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
        """Mark documents as in hand or not. Deaths on record stay there."""
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
        """Mark everything as not in hand: the daemon ends politely. Twice is safe."""

        def transaction(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM in_hand WHERE deaths = 0")
            connection.execute("UPDATE in_hand SET held = 0 WHERE held")

        await self._db.write(transaction)

    async def record(self, mark: Mark) -> DeathRecord:
        """Return what is on record of a document's version."""
        statement = "SELECT deaths, condemned FROM in_hand WHERE source_id = ? AND key = ? AND version = ?"
        row = await self._db.read(lambda c: c.execute(statement, mark).fetchone())
        return DeathRecord(row[0], bool(row[1])) if row else DeathRecord()

    async def clear(self, mark: Mark) -> None:
        """Forget the deaths of a document that has got through, those with its earlier versions too."""
        await self._db.write(
            lambda c: c.execute(
                "DELETE FROM in_hand WHERE source_id = ? AND key = ? AND NOT held AND NOT condemned",
                (mark.source_id, mark.key),
            )
        )

    async def forgive(self, source_id: str, keys: Sequence[str] | None = None) -> None:
        """Give documents of a source, or (None) all of them, another chance: somebody asked for it."""
        digests = None if keys is None else [(source_id, text_digest(key)) for key in keys]

        def transaction(connection: sqlite3.Connection) -> None:
            statement = "UPDATE in_hand SET deaths = 0, condemned = 0 WHERE source_id = ?"
            if digests is None:
                connection.execute(statement, (source_id,))
            else:
                connection.executemany(f"{statement} AND key = ?", digests)
            connection.execute("DELETE FROM in_hand WHERE deaths = 0 AND NOT held")

        await self._db.write(transaction)
