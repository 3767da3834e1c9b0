"""Search over a synced collection, with the models that made its vectors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio

from syncd.errors import CollectionCorrupt, NotFoundError, PermanentError, RetryableError, SyncdError
from syncd.index.target import VectorStore
from syncd.model import Embedder, Row, Target, Vectors, cut_to
from syncd.pipeline.sparse.catalog import SparseModels
from syncd.search.exact import exact_pattern, exact_ranking, with_matches
from syncd.search.fuse import Ranked, grouped
from syncd.search.hits import highlighted, hit_of
from syncd.search.index_cache import IndexCache
from syncd.search.options import SearchOptions
from syncd.search.order import in_order, pool_of
from syncd.search.query import BY_MEANING, EXACT, Answer, Query, SearchHit
from syncd.search.rankings import (
    Ranking,
    Scope,
    both,
    dense_ranking,
    nearest_if_there,
    passing,
    scope_of,
    sparse_ranking,
)
from syncd.search.reading import no_collection
from syncd.search.reranking import may_rerank, reranked
from syncd.search.shaping import shaped
from syncd.search.sparse_query import SparseQuery, encoded_query
from syncd.search.where import in_languages
from syncd.store import Store
from syncd.store.collections import CollectionRecord

R = TypeVar("R")


class Search:
    """Answers queries; all methods may run concurrently with syncing.

    `embedder` finds a dense model by name, `sparse` the sparse model of a collection; `damaged` has a collection mended in which
    a query met an error of the vector store: see Index.damaged.
    """

    def __init__(
        self,
        store: Store,
        vector_store: VectorStore,
        embedder: Callable[[str], Awaitable[Embedder]],
        sparse: SparseModels,
        damaged: Callable[[CollectionRecord, SyncdError], Awaitable[None]],
        options: SearchOptions | None = None,
    ) -> None:
        self._store = store
        self._vector_store = vector_store
        self._embedder = embedder
        self._sparse_models = sparse
        self._damaged = damaged
        options = options or SearchOptions()
        self._limit_s = options.limit_s
        self._reranker = options.reranker
        self._index_cache = IndexCache(store.postings, store.words)

    async def search(self, query: Query) -> Answer:
        """Return the chunks that answer the query, best first. It waits for at most one batch of documents.

        Documents are found by words as soon as they are prepared, by vectors when those are written. A hybrid search goes by
        words alone, and says so, while the vector store or the model is away, still loading, or takes too long, or the
        collection is damaged or missing there: it is then filled from the store. So does one whose hits cannot be reranked.

        Raises NotFoundError for a collection syncd never wrote, PermanentError for a filter Chroma refuses, a mode the
        collection has no vectors for or a reranker that is not configured, RetryableError while what the mode needs of Chroma or the model cannot be had in time.
        """
        rerank = may_rerank(query, self._reranker)
        query = replace(query, where=in_languages(query.where, query.languages), rerank=rerank)
        record = await self.record(query.target)
        try:
            answer = await self._answered(record, query)
        except (PermanentError, RetryableError):
            if (await self.record(query.target)).id == record.id:
                raise
        else:
            if (await self.record(query.target)).id == record.id:
                return answer
        # Another collection took its name meanwhile: what was found may be of either.
        return await self._answered(await self.record(query.target), query)

    async def _answered(self, record: CollectionRecord, query: Query) -> Answer:
        notices: list[str] = []
        if query.mode in EXACT:
            hits = await self._matching(record, query, notices)
        else:
            words = await self.words_of(record, query)
            ranked = await self._ranked(query, await scope_of(self._store, record, query), words, notices)
            found = await self.hits(record, ranked[query.offset : query.offset + query.limit], query.offset)
            hits = [highlighted(hit, words) for hit in found]
        coverage = await self._coverage(record, notices) if query.mode in BY_MEANING else None
        shown, next_offset = await shaped(self._store.texts, hits, query)
        return Answer(shown, notices, coverage, next_offset)

    async def _matching(self, record: CollectionRecord, query: Query, notices: list[str]) -> list[SearchHit]:
        """Return the page of the hits of a phrase or a regular expression."""
        pattern, scope = exact_pattern(query), await scope_of(self._store, record, query)
        matching = await exact_ranking(self._store, scope, pattern, self._limit_s, notices)
        matching = await self._in_time(partial(passing, self._store, self._vector_store, scope, query, matching))
        ranked = await self._in_order(query, record, (Ranking(), matching), notices)
        found = await self.hits(record, ranked[query.offset : query.offset + query.limit], query.offset)
        return [with_matches(hit, pattern) for hit in found]

    async def _coverage(self, record: CollectionRecord, notices: list[str]) -> float:
        """Return the share of the collection's chunks that have vectors, with notices of what is missing."""
        coverage = await self._store.prepared.coverage(record.id)
        if coverage < 1.0:
            notices.append(f"semantic ranking covers {coverage:.0%} so far: the rest is being embedded")
        filled = await self._store.refills.filled(record.id)
        if filled is not None:
            notices.append(
                f"semantic ranking covers {filled:.0%} so far: the collection is being filled from the store"
            )
        return coverage

    async def embed(self, target: Target, texts: Sequence[str]) -> Vectors:
        """Embed queries with the collection's dense model and query prompt, as short as its vectors. Raises as `search` does."""
        record = await self.record(target)
        return cut_to(await self._embedded(record, texts), record.embedding.dimensions)

    async def _embedded(self, record: CollectionRecord, texts: Sequence[str]) -> Vectors:
        if not all(texts):
            raise PermanentError("a query must not be empty")
        embedder = await self._embedder(record.embedding.model)
        embedded = await self._in_time(partial(embedder.embed, texts, "query", record.embedding.task))
        return embedded.vectors

    async def _in_time(self, call: Callable[[], Awaitable[R]]) -> R:
        """Return what `call` returns within the limit. Raises RetryableError when it takes longer, and what it raises."""
        with anyio.move_on_after(self._limit_s):
            return await call()
        raise RetryableError(f"it took longer than {self._limit_s:g} s (search.limit_s)")

    async def words_of(self, record: CollectionRecord, query: Query) -> SparseQuery | None:
        """Return the query as the collection's sparse model has it; a dense search, which only highlights with it, never waits for the
        model. Raises PermanentError for a collection without one, RetryableError.
        """
        models, embedding = self._sparse_models, record.embedding
        encoder = models.at_hand(embedding) if query.mode == "dense" else await models.of(embedding)
        if encoder is None and query.mode != "dense":
            raise PermanentError(
                f"collection {query.target.collection!r} has no sparse vectors; set search.sparse_default, or search by "
                "mode 'dense'"
            )
        return await self._in_time(partial(encoded_query, encoder, query.text)) if encoder else None

    async def read_ahead(self, record: CollectionRecord) -> None:
        """Read the words of many new chunks, so that the next search need not. Twice is safe. Raises RetryableError."""
        if encoder := self._sparse_models.at_hand(record.embedding):
            models = [one.fingerprint for one in (encoder, *encoder.predecessors)]
            await self._index_cache.read_ahead(record.id, models)

    async def record(self, target: Target) -> CollectionRecord:
        """Return a collection that syncd writes. Raises NotFoundError."""
        record = await self._store.collections.find(target)
        if record is None:
            raise await no_collection(self._store, target)
        return record

    async def _ranked(
        self, query: Query, scope: Scope, words: SparseQuery | None, notices: list[str]
    ) -> Sequence[Ranked]:
        """Return the whole ranking from which the requested page is cut."""
        dense = partial(self._dense_ranking, query, scope, notices)
        sparse = partial(self.ranked_by_words, query, scope, words)
        nearest, worded = Ranking(), Ranking()
        if query.mode == "hybrid":
            nearest, worded = await both(partial(nearest_if_there, partial(self._in_time, dense), notices), sparse)
        elif query.mode == "dense":
            nearest = await dense()
        else:
            worded = await sparse()
        return await self._in_order(query, scope.record, (nearest, worded), notices)

    async def _in_order(
        self, query: Query, record: CollectionRecord, rankings: tuple[Ranking, Ranking], notices: list[str]
    ) -> Sequence[Ranked]:
        ranked = await in_order(self._store.chunks, record.id, query, *rankings)
        if query.rerank and self._reranker is not None:
            ranked = await reranked(self._store.chunks, record.id, query, ranked, self._reranker, notices)
        if not query.group:
            return ranked
        owners = await self._store.chunks.documents_of(record.id, [hit.id for hit in ranked])
        return grouped(ranked, lambda chunk_id: owners.get(chunk_id, chunk_id))

    async def _dense_ranking(self, query: Query, scope: Scope, notices: list[str]) -> Ranking:
        (embedded,) = await self._embedded(scope.record, [query.text])
        return await self.ranked_by_vector(query, scope, embedded, notices)

    async def ranked_by_vector(self, query: Query, scope: Scope, vector: Vectors, notices: list[str]) -> Ranking:
        """Return the chunks nearest to a whole vector that pass the query's filters. Raises RetryableError, PermanentError."""
        wanted = pool_of(query, whole=scope.record.embedding.dimensions is None)
        ranking = partial(dense_ranking, self._store, self._vector_store, scope, query, vector, wanted, notices)
        async with self._noticing_damage(scope.record):
            return await self._in_time(ranking)

    async def ranked_by_words(self, query: Query, scope: Scope, words: SparseQuery | None) -> Ranking:
        """Return the chunks with most of these words that pass the query's filters. Raises RetryableError, PermanentError."""
        assert words is not None
        scored = await self._index_cache.scored(scope.record.id, words.vectors, words.encoder.uses_idf)
        ranking = partial(sparse_ranking, self._store, self._vector_store, scope, query, scored, pool_of(query))
        async with self._noticing_damage(scope.record):
            return await self._in_time(ranking)

    async def hits(self, record: CollectionRecord, page: Sequence[Ranked], offset: int = 0) -> list[SearchHit]:
        """Return a page of a ranking with its content; what is gone meanwhile is left out."""
        chunks = await self._store.chunks.get(record.id, [hit.id for hit in page])
        others = await self._foreign(record, [hit.id for hit in page if hit.id not in chunks])
        name = record.target.collection
        found = [
            hit_of(hit, name, place, chunks.get(hit.id), others.get(hit.id)) for place, hit in enumerate(page, offset)
        ]
        return [hit for hit in found if hit is not None]

    async def _foreign(self, record: CollectionRecord, ids: Sequence[str]) -> Mapping[str, Row]:
        """Return rows that syncd did not write; none while they cannot be had, since nothing of ours depends on it."""
        if not ids:
            return {}
        try:
            async with self._noticing_damage(record):
                rows = await self._in_time(partial(self._vector_store.get, record.target, ids))
                return {row.id: row for row in rows}
        except RetryableError:
            return {}

    @asynccontextmanager
    async def _noticing_damage(self, record: CollectionRecord) -> AsyncGenerator[None]:
        """Have the collection mended if the block finds that the vector store has lost it or cannot read it."""
        try:
            yield
        except CollectionCorrupt as error:
            await self._damaged(record, error)
            raise
        except NotFoundError as error:
            await self._damaged(record, error)
            raise RetryableError(f"{error}; it is being filled from the store") from error
