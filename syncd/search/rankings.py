"""The dense ranking, from Chroma, and the sparse one, from the inverted index, under the same filters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import numpy as np
from anyio.abc import TaskGroup

from syncd.errors import PermanentError, RetryableError
from syncd.index.target import Filter, VectorStore
from syncd.model import Vectors, cut_to
from syncd.redaction import redacted
from syncd.search.index_cache import Scored
from syncd.search.lexical import best
from syncd.search.paths import content_of
from syncd.search.query import Query
from syncd.search.where import simple_filter
from syncd.store import Store
from syncd.store.chunks import DocumentKeys
from syncd.store.collections import CollectionRecord

KEYS_IN_FILTER = 500
"""The most documents that a filter of the vector store names at once; of more, the nearest rows are filtered here, since most pass."""
KEYS_AT_ONCE = 5000
"""How many it names at a time where too few of the nearest rows pass. A filter takes Chroma some ten microseconds for each row that
passes it, so one that names a source of most of the collection would take seconds of every search.
"""
GOING_ON_S = 2.0
"""How long a search goes on by keys, at most half of the time that it has left."""
RANKED_AT_ONCE = 300
MAX_EXAMINED = 10_000
"""The most hits examined by a ranking whose filters are applied afterwards."""
RESCORED = 4
"""Candidates by shortened vectors for each hit by whole ones."""


Ranking = list[tuple[str, float]]
"""Chunk ids and scores, best first."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a query covers: the collection and, if it selects documents, these."""

    record: CollectionRecord
    documents: DocumentKeys | None


async def scope_of(store: Store, record: CollectionRecord, query: Query) -> Scope:
    """Return the collection and the documents that a query's sources, paths, content and time select."""
    if not query.source_ids and not query.paths and query.content is None and query.modified_after is None:
        return Scope(record, None)
    patterns = [pattern_of(path) for path in query.paths]
    found = await store.chunks.matching(record.id, query.source_ids, patterns, query.modified_after)
    if query.content is not None:
        kept = [place for place, key in enumerate(found.keys) if content_of(key) == query.content]
        found = DocumentKeys(found.ids[kept], [found.keys[place] for place in kept])
    return Scope(record, found)


def pattern_of(path: str) -> str:
    """Return the SQLite GLOB pattern of a path filter: without wildcards it is a leading part; brackets mean themselves."""
    escaped = path.replace("[", "[[]")
    return escaped if "*" in path or "?" in path else escaped + "*"


async def dense_ranking(
    store: Store,
    vector_store: VectorStore,
    scope: Scope,
    query: Query,
    vector: Vectors,
    wanted: int,
    notices: list[str],
) -> Ranking:
    """Return the `wanted` nearest chunks that pass the filters, as (id, cosine similarity), nearest first.

    `vector` is whole. Where the collection holds shortened ones, more candidates than wanted are taken by them, and
    ordered by the whole ones in SQLite. Of a filter's many documents not all may be compared in time: a notice says so.
    """
    dimensions = scope.record.embedding.dimensions
    if dimensions is None:
        return await _nearest(_Rows(store, vector_store, scope, query, vector.tolist()), wanted, notices)
    rows = _Rows(store, vector_store, scope, query, cut_to(vector, dimensions).tolist())
    found = await _nearest(rows, max(wanted, min(RESCORED * wanted, MAX_EXAMINED)), notices)
    whole = await store.chunks.vectors(scope.record.id, [chunk_id for chunk_id, _ in found])
    rescored = [(i, float(whole[i] @ vector) if i in whole else score) for i, score in found]
    return sorted(rescored, key=lambda hit: -hit[1])[:wanted]


@dataclass(frozen=True, slots=True)
class _Rows:
    """The vector store's rows of a query, by how near they are to a vector."""

    store: Store
    vector_store: VectorStore
    scope: Scope
    query: Query
    vector: Sequence[float]

    async def nearest(self, wanted: int, only: Sequence[Filter] = ()) -> tuple[Ranking, bool]:
        """Return the `wanted` nearest that pass the query's filters and these, and False where too few of MAX_EXAMINED did."""
        conditions = [*only, *([self.query.where] if self.query.where else [])]
        where = {"$and": conditions} if len(conditions) > 1 else conditions[0] if conditions else None
        count = wanted
        while True:
            rows = await self.vector_store.query(
                self.query.target, self.vector, count, where, self.query.where_document, contents=False
            )
            found = await self._selected([(row.id, 1.0 - (row.distance or 0.0)) for row in rows])
            if len(found) >= wanted or len(rows) < count:
                return found[:wanted], True
            if count >= MAX_EXAMINED:
                return found, False
            count = min(4 * count, MAX_EXAMINED)

    async def nearest_of(self, wanted: int, keys: Sequence[str]) -> Ranking:
        """Return the same of documents with these keys. The sources are named only where others' documents of the same keys are in
        the way, since that takes longer.
        """
        of_keys: Filter = {"key": {"$in": list(keys)}}
        found, is_all = await self.nearest(wanted, [of_keys])
        if not is_all and self.query.source_ids:
            found, _ = await self.nearest(wanted, [of_keys, {"source_id": {"$in": list(self.query.source_ids)}}])
        return found

    async def _selected(self, found: Ranking) -> Ranking:
        """Return what is of the documents that the query selects."""
        if self.scope.documents is None:
            return found
        inside = frozenset(self.scope.documents.ids.tolist())
        owners = await self.store.chunks.documents_of(self.scope.record.id, [chunk_id for chunk_id, _ in found])
        return [(chunk_id, score) for chunk_id, score in found if owners.get(chunk_id) in inside]


