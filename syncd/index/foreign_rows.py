"""Counts the rows of a collection that only the vector store has: somebody's own, which nothing could bring back."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from syncd.errors import RetryableError
from syncd.index.changes import WRITE_SIZE
from syncd.index.target import VectorStore
from syncd.store import Store
from syncd.store.collections import CollectionRecord

MISSING_MAX = 1000
"""More rows of ours than that are brought back before somebody else's are told by them: they are asked for again with every look."""


class ForeignRows:
    """Tells them by the number of rows, which each row of syncd's own that the vector store lacks makes one too small: these are found
    before anything that cannot be undone. `turn` is held while the index writes.
    """

    def __init__(self, store: Store, vector_store: VectorStore, turn: anyio.Lock) -> None:
        self._store = store
        self._vector_store = vector_store
        self._turn = turn
        self._missing: dict[int, Sequence[str]] = {}
        """The ids that the vector store lacked when a collection was last looked through."""

    async def look_through(self, record: CollectionRecord) -> int:
        """Return how many rows the collection holds that SQLite does not know.

        Where their number tells of none, all chunks are asked for: a request for each few hundred, during which the index goes on. From
        then on `number` tells of what that found. Waits for the turn, so its holder must not call it. Raises RetryableError,
        NotFoundError, CollectionCorrupt.
        """
        name = record.target.collection
        if record.rebuilding is not None:
            raise RetryableError(f"collection {name} is being filled from the store; try again when it is complete")
        async with self._turn:
            if rows := await self.number(record):
                return rows
        missing: list[str] = []
        async for ids in self._store.refills.expected_ids(record.id, WRITE_SIZE):
            missing += frozenset(ids) - await self._there(record, ids)
            if len(missing) > MISSING_MAX:
                raise RetryableError(f"collection {name} lacks rows: `syncd verify {name} --repair` brings them back")
        self._missing[record.id] = missing
        async with self._turn:
            return await self.number(record)

    async def number(self, record: CollectionRecord) -> int:
        """Return the same by the number of rows and what was missing when it was last looked through: at least so many are there.

        Call it while the index writes nothing. It costs the vector store a count, and a request for each few hundred changes that wait
        or rows that were missing. Raises RetryableError, NotFoundError, CollectionCorrupt.
        """
        chunks, _ = await self._store.refills.expected(record.id)
        rows = await self._vector_store.count(record.target)
        waiting = await self._store.outbox.ids(record.id)
        for some in _pages(waiting):
            chunks -= len(await self._store.outbox.known(record.id, some))
            rows -= len(await self._there(record, some))
        # What was missing may have been deleted, or written, since.
        for some in _pages(sorted({*self._missing.get(record.id, ())}.difference(waiting))):
            chunks -= len(await self._store.outbox.known(record.id, some) - await self._there(record, some))
        return max(0, rows - chunks)

    async def _there(self, record: CollectionRecord, ids: Sequence[str]) -> frozenset[str]:
        found = await self._vector_store.get(record.target, ids, metadatas=False, documents=False)
        return frozenset(row.id for row in found)


def _pages(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + WRITE_SIZE] for start in range(0, len(ids), WRITE_SIZE)]
