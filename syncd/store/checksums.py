"""Checksums of stored texts and vectors: a flipped bit in the file is found before it goes anywhere else."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from syncd.model import Origin, SomeKeys, Target
from syncd.store.database import Database
from syncd.store.new_invocations import insert_or_join

DAMAGED = -1
"""The checksum of a vector that is known to be damaged; nothing has it."""


def text_checksum(context: str, text: str) -> int:
    """Return the checksum of a chunk."""
    return zlib.crc32(f"{context}\0{text}".encode("utf-8", "surrogatepass"))


def is_sound(context: str, text: str, checksum: int | None) -> bool:
    """Return whether a chunk is what was stored; one from before there were checksums counts as that."""
    return checksum is None or checksum == text_checksum(context, text)


def is_sound_vector(vector: bytes, checksum: int | None) -> bool:
    """Return whether a vector is what was stored, as `is_sound` does."""
    return checksum is None or checksum == zlib.crc32(vector)


@dataclass(frozen=True, slots=True)
class _Document:
    id: int
    source_id: str
    key: str


class Checksums:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def distrust(self, collection_id: int, chunk_ids: Sequence[str]) -> None:
        """Forget damaged chunks, and ask their sources for the documents again. Twice is safe.

        What the vector store has of them stays until the new ones replace it. A document whose source is gone, or that was
        uploaded, has to be brought again by whoever brought it.
        """

        def transaction(connection: sqlite3.Connection) -> None:
            documents: dict[int, _Document] = {}
            for chunk_id in chunk_ids:
                if found := _forget(connection, collection_id, chunk_id):
                    documents[found.id] = found
            for document in documents.values():
                connection.execute("UPDATE documents SET version = '', fingerprint = '' WHERE id = ?", (document.id,))
            for source_id in {document.source_id for document in documents.values()}:
                keys = sorted(document.key for document in documents.values() if document.source_id == source_id)
                _ask(connection, collection_id, source_id, keys)

        await self._db.write(transaction)


def _forget(connection: sqlite3.Connection, collection_id: int, chunk_id: str) -> _Document | None:
    prefix, _, number = chunk_id.rpartition("-")
    row = connection.execute(
        "SELECT d.id, d.source_id, d.key, c.vector_key, v.vector, v.checksum FROM documents d JOIN chunks c ON c.document_id = d.id "
        "LEFT JOIN vectors v ON v.key = c.vector_key WHERE d.collection_id = ? AND d.prefix = ? AND d.state = 'indexed' "
        "AND c.number = ?",
        (collection_id, prefix, number),
    ).fetchone()
    if row is None:
        return None
    *document, vector_key, vector, checksum = row
    if vector is not None and not is_sound_vector(vector, checksum):
        connection.execute("UPDATE vectors SET checksum = ? WHERE key = ?", (DAMAGED, vector_key))
    connection.execute("DELETE FROM chunks WHERE document_id = ? AND number = ?", (document[0], number))
    # The next write of this id replaces whatever the vector store has.
    connection.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?, 'delete', NULL, NULL)", (collection_id, chunk_id))
    return _Document(*document)


def _ask(connection: sqlite3.Connection, collection_id: int, source_id: str, keys: Sequence[str]) -> None:
    source = connection.execute("SELECT type FROM sources WHERE id = ?", (source_id,)).fetchone()
    place = connection.execute("SELECT database, name FROM collections WHERE id = ?", (collection_id,)).fetchone()
    if source is not None:
        insert_or_join(connection, source_id, source[0], Target(*place), Origin.SCHEDULE, SomeKeys(tuple(keys)))
