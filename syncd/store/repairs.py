"""What becomes of damage in SQLite: one flipped bit is set right by its checksum, and what has more is asked of its source again."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from syncd.store.bit_errors import set_right
from syncd.store.checksums import DAMAGED, is_sound_blob, text_bytes
from syncd.store.database import Database
from syncd.store.document_repairs import AskedAgain, document_rows, mend_documents
from syncd.store.outbox import Portion
from syncd.store.prepared_damage import PreparedRow, drop_damaged, is_intact, prepared_rows
from syncd.store.staging import FORGOTTEN, put_in_outbox

PAGE_DOCUMENTS = 200


@dataclass(frozen=True, slots=True)
class _Owner:
    """A document, and one of its chunks."""

    id: int
    source_id: str
    key: str
    number: int


class Repairs:
    """Each method is one transaction, or one for every page of documents."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def repair(self, collection_id: int, chunk_ids: Sequence[str], stored: Collection[str] = ()) -> Sequence[str]:
        """Set damaged chunks right, and return the ids of these: they are in the outbox. Forget the others, and ask their sources for
        the documents again. Twice is safe.

        Rows that the vector store is known to have (`stored`) stay there until new ones replace them. A document whose source is gone, or that was
        uploaded, has to be brought again by whoever brought it.
        """

        def transaction(connection: sqlite3.Connection) -> list[str]:
            right: list[str] = []
            asked = AskedAgain()
            for chunk_id in chunk_ids:
                owner = _owner(connection, collection_id, chunk_id)
                if owner is None:
                    continue
                is_right = _set_chunk_right(connection, collection_id, owner)
                if is_right:
                    right.append(chunk_id)
                else:
                    _forget(connection, owner)
                    asked.keys.add((owner.source_id, owner.key))
                op = "replace" if is_right else FORGOTTEN if chunk_id in stored else "delete"
                put_in_outbox(connection, collection_id, {chunk_id: (op, owner.id, owner.number)})
            asked.send(connection, collection_id)
            return right

        return await self._db.write(transaction)

    async def examine(self, collection_id: int, portion: Portion, *, repair: bool) -> int:
        """Return how many rows of a portion's documents are damaged and, with `repair`, set them right; documents and chunks that
        have no checksums yet get them then. Twice is safe. Damaged prepared documents count too; they are dropped and asked for again.

        Where more than a bit is wrong, the document is asked of its source again, and its collection's sources are looked at whole.
        """
        condition, values = portion.condition
        of_portion = (
            f"d.id > ? AND (d.collection_id = ? OR d.collection_id NOT IN (SELECT id FROM collections)) {condition}"
            "ORDER BY d.id LIMIT ?"
        )
        damaged, after = await self._examine_prepared(of_portion, (collection_id, *values), repair=repair), 0
        while True:
            page = (after, collection_id, *values, PAGE_DOCUMENTS)
            rows = await self._db.read(lambda c, page=page: document_rows(c, of_portion, page))
            damaged += sum(not row.is_sound for row in rows)
            concerned = [row.id for row in rows if not (row.is_sound and row.is_complete)]
            if repair and concerned:
                await self._db.write(lambda c, ids=concerned: mend_documents(c, collection_id, ids))
            if len(rows) < PAGE_DOCUMENTS:
                return damaged
            after = rows[-1].id

    async def _examine_prepared(self, of_portion: str, values: Sequence[int | str], *, repair: bool) -> int:
        """Return how many prepared documents of a portion are damaged and, with `repair`, drop them to have them prepared again."""
        damaged, after = 0, 0
        while True:
            page = (after, *values, PAGE_DOCUMENTS)

            def query(
                connection: sqlite3.Connection, page: Sequence[int | str] = page
            ) -> tuple[int, list[PreparedRow]]:
                rows = prepared_rows(connection, of_portion, page)
                last = rows[-1].id if len(rows) == PAGE_DOCUMENTS else 0
                return last, [row for row in rows if not is_intact(connection, row)]

            after, found = await self._db.read(query)
            damaged += len(found)
            if repair and found:
                await self._db.write(lambda c, found=found: drop_damaged(c, found))
            if not after:
                return damaged


