"""Counts the rows of a collection that only the vector store has: somebody's own, which nothing could bring back."""

from __future__ import annotations

from syncd.index.changes import WRITE_SIZE
from syncd.index.target import VectorStore
from syncd.store import Store
from syncd.store.collections import CollectionRecord


async def foreign_rows(store: Store, vector_store: VectorStore, record: CollectionRecord) -> int:
    """Return how many rows the collection holds that SQLite does not know, told by their number.

    Call it while the index writes nothing. It costs the vector store a count, and a request for each few hundred changes that wait.
    Raises RetryableError, NotFoundError.
    """
    chunks, _ = await store.refills.expected(record.id)
    rows = await vector_store.count(record.target)
    waiting = await store.outbox.ids(record.id)
    for start in range(0, len(waiting), WRITE_SIZE):
        some = waiting[start : start + WRITE_SIZE]
        chunks -= len(await store.outbox.known(record.id, some))
        rows -= len(await vector_store.get(record.target, some, metadatas=False, documents=False))
    return max(0, rows - chunks)
