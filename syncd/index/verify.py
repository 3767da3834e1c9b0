"""Finds what is damaged in SQLite and where a collection of the vector store differs from it, and repairs only that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from syncd.errors import CollectionCorrupt, NotFoundError, RetryableError
from syncd.index.changes import WRITE_SIZE, differs
from syncd.index.self_probe import SelfProbe
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.model import Target
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.outbox import ChunkRow

LINEAGE = frozenset({"source_id", "source_type", "key", "version", "chunk_index", "chunk_count"})
"""A row with all of these keys was written by syncd; other rows belong to somebody else and are left alone."""
IDS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Drift:
    """How a collection of the vector store differs from SQLite, in chunks; `chunks` is the number in SQLite."""

    chunks: int
    missing: int = 0
    different: int = 0
    """Including those that do not find themselves, of a sample."""
    extra: int = 0
    """Rows with our lineage that are not in SQLite."""
    damaged: int = 0
    """Chunks whose text or vector in SQLite is not what was stored; they are compared with nothing. Repairing asks their sources again."""
    unreadable: str | None = None
    """Why the vector store cannot read the collection, which is then rebuilt from SQLite; nothing was compared."""


class Verifier:
    """Compares page by page; the index writes nothing during a page, and continues in between."""

    def __init__(self, store: Store, vector_store: VectorStore, index: Index) -> None:
        self._store = store
        self._vector_store = vector_store
        self._index = index
        self._probe = SelfProbe(store, vector_store, index)

    async def verify(self, target: Target, repair: bool = False) -> Drift:
        """Return the differences and, with `repair`, repair them. Waits for all of that; twice is safe.

        An interrupted repair is finished by the next start (it goes through the outbox) or by verifying again. Metadata
        keys that somebody added are not a difference. A collection that the vector store cannot read is rebuilt, whether or not
        to `repair`, which only waits for it. Raises NotFoundError for a collection syncd never wrote, RetryableError while the
        vector store is unavailable or the collection is being filled.
        """
        record = await self._store.collections.find(target)
        if record is None:
            raise NotFoundError(f"syncd never wrote a collection {target.collection!r}")
        try:
            return await self._drift(record, repair)
        except CollectionCorrupt as error:
            await (self._index.rebuild(target) if repair else self._index.damaged(record, error))
            return Drift(await self._store.outbox.chunk_count(record.id), unreadable=str(error))

    async def _drift(self, record: CollectionRecord, repair: bool) -> Drift:
        if record.rebuilding is not None:
            if not repair:
                raise RetryableError(
                    f"collection {record.target.collection} is being filled from the store: verify it when that is complete"
                )
            await self._index.look(record.id)
            record = await self._store.collections.by_id(record.id)
        if record.chroma_id is None or await self._vector_store.collection_id(record.target) != record.chroma_id:
            return await self._whole(record, repair)
        chunks, missing, different, damaged = await self._compare(record)
        probed = (await self._probe.probe(record)).beside({*missing, *different, *damaged})
        if probed.is_damaged:
            raise probed.error()
        different += probed.lost
        extra = await self._extra(record)
        if repair:
            if damaged:
                await self._store.checksums.distrust(record.id, damaged)
            await self._mend(record, [*missing, *different, *extra])
        return Drift(chunks, len(missing), len(different), len(extra), len(damaged))

    async def _whole(self, record: CollectionRecord, repair: bool) -> Drift:
        """Return the drift of a collection that was deleted or recreated: all of it is missing."""
        chunks = await self._store.outbox.chunk_count(record.id)
        if repair and chunks:
            await self._index.look(record.id)
        return Drift(chunks, missing=chunks)

    async def _compare(self, record: CollectionRecord) -> tuple[int, list[str], list[str], list[str]]:
        """Return the number of chunks in SQLite, which of the sound ones the vector store lacks or has differently, and which
        are damaged.
        """
        chunks, missing, different, damaged = 0, list[str](), list[str](), list[str]()
        pages = cast("AsyncGenerator[Sequence[ChunkRow]]", self._store.outbox.rows(record.id, WRITE_SIZE))
        async with aclosing(pages):
            while True:
                async with self._index.turn:
                    page = await anext(pages, None)
                    if page is None:
                        return chunks, missing, different, damaged
                    rows = await self._vector_store.get(record.target, [row.id for row in page], vectors=True)
                found = {row.id: row for row in rows}
                chunks += len(page)
                damaged += [row.id for row in page if not row.is_sound]
                sound = [row for row in page if row.is_sound]
                missing += [row.id for row in sound if row.id not in found]
                different += [
                    row.id
                    for row in sound
                    if row.id in found and differs(row, self._vector_store.as_stored(row.metadata), found[row.id])
                ]

    async def _extra(self, record: CollectionRecord) -> list[str]:
        """Return the ids of rows that syncd wrote but that are not in SQLite."""
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
        """Have the index make the vector store agree with SQLite's current state of these ids."""
        for start in range(0, len(chunk_ids), WRITE_SIZE):
            some = chunk_ids[start : start + WRITE_SIZE]
            await self._store.outbox.want(record.id, some)
            await self._index.flush(record.id, some)