def _owner(connection: sqlite3.Connection, collection_id: int, chunk_id: str) -> _Owner | None:
    prefix, _, number = chunk_id.rpartition("-")
    row = connection.execute(
        "SELECT d.id, d.source_id, d.key, c.number FROM documents d JOIN chunks c ON c.document_id = d.id "
        "WHERE d.collection_id = ? AND d.prefix = ? AND d.state = 'indexed' AND c.number = ?",
        (collection_id, prefix, number),
    ).fetchone()
    return _Owner(*row) if row else None


def _set_chunk_right(connection: sqlite3.Connection, collection_id: int, chunk: _Owner) -> bool:
    """Set right what is wrong with a chunk, its vector and its posting, and return True; or change nothing."""
    context, text, key, metadata, checksum, lineage, model, posting, posting_checksum = connection.execute(
        "SELECT CAST(c.context AS BLOB), CAST(c.text AS BLOB), c.vector_key, CAST(c.metadata AS BLOB), c.checksum, "
        "c.lineage_checksum, p.model, p.vector, p.checksum FROM chunks c "
        "LEFT JOIN postings p ON p.document_id = c.document_id AND p.number = c.number WHERE c.document_id = ? AND c.number = ?",
        (chunk.id, chunk.number),
    ).fetchone()
    words = _right(text_bytes(context, text), checksum)
    lineage_bytes = _right(key + metadata, lineage)
    right_posting = _right(posting or b"", posting_checksum)
    if lineage_bytes != key + metadata:
        # The index still has the vector key as it was, and SQLite changes no row that its indexes do not have.
        connection.execute("REINDEX chunks")
    if words is None or lineage_bytes is None or right_posting is None:
        return False
    right_key = lineage_bytes[: len(key)]
    row = connection.execute("SELECT vector, checksum FROM vectors WHERE key = ?", (right_key,)).fetchone()
    vector = _right(*row) if row else None
    if vector is None:
        return False
    connection.execute(
        "UPDATE vectors SET vector = ?, checksum = ? WHERE key = ?", (vector, zlib.crc32(vector), right_key)
    )
    connection.execute(
        "UPDATE chunks SET context = CAST(? AS TEXT), text = CAST(? AS TEXT), vector_key = ?, metadata = CAST(? AS TEXT), "
        "checksum = ?, lineage_checksum = ? WHERE document_id = ? AND number = ?",
        (
            words[: len(context)],
            words[len(context) + 1 :],
            right_key,
            lineage_bytes[len(key) :],
            zlib.crc32(words),
            zlib.crc32(lineage_bytes),
            chunk.id,
            chunk.number,
        ),
    )
    if posting is not None and posting != right_posting:
        # A reader knows postings by ids that only grow: what is right is a new row.
        connection.execute("DELETE FROM postings WHERE document_id = ? AND number = ?", (chunk.id, chunk.number))
        connection.execute(
            "INSERT INTO postings (collection_id, document_id, number, model, vector, checksum) VALUES (?, ?, ?, ?, ?, ?)",
            (collection_id, chunk.id, chunk.number, model, right_posting, zlib.crc32(right_posting)),
        )
    return True


def _right(data: bytes, checksum: int | None) -> bytes | None:
    return data if checksum is None else set_right(data, checksum)


def _forget(connection: sqlite3.Connection, chunk: _Owner) -> None:
    row = connection.execute(
        "SELECT v.key, v.vector, v.checksum FROM chunks c JOIN vectors v ON v.key = c.vector_key "
        "WHERE c.document_id = ? AND c.number = ?",
        (chunk.id, chunk.number),
    ).fetchone()
    if row and not is_sound_blob(*row[1:]):
        connection.execute("UPDATE vectors SET checksum = ? WHERE key = ?", (DAMAGED, row[0]))
    connection.execute("DELETE FROM chunks WHERE document_id = ? AND number = ?", (chunk.id, chunk.number))
    connection.execute("UPDATE documents SET version = '', fingerprint = '' WHERE id = ?", (chunk.id,))
