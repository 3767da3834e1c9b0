"""Exact phrases and regular expressions over the stored texts of a collection.

Every chunk that the filters leave is read and matched: that takes about a second of CPU for 100,000 chunks, most of it for reading
(tests/benchmarks/README.md), which a filter by letters would not spare, as SQLite would have to read them too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

import anyio

from syncd.errors import PermanentError
from syncd.runtime.linear import LinearPattern, literal_pattern
from syncd.search.query import Query, SearchHit
from syncd.search.rankings import MAX_EXAMINED, Ranking, Scope
from syncd.store import Store
from syncd.store.texts import ChunkPlace, ScannedChunk

COUNTED = 20
"""Matches that count of one chunk; more say no more."""
HIGHLIGHTED = 100
PHRASE_GAP = r"\s+"


def exact_pattern(query: Query) -> LinearPattern:
    """Return the pattern of a search by phrase or regular expression. Raises PermanentError, which says what is wrong with it.

    A phrase is matched letter by letter, but for case and for how its words are spaced; in a regular expression `^` and `$` match at
    every line.
    """
    if query.mode == "regex":
        return LinearPattern("query", f"(?m){query.text}", query.text)
    words = query.text.split()
    if not words:
        raise PermanentError("query: a phrase needs a word")
    return LinearPattern("query", f"(?i){PHRASE_GAP.join(map(literal_pattern, words))}", query.text)


async def exact_ranking(
    store: Store, scope: Scope, pattern: LinearPattern, limit_s: float, notices: list[str]
) -> Ranking:
    """Return the chunks that a pattern matches, with the number of matches, most first; at most MAX_EXAMINED.

    Rows that syncd did not write are not looked at. After `limit_s` it ends, with a notice of how far it has come.
    """
    documents = scope.documents or await store.chunks.matching(scope.record.id)
    ids = documents.ids.tolist()
    found: list[tuple[ChunkPlace, int]] = []
    start, ends_at = ChunkPlace(0, -1), time.monotonic() + limit_s
    while start.document < len(ids):
        page = await store.texts.scan(ids, start)
        counts = await anyio.to_thread.run_sync(partial(matches_in, pattern, page.chunks))
        found += [
            (ChunkPlace(chunk.document, chunk.number), count)
            for chunk, count in zip(page.chunks, counts, strict=True)
            if count
        ]
        start = page.following
        if len(found) >= MAX_EXAMINED:
            notices.append(f"only the first {MAX_EXAMINED:,} matches are ranked: narrow the pattern or the filters")
            break
        if time.monotonic() > ends_at and start.document < len(ids):
            share = start.document / len(ids)
            notices.append(f"only {share:.0%} of the documents were searched within {limit_s:g} s: narrow by `paths`")
            break
    found.sort(key=lambda one: -one[1])
    names = await store.texts.ids_at(ids, [place for place, _ in found[:MAX_EXAMINED]])
    return [(names[place], float(count)) for place, count in found[:MAX_EXAMINED] if place in names]


def matches_in(pattern: LinearPattern, chunks: Sequence[ScannedChunk]) -> list[int]:
    """Return how often a pattern matches in each chunk."""
    return [pattern.count(chunk.text, COUNTED) for chunk in chunks]


def with_matches(hit: SearchHit, pattern: LinearPattern) -> SearchHit:
    """Return the hit with the places of the pattern's matches."""
    return replace(hit, highlights=tuple(islice(pattern.spans(hit.text), HIGHLIGHTED)))
