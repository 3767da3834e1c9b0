"""Chunks like one chunk, by its stored vector or, where it has none, by its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from syncd.errors import NotFoundError, RetryableError
from syncd.search.fuse import Ranked
from syncd.search.query import Answer, Query, SearchHit
from syncd.search.rankings import Ranking, Scope, scope_of
from syncd.search.search import Search
from syncd.search.where import in_languages
from syncd.store import Store
from syncd.store.chunks import FoundChunk

FOLDED_POOL = 50
"""How many more hits are taken than wanted: copies of the chunk are left out, and copies of its relatives folded."""
WORDS_CHARACTERS = 4000
"""Of a chunk without a vector, whose words are searched."""


async def related(search: Search, store: Store, query: Query, chunk_id: str) -> Answer:
    """Return the chunks that are most like one, most similar first, without itself and its copies; copies of others are folded.

    `query` says where to look and how many are wanted; its text and its rules do not count. Raises NotFoundError for a chunk that the
    collection does not hold, otherwise as `Search.search`.
    """
    record = await search.record(query.target)
    chunk = (await store.chunks.get(record.id, [chunk_id])).get(chunk_id)
    if chunk is None:
        raise NotFoundError(
            f"collection {query.target.collection!r} has no chunk {chunk_id!r}; search for one: hits have their ids"
        )
    wanted = replace(
        query,
        text=chunk.text[:WORDS_CHARACTERS],
        mode="dense",
        where=in_languages(query.where, query.languages),
        limit=query.limit + FOLDED_POOL,
    )
    notices: list[str] = []
    scope = await scope_of(store, record, wanted)
    found = await _like(search, store, wanted, scope, chunk, notices)
    hits = await search.hits(record, [Ranked(i, score) for i, score in found])
    return Answer(unlike_itself(hits, chunk)[: query.limit], notices)


async def _like(
    search: Search, store: Store, query: Query, scope: Scope, chunk: FoundChunk, notices: list[str]
) -> Ranking:
    """Return the ranking by the chunk's vector or, with a notice, by its words."""
    vector = (await store.chunks.vectors(scope.record.id, [chunk.id])).get(chunk.id)
    reason = "it has no vector yet"
    if vector is not None:
        try:
            return await search.ranked_by_vector(query, scope, vector, notices)
        except RetryableError as error:
            reason = f"its vector cannot be compared for now: {error}"
    notices.append(f"these are like it by words alone, as {reason}")
    query = replace(query, mode="sparse", rules=frozenset())
    return await search.ranked_by_words(query, scope, await search.words_of(scope.record, query))


def unlike_itself(hits: Sequence[SearchHit], chunk: FoundChunk) -> list[SearchHit]:
    """Return the hits that are not the chunk or a copy of it; of hits with the same text the first, with the ids of its copies."""
    by_text: dict[str, SearchHit] = {}
    own = chunk.text.strip()
    for hit in hits:
        text = hit.text.strip()
        if hit.id == chunk.id or text == own:
            continue
        first = by_text.get(text)
        by_text[text] = hit if first is None else replace(first, also=(*first.also, hit.id))
    return list(by_text.values())
