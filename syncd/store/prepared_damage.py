"""Prepared documents against their checksums: a damaged one is dropped before it goes anywhere, and asked of its source again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from syncd.store.bit_errors import set_right
from syncd.store.checked_rows import despite_indexes
from syncd.store.checksums import PREPARED_TEXTS, document_bytes, is_sound, is_sound_blob
from syncd.store.cursors import invalidate_cursors
from syncd.store.document_repairs import AskedAgain

log = structlog.get_logger()

_TEXTS = ", ".join(f"CAST({name} AS BLOB)" for name in PREPARED_TEXTS)


@dataclass(frozen=True, slots=True)
class PreparedRow:
    """The row of a prepared document, as it stands in the file. `texts` are PREPARED_TEXTS."""

    id: int
    collection_id: int
    chunks: int
    wanted: int
    checksum: int | None
    texts: Sequence[bytes]

    @property
    def is_sound(self) -> bool:
        """Whether it is what was stored."""
        return is_sound_blob(document_bytes(self.collection_id, *self.texts), self.checksum)

    @property
    def owner(self) -> tuple[int, str, str] | None:
        """Return collection, source and key as they were stored; None where more than a bit is wrong."""
        content = document_bytes(self.collection_id, *self.texts)
        right = content if self.checksum is None else set_right(content, self.checksum)
        if right is None:
            return None
        source, key = (len(text) for text in self.texts[:2])
        end = 9 + source
        return (
            int.from_bytes(right[:8], "little", signed=True),
            right[9:end].decode("utf-8", "replace"),
            right[end + 1 : end + 1 + key].decode("utf-8", "replace"),
        )


def prepared_rows(
    connection: sqlite3.Connection, condition: str = "1", values: Sequence[int | str] = ()
) -> list[PreparedRow]:
    """Return the rows of prepared documents `d` of which a condition holds, in SQL, as they stand in the table."""
    # Of what an index has too, SQLite would read that.
    found = connection.execute(
        f"SELECT id, collection_id, chunks, wanted, checksum, {_TEXTS} FROM prepared d NOT INDEXED WHERE {condition}",
        values,
    )
    return [PreparedRow(*row[:5], texts=row[5:]) for row in found]


def is_intact(connection: sqlite3.Connection, row: PreparedRow) -> bool:
    """Return whether a prepared document and all of its chunks are what was stored. Reads all of them."""
    if not row.is_sound:
        return False
    count = missing = 0
    for number, wanted, text, context, key, metadata, posting, posting_checksum, *sums in connection.execute(
        "SELECT number, wanted, text, context, vector_key, metadata, posting, posting_checksum, checksum, lineage_checksum "
        "FROM prepared_chunks WHERE prepared_id = ? ORDER BY number",
        (row.id,),
    ):
        if (
            number != count
            or not is_sound(text, context, key, metadata, *sums)
            or not is_sound_blob(posting or b"", posting_checksum)
        ):
            return False
        count, missing = count + 1, missing + bool(wanted)
    return (count, missing) == (row.chunks, row.wanted)


def drop_damaged(connection: sqlite3.Connection, rows: Iterable[PreparedRow]) -> None:
    """Drop prepared documents and ask their sources for them again, within the caller's transaction.

    Whoever waits for one is told that it is gone, and brings it again too: the second finds it done. Of a row with more than one
    wrong bit it is not known whose it is: the sources of its collection are looked at whole.
    """
    asked: dict[int, AskedAgain] = {}
    for row in rows:
        # It may stand where another one does, and its indexes have it as it was.
        with despite_indexes(connection, "prepared", "prepared_chunks"):
            connection.execute("DELETE FROM prepared WHERE id = ?", (row.id,))
        owner = row.owner
        log.error("prepared.damaged", key=owner[2] if owner else None, action="prepared again from its source")
        if owner is None:
            invalidate_cursors(connection, "collection_id = ?", (row.collection_id,))
        collection_id, source_id, key = owner or (
            row.collection_id,
            *(t.decode("utf-8", "replace") for t in row.texts[:2]),
        )
        asked.setdefault(collection_id, AskedAgain()).keys.add((source_id, key))
    for collection_id, again in asked.items():
        again.send(connection, collection_id)