async def _nearest(rows: _Rows, wanted: int, notices: list[str]) -> Ranking:
    """Return the `wanted` chunks nearest in the vector store that pass the filters, nearest first."""
    documents = rows.scope.documents
    keys = [] if documents is None else sorted(set(documents.keys))
    if documents is not None and len(keys) <= KEYS_IN_FILTER:
        return await rows.nearest_of(wanted, keys) if keys else []
    found, is_all = await rows.nearest(wanted)
    return found if is_all or not keys else await _nearest_by_keys(rows, keys, found, wanted, notices)


async def _nearest_by_keys(
    rows: _Rows, keys: Sequence[str], found: Ranking, wanted: int, notices: list[str]
) -> Ranking:
    """Return the best of what was found among the rows nearest of all and of what the documents with these keys have."""
    scores = dict(found)
    left_s = anyio.current_effective_deadline() - anyio.current_time()
    ends_at = anyio.current_time() + min(GOING_ON_S, left_s / 2)
    for start in range(0, len(keys), KEYS_AT_ONCE):
        with anyio.CancelScope(deadline=ends_at) as limit:
            scores |= await rows.nearest_of(wanted, keys[start : start + KEYS_AT_ONCE])
        if limit.cancelled_caught:
            notices.append(
                f"semantic ranking covers the {MAX_EXAMINED:,} nearest chunks of the collection and {start / len(keys):.0%} of the "
                "documents that the filters select, as there was no time for more: narrow them by `paths`"
            )
            break
    return sorted(scores.items(), key=lambda hit: -hit[1])[:wanted]


async def sparse_ranking(
    store: Store, vector_store: VectorStore, scope: Scope, query: Query, scored: Scored, wanted: int
) -> Ranking:
    """Return the `wanted` chunks with the highest scores that pass the filters, as (id, score), best first."""
    found: Ranking = []
    async for candidates in _candidates(store, scored, scope, wanted):
        candidates = await passing(store, vector_store, scope, query, candidates)
        found += candidates
        if len(found) >= wanted:
            break
    return found[:wanted]


async def passing(store: Store, vector_store: VectorStore, scope: Scope, query: Query, candidates: Ranking) -> Ranking:
    """Return those candidates that pass the query's filters."""
    if not candidates or not (query.where or query.where_document):
        return candidates
    ids = [chunk_id for chunk_id, _ in candidates]
    test = None
    if query.where and not query.where_document:
        test = simple_filter(query.where, looks_into_lists=vector_store.looks_into_lists)
    if test is not None:
        chunks = await store.chunks.get(scope.record.id, ids)
        passing = {chunk_id for chunk_id, chunk in chunks.items() if test(chunk.metadata)}
    else:
        rows = await vector_store.get(
            query.target,
            ids,
            query.where,
            where_document=query.where_document,
            metadatas=False,
            documents=False,
        )
        passing = {row.id for row in rows}
    return [(chunk_id, score) for chunk_id, score in candidates if chunk_id in passing]


async def _candidates(store: Store, scored: Scored, scope: Scope, wanted: int) -> AsyncIterator[Ranking]:
    """Yield (id, score) in batches, best first, at most MAX_EXAMINED or `wanted` if that is more."""
    scores = scored.scores
    if scope.documents is not None:
        scores = np.where(np.isin(scored.documents, scope.documents.ids), scores, 0.0)
    rows = await anyio.to_thread.run_sync(best, scores, max(MAX_EXAMINED, wanted))
    start, size = 0, max(RANKED_AT_ONCE, wanted)
    while start < len(rows):
        some = rows[start : start + size]
        postings = scored.postings[some].tolist()
        ids = await store.chunks.ids_of_postings(postings)
        pairs = zip(postings, scores[some].tolist(), strict=True)
        yield [(ids[posting], score) for posting, score in pairs if posting in ids]
        start, size = start + size, 2 * size


async def nearest_if_there(dense: Callable[[], Awaitable[Ranking]], notices: list[str]) -> Ranking:
    """Return the semantic ranking; an empty one, with a notice, while it cannot be had."""
    try:
        return await dense()
    except RetryableError as error:
        notices.append(
            f"these hits are by words alone, as the semantic ranking cannot be had for now: {redacted(str(error))}"
        )
        return []


async def both(
    first: Callable[[], Awaitable[Ranking]], second: Callable[[], Awaitable[Ranking]]
) -> tuple[Ranking, Ranking]:
    """Return two rankings, computed concurrently; the first error is raised as it is, not in a group."""
    rankings: list[Ranking] = [[], []]
    errors: list[PermanentError | RetryableError] = []

    async def guarded(number: int, ranking: Callable[[], Awaitable[Ranking]], group: TaskGroup) -> None:
        try:
            rankings[number] = await ranking()
        except (PermanentError, RetryableError) as error:
            errors.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(guarded, 0, first, group)
        group.start_soon(guarded, 1, second, group)
    if errors:
        raise errors[0]
    return rankings[0], rankings[1]
