"""Finds where a collection in Chroma differs from the store, and mends only that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from syncd.errors import NotFoundError
from syncd.index.changes import WRITE_SIZE, differs
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.model import Target
from syncd.store import Store
from syncd.store.documents import CollectionRecord
from syncd.store.outbox import ChunkRow

LINEAGE = frozenset({"source_id", "source_type", "key", "version", "chunk_index", "chunk_count"})
"""A row that has all of these was written by a syncd; others are somebody's own and nothing of ours."""
IDS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Drift:
    """How a collection in Chroma differs from the store, in chunks. `chunks` is how many there should be."""

    chunks: int
    missing: int = 0
    different: int = 0
    extra: int = 0
    """Rows with our lineage that the store does not know."""


class Verifier:
    """Compares page by page, each while the index writes nothing; work goes on in between."""

    def __init__(self, store: Store, vector_store: VectorStore, index: Index) -> None:
        self._store = store
        self._vector_store = vector_store
        self._index = index

    async def verify(self, target: Target, repair: bool = False) -> Drift:
        """Return the drift found and, with `repair`, have mended it. Waits for all of it; twice is safe.

        Cut off anywhere, a repair is finished by the next start (it goes through the outbox) or by verifying again. Keys
        that somebody added to a chunk's metadata are no drift. Raises NotFoundError for a collection syncd never wrote,
        CollectionCorrupt where Chroma cannot read it, RetryableError while Chroma is away.
        """
        record = await self._store.documents.find(target)
        if record is None:
            raise NotFoundError(f"syncd never wrote a collection {target.collection!r}")
        if record.chroma_id is None or await self._vector_store.collection_id(target) != record.chroma_id:
            return await self._whole(record, repair)
        chunks, missing, different = await self._compare(record)
        extra = await self._extra(record)
        if repair:
            await self._mend(record, [*missing, *different, *extra])
        return Drift(chunks, len(missing), len(different), len(extra))

    async def _whole(self, record: CollectionRecord, repair: bool) -> Drift:
        """Answer for a collection that somebody deleted, or deleted and made again: all of it is missing."""
        chunks = await self._store.outbox.chunk_count(record.id)
        if repair and chunks:
            await self._index.look(record.id)
        return Drift(chunks, missing=chunks)

    async def _compare(self, record: CollectionRecord) -> tuple[int, list[str], list[str]]:
        """Return how many chunks the store has, which of them Chroma lacks, and which it has otherwise."""
        chunks, missing, different = 0, list[str](), list[str]()
        pages = cast("AsyncGenerator[Sequence[ChunkRow]]", self._store.outbox.rows(record.id, WRITE_SIZE))
        async with aclosing(pages):
            while True:
                async with self._index.turn:
                    page = await anext(pages, None)
                    if page is None:
                        return chunks, missing, different
                    rows = await self._vector_store.get(record.target, [row.id for row in page], vectors=True)
                found = {row.id: row for row in rows}
                chunks += len(page)
                missing += [row.id for row in page if row.id not in found]
                different += [
                    row.id
                    for row in page
                    if row.id in found and differs(row, self._vector_store.as_stored(row.metadata), found[row.id])
                ]

    async def _extra(self, record: CollectionRecord) -> list[str]:
        """Return the ids of rows that a syncd wrote and the store does not know."""
        extra: list[str] = []
        offset = 0
        while True:
            async with self._index.turn:
                page = await self._vector_store.get(record.target, limit=IDS_AT_ONCE, offset=offset, documents=False)
                ours = [row.id for row in page if row.metadata.keys() >= LINEAGE]
                known = await self._store.outbox.known(record.id, ours)
            extra += [chunk_id for chunk_id in ours if chunk_id not in known]
            if len(page) < IDS_AT_ONCE:
                return extra
            offset += len(page)

    async def _mend(self, record: CollectionRecord, chunk_ids: Sequence[str]) -> None:
        """Have the index make Chroma agree about these ids, whatever the store says of them by then."""
        for start in range(0, len(chunk_ids), WRITE_SIZE):
            some = chunk_ids[start : start + WRITE_SIZE]
            await self._store.outbox.want(record.id, some)
            await self._index.flush(record.id, some)
