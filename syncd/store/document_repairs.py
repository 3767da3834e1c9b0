"""Documents' rows against their checksums: one flipped bit is set right, and what has more is asked of its source again."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from syncd.model import Origin, SomeKeys, Target
from syncd.store.bit_errors import set_right
from syncd.store.checked_rows import despite_indexes
from syncd.store.checksums import DOCUMENT_TEXTS, document_bytes, is_sound_blob, lineage_checksum
from syncd.store.cursors import invalidate_cursors
from syncd.store.new_invocations import insert_or_join

_BLOBS = ", ".join(f"CAST({name} AS BLOB)" for name in DOCUMENT_TEXTS)


@dataclass(slots=True)
class AskedAgain:
    """Documents to be asked of their sources again: pairs of source and key."""

    keys: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def send(self, connection: sqlite3.Connection, collection_id: int) -> None:
        """Request runs for them within the caller's transaction; sources that are gone are asked nothing."""
        place = connection.execute("SELECT database, name FROM collections WHERE id = ?", (collection_id,)).fetchone()
        for source_id, keys in groupby(sorted(self.keys), key=lambda pair: pair[0]):
            source = connection.execute("SELECT type FROM sources WHERE id = ?", (source_id,)).fetchone()
            if source is not None:
                request = SomeKeys(tuple(key for _, key in keys))
                insert_or_join(connection, source_id, source[0], Target(*place), Origin.SCHEDULE, request)


class DocumentRow(NamedTuple):
    """A document's row. `texts` are DOCUMENT_TEXTS, as they stand in the file."""

    id: int
    collection_id: int
    texts: Sequence[bytes]
    checksum: int | None
    is_complete: bool
    """Whether it has a checksum, and all of its chunks have theirs."""

    @property
    def content(self) -> bytes:
        """What the checksum is taken of."""
        return document_bytes(self.collection_id, *self.texts)

    @property
    def is_sound(self) -> bool:
        """Whether it is what was stored."""
        return is_sound_blob(self.content, self.checksum)


def document_rows(connection: sqlite3.Connection, condition: str, values: Sequence[int | str]) -> list[DocumentRow]:
    """Return the rows of documents `d` of which a condition holds, in SQL, as they stand in the table."""
    # Of what an index has too, SQLite would read that.
    found = connection.execute(
        f"SELECT d.id, d.collection_id, d.checksum, d.checksum IS NOT NULL AND NOT EXISTS (SELECT 1 FROM chunks "
        f"WHERE document_id = d.id AND lineage_checksum IS NULL), {_BLOBS} FROM documents d NOT INDEXED WHERE {condition}",
        values,
    )
    return [
        DocumentRow(ident, collection, texts, checksum, bool(done))
        for ident, collection, checksum, done, *texts in found
    ]


def mend_documents(connection: sqlite3.Connection, collection_id: int, document_ids: Sequence[int]) -> None:
    """Set right what is damaged of these documents, and give checksums to what has none."""
    rows = document_rows(connection, f"d.id IN ({', '.join('?' * len(document_ids))})", document_ids)
    damaged = [row for row in rows if not row.is_sound]
    asked = AskedAgain()
    if damaged:
        with despite_indexes(connection, "documents"):
            for row in damaged:
                _set_document_right(connection, asked, row)
    for row in rows:
        _complete(connection, row)
    asked.send(connection, collection_id)


def _complete(connection: sqlite3.Connection, row: DocumentRow) -> None:
    """Give checksums to a document, and to its chunks, where they have none."""
    if row.checksum is None:
        connection.execute("UPDATE documents SET checksum = ? WHERE id = ?", (zlib.crc32(row.content), row.id))
    chunks = connection.execute(
        "SELECT vector_key, metadata, number FROM chunks WHERE document_id = ? AND lineage_checksum IS NULL", (row.id,)
    ).fetchall()
    connection.executemany(
        "UPDATE chunks SET lineage_checksum = ? WHERE document_id = ? AND number = ?",
        [(lineage_checksum(key, metadata), row.id, number) for key, metadata, number in chunks],
    )


def _set_document_right(connection: sqlite3.Connection, asked: AskedAgain, row: DocumentRow) -> None:
    right = None if row.checksum is None else set_right(row.content, row.checksum)
    if right is None:
        connection.execute("UPDATE documents SET version = '', fingerprint = '' WHERE id = ?", (row.id,))
        invalidate_cursors(connection, "collection_id = ?", (row.collection_id,))
        owner = connection.execute("SELECT source_id, key FROM documents WHERE id = ?", (row.id,)).fetchone()
        asked.keys.add(owner)
        return
    columns, start = list[bytes](), 9
    for text in row.texts:
        columns.append(right[start : start + len(text)])
        start += len(text) + 1
    names = ", ".join(f"{name} = CAST(? AS TEXT)" for name in DOCUMENT_TEXTS)
    connection.execute(
        f"UPDATE documents SET collection_id = ?, {names} WHERE id = ?",
        (int.from_bytes(right[:8], "little", signed=True), *columns, row.id),
    )
    connection.execute("UPDATE documents SET checksum = ? WHERE id = ?", (zlib.crc32(right), row.id))
