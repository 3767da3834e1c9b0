"""Search over a synced collection, with the models that made its vectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import anyio
from anyio.abc import TaskGroup

from syncd.chroma.client import Chroma, Row
from syncd.errors import NotFoundError, PermanentError, RetryableError
from syncd.model import Embedder, Embedding, SparseEncoder, SparseVector, Target, Vectors
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search.fuse import Ranked, fuse, grouped
from syncd.search.index_cache import IndexCache
from syncd.search.query import Hit, Mode, Query
from syncd.search.rankings import Ranking, Scope, dense_ranking, scope_of, sparse_ranking
from syncd.store import Store
from syncd.store.chunks import FoundChunk
from syncd.store.documents import CollectionRecord

POOL = 300
"""Hits of each ranking that are fused or grouped: pages up to there are cut from one and the same list."""


class Search:
    """Answers queries; all methods may run side by side with syncing.

    `embedder` finds a dense model by name, `sparse` the sparse model of a collection.
    """

    def __init__(
        self,
        store: Store,
        chroma: Chroma,
        embedder: Callable[[str], Awaitable[Embedder]],
        sparse: SparseModels,
    ) -> None:
        self._store = store
        self._chroma = chroma
        self._embedder = embedder
        self._sparse = sparse
        self._index_cache = IndexCache(store.postings)

    async def search(self, query: Query) -> Sequence[Hit]:
        """Return the chunks that answer the query, best first. It waits for at most one batch of documents.

        Raises NotFoundError for a collection syncd never wrote, PermanentError for a filter Chroma refuses or a mode the
        collection has no vectors for, RetryableError while Chroma or the model is away.
        """
        record = await self._record(query.target)
        encoder = await self._encoder(record.embedding, query.mode)
        if encoder is None and query.mode != "dense":
            raise PermanentError(
                f"collection {query.target.collection!r} has no sparse vectors; set search.sparse_default, or search by "
                "mode 'dense'"
            )
        vector = (await encoder.encode([query.text], "query"))[0] if encoder else None
        ranked = await self._ranked(query, await scope_of(self._store, record, query), encoder, vector)
        page = ranked[query.offset : query.offset + query.limit]
        chunks = await self._store.found.chunks(record.id, [hit.id for hit in page])
        missing = [hit.id for hit in page if hit.id not in chunks]
        others = {row.id: row for row in await self._chroma.get(query.target, missing)} if missing else {}
        hits = [hit_of(hit, chunks.get(hit.id), others.get(hit.id)) for hit in page]
        return [highlighted(hit, encoder, vector) for hit in hits if hit is not None]

    async def embed(self, target: Target, texts: Sequence[str]) -> Vectors:
        """Embed queries with the collection's dense model and query prompt. Raises as `search` does."""
        if not all(texts):
            raise PermanentError("a query must not be empty")
        record = await self._record(target)
        embedder = await self._embedder(record.embedding.model)
        return (await embedder.embed(texts, "query", record.embedding.task)).vectors

    async def _encoder(self, embedding: Embedding, mode: Mode) -> SparseEncoder | None:
        """Return the collection's sparse model; a search by meaning, which only highlights with it, never waits for it."""
        return self._sparse.at_hand(embedding) if mode == "dense" else await self._sparse.of(embedding)

    async def _record(self, target: Target) -> CollectionRecord:
        record = await self._store.documents.find(target)
        if record is None:
            raise NotFoundError(
                f"syncd has not written a collection {target.collection!r} in database {target.database!r}; "
                "sync something into it first"
            )
        return record

    async def _ranked(
        self, query: Query, scope: Scope, encoder: SparseEncoder | None, vector: SparseVector | None
    ) -> list[Ranked]:
        """Return the whole ranking that the asked page is cut from."""
        wanted = pool_of(query)
        rankings: dict[str, Ranking] = {"dense": [], "sparse": []}

        async def dense() -> None:
            (embedded,) = await self.embed(query.target, [query.text])
            rankings["dense"] = await dense_ranking(self._store, self._chroma, scope, query, embedded.tolist(), wanted)

        async def sparse() -> None:
            assert encoder is not None
            assert vector is not None
            rankings["sparse"] = await sparse_ranking(
                self._store, self._chroma, self._index_cache, scope, query, encoder, vector, wanted
            )

        if query.mode == "hybrid":
            await both(dense, sparse)
        else:
            await (dense if query.mode == "dense" else sparse)()
        ranked = combined(query, rankings)
        if not query.group:
            return ranked
        owners = await self._store.found.documents_of(scope.record.id, [hit.id for hit in ranked])
        return grouped(ranked, lambda chunk_id: owners.get(chunk_id, chunk_id))


async def both(first: Callable[[], Awaitable[None]], second: Callable[[], Awaitable[None]]) -> None:
    """Run two rankings side by side; the first error is raised as it is."""
    errors: list[PermanentError | RetryableError] = []

    async def guarded(part: Callable[[], Awaitable[None]], group: TaskGroup) -> None:
        try:
            await part()
        except (PermanentError, RetryableError) as error:
            errors.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(guarded, first, group)
        group.start_soon(guarded, second, group)
    if errors:
        raise errors[0]


def pool_of(query: Query) -> int:
    """Return how many hits each ranking has to give, so that neighbouring pages are cut from the same list."""
    wanted = query.offset + query.limit
    if query.mode != "hybrid" and not query.group:
        return wanted
    return POOL * -(-wanted * (2 if query.group else 1) // POOL)


def combined(query: Query, rankings: Mapping[str, Ranking]) -> list[Ranked]:
    """Return the ranking of the query's mode."""
    dense, sparse = rankings["dense"], rankings["sparse"]
    if query.mode == "hybrid":
        return fuse([chunk_id for chunk_id, _ in dense], [chunk_id for chunk_id, _ in sparse], query.fusion)
    if query.mode == "dense":
        return [Ranked(chunk_id, score, dense_rank=rank) for rank, (chunk_id, score) in enumerate(dense, 1)]
    return [Ranked(chunk_id, score, sparse_rank=rank) for rank, (chunk_id, score) in enumerate(sparse, 1)]


def hit_of(ranked: Ranked, chunk: FoundChunk | None, row: Row | None) -> Hit | None:
    """Return a hit with what the store knows of it, or else what Chroma has: rows that syncd did not write."""
    make = partial(
        Hit,
        id=ranked.id,
        score=ranked.score,
        dense_rank=ranked.dense_rank,
        sparse_rank=ranked.sparse_rank,
        also=ranked.also,
    )
    if chunk is not None:
        lag_s = None if chunk.changed_at is None else chunk.recorded_at - chunk.changed_at
        return make(text=chunk.text, metadata=chunk.metadata, recorded_at=chunk.recorded_at, lag_s=lag_s)
    return make(text=row.document or "", metadata=row.metadata) if row else None


def highlighted(hit: Hit, encoder: SparseEncoder | None, vector: SparseVector | None) -> Hit:
    """Return the hit with the places of the query's words."""
    if encoder is None or vector is None:
        return hit
    return replace(hit, highlights=tuple(encoder.spans(hit.text, vector)))
