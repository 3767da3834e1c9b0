"""Finds what is damaged in SQLite and where a collection of the vector store differs from it, and repairs only that."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import chain
from typing import cast

from syncd.errors import CollectionCorrupt, NotFoundError, RetryableError
from syncd.index.changes import WRITE_SIZE, Difference, difference
from syncd.index.self_probe import SelfProbe
from syncd.index.target import VectorStore
from syncd.index.writer import Index
from syncd.model import Metadata, Row, Target
from syncd.store import Store
from syncd.store.collections import CollectionRecord
from syncd.store.outbox import EVERYTHING_HELD, Portion
from syncd.store.whole_chunks import ChunkRow

LINEAGE = frozenset({"source_id", "source_type", "key", "version", "chunk_index", "chunk_count"})
"""A row with all of these keys was written by syncd; other rows belong to somebody else and are left alone."""
IDS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Drift:
    """How a collection of the vector store, or a portion of it, differs from SQLite, in chunks; `chunks` is the number compared."""

    chunks: int
    missing: int = 0
    texts: int = 0
    """With another text. A chunk is counted once, for the first of these in which it differs."""
    vectors: int = 0
    metadata: int = 0
    unfindable: int = 0
    """Of a sample, beside those: not found by their own vectors."""
    extra: int = 0
    """Rows with our lineage that are not in SQLite."""
    damaged: int = 0
    """Chunks, and rows of documents, that are not in SQLite what was stored; these chunks are compared with nothing. Repairing sets
    single flipped bits right, and asks sources again for the rest.
    """
    unreadable: str | None = None
    """Why the vector store cannot read the collection, which is then rebuilt from SQLite; nothing was compared."""

    @property
    def different(self) -> int:
        """The rows that are there and not as they should be."""
        return self.texts + self.vectors + self.metadata + self.unfindable


@dataclass(slots=True)
class _Compared:
    """What was found of the chunks in SQLite: how many there are, and the ids of those that are not right."""

    chunks: int = 0
    missing: list[str] = field(default_factory=list[str])
    damaged: list[str] = field(default_factory=list[str])
    stored: set[str] = field(default_factory=set[str])
    """Those of the damaged that the vector store has."""
    different: dict[Difference, list[str]] = field(default_factory=lambda: {"texts": [], "vectors": [], "metadata": []})

    @property
    def wrong(self) -> list[str]:
        """The ids of sound chunks that the vector store lacks or has differently."""
        return [*self.missing, *chain.from_iterable(self.different.values())]


class Verifier:
    """Compares page by page; the index writes nothing during a page, and continues in between."""

    def __init__(self, store: Store, vector_store: VectorStore, index: Index) -> None:
        self._store = store
        self._vector_store = vector_store
        self._index = index
        self._probe = SelfProbe(store, vector_store, index)

    async def verify(
        self, target: Target, repair: bool = False, portion: Portion = EVERYTHING_HELD, *, keep_extra: bool = False
    ) -> Drift:
        """Return the differences in a portion of a collection and, with `repair`, repair them. Waits for all of that; twice is safe.

        It costs the vector store as many requests as the portion has pages of chunks, and a hundred queries for the probe. An
        interrupted repair is finished by the next start (it goes through the outbox) or by verifying again. Metadata
        keys that somebody added are not a difference. `keep_extra` leaves rows that SQLite does not know where they are. A collection that the vector store cannot read is rebuilt, whether or not
        to `repair`, which only waits for it. Raises NotFoundError for a collection syncd never wrote, RetryableError while the
        vector store is unavailable or the collection is being filled.
        """
        record = await self._store.collections.find(target)
        if record is None:
            raise NotFoundError(f"syncd never wrote a collection {target.collection!r}")
        try:
            return await self._drift(record, repair, portion, keep_extra)
        except CollectionCorrupt as error:
            await (self._index.rebuild(target) if repair else self._index.damaged(record, error))
            return Drift(await self._store.outbox.chunk_count(record.id, portion.source_id), unreadable=str(error))

    async def _drift(self, record: CollectionRecord, repair: bool, portion: Portion, keep_extra: bool) -> Drift:
        if record.rebuilding is not None:
            if not repair:
                raise RetryableError(
                    f"collection {record.target.collection} is being filled from the store: verify it when that is complete"
                )
            await self._index.look(record.id)
            record = await self._store.collections.by_id(record.id)
        if record.chroma_id is None or await self._vector_store.collection_id(record.target) != record.chroma_id:
            return await self._whole(record, repair, portion)
        documents = await self._store.repairs.examine(record.id, portion, repair=repair)
        compared = await self._compare(record, portion)
        probed = await self._probe.probe(record, portion.source_id)
        probed = probed.beside({*compared.wrong, *compared.damaged})
        if probed.is_damaged:
            raise probed.error()
        extra = [] if await self._is_all(record, portion, compared) else await self._extra(record, portion)
        if repair:
            right = await self._store.repairs.repair(record.id, compared.damaged, compared.stored)
            await self._mend(record, [*compared.wrong, *right, *probed.lost, *([] if keep_extra else extra)])
        return Drift(
            compared.chunks,
            len(compared.missing),
            texts=len(compared.different["texts"]),
            vectors=len(compared.different["vectors"]),
            metadata=len(compared.different["metadata"]),
            unfindable=len(probed.lost),
            extra=len(extra),
            damaged=len(compared.damaged) + documents,
        )

    async def _whole(self, record: CollectionRecord, repair: bool, portion: Portion) -> Drift:
        """Return the drift of a collection that was deleted or recreated: all of it is missing."""
        chunks = await self._store.outbox.chunk_count(record.id, portion.source_id)
        if repair and chunks:
            await self._index.look(record.id)
        return Drift(chunks, missing=chunks)

    async def _compare(self, record: CollectionRecord, portion: Portion) -> _Compared:
        compared = _Compared()
        found = self._store.outbox.rows(record.id, WRITE_SIZE, portion)
        pages = cast("AsyncGenerator[Sequence[ChunkRow]]", found)
        async with aclosing(pages):
            while True:
                async with self._index.turn:
                    page = await anext(pages, None)
                    if page is None:
                        return compared
                    rows = await self._vector_store.get(record.target, [row.id for row in page], vectors=True)
                self._compare_page(compared, page, {row.id: row for row in rows})

    def _compare_page(self, compared: _Compared, page: Sequence[ChunkRow], found: Mapping[str, Row]) -> None:
        compared.chunks += len(page)
        for row in page:
            if not row.is_sound:
                compared.damaged.append(row.id)
                compared.stored |= {row.id} & found.keys()
            elif row.id not in found:
                compared.missing.append(row.id)
            elif kind := difference(row, self._vector_store.as_stored(row.metadata), found[row.id]):
                compared.different[kind].append(row.id)

    async def _is_all(self, record: CollectionRecord, portion: Portion, compared: _Compared) -> bool:
        """Return whether the collection has no row beside those that were compared, by their number: a page of its rows costs Chroma
        the more, the more there are (sorted for each), which of a million would be most of a verification.
        """
        if portion.source_id is not None or portion.share < 1 or compared.missing or compared.damaged:
            return False
        async with self._index.turn:
            chunks, waiting = await self._store.refills.expected(record.id)
            return not waiting and await self._vector_store.count(record.target) == chunks

    async def _extra(self, record: CollectionRecord, portion: Portion) -> list[str]:
        """Return the ids of rows that syncd wrote but that are not in SQLite; of a share, rows of some pages are looked at."""
        extra: list[str] = []
        pages = -(-await self._vector_store.count(record.target) // IDS_AT_ONCE)
        for number in sorted(random.sample(range(pages), k=math.ceil(portion.share * pages))):
            async with self._index.turn:
                page = await self._vector_store.part(record.target, number, pages)
                ours = [row.id for row in page if row.metadata.keys() >= LINEAGE and is_of(row.metadata, portion)]
                known = await self._store.outbox.known(record.id, ours)
            extra += [chunk_id for chunk_id in ours if chunk_id not in known]
        return extra

    async def _mend(self, record: CollectionRecord, chunk_ids: Sequence[str]) -> None:
        """Have the index make the vector store agree with SQLite's current state of these ids."""
        for start in range(0, len(chunk_ids), WRITE_SIZE):
            some = chunk_ids[start : start + WRITE_SIZE]
            # The first part tells of all: a repair that is interrupted goes on with the next verification.
            damage = f"{len(chunk_ids)} rows were missing or not as they were written" if start == 0 else ""
            await self._store.outbox.want(record.id, some, damage)
            await self._index.flush(record.id, some)


def is_of(metadata: Metadata, portion: Portion) -> bool:
    """Return whether a row is of the portion's source."""
    return portion.source_id in (None, metadata["source_id"])
