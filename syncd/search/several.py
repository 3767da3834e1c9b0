"""One search over several collections: their rankings merged by rank, since scores of different ones mean different things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from syncd.model import Target
from syncd.search.fuse import Fusion
from syncd.search.query import Answer, Query, SearchHit
from syncd.search.shaping import shaped
from syncd.store.texts import DocumentTexts

MAX_COLLECTIONS = 20
"""The most collections of one search."""


async def search_several(
    search: Callable[[Query], Awaitable[Answer]], texts: DocumentTexts, query: Query, targets: Sequence[Target]
) -> Answer:
    """Return the best hits of collections, first ones first, in the order of the collections where ranks are equal.

    The query's own target does not count. One collection is searched after the other. Raises as `search`.
    """
    wanted = query.offset + query.limit
    single = replace(query, offset=0, limit=wanted + 1, expand=None, max_tokens=None)
    answers = [await search(replace(single, target=target)) for target in targets]
    merged = by_rank([answer.hits for answer in answers]) if len(answers) > 1 else answers[0].hits
    shown, next_offset = await shaped(texts, merged[query.offset : wanted], query)
    return Answer(
        shown,
        [notice for target, answer in zip(targets, answers, strict=True) for notice in _named(target, answer)],
        min((answer.coverage for answer in answers if answer.coverage is not None), default=None),
        wanted if next_offset is None and len(merged) > wanted else next_offset,
    )


def by_rank(rankings: Sequence[Sequence[SearchHit]]) -> list[SearchHit]:
    """Return rankings that have no hit in common as one, by reciprocal rank."""
    ranked = sorted(
        ((rank, hit) for ranking in rankings for rank, hit in enumerate(ranking, 1)), key=lambda one: one[0]
    )
    k = Fusion().k
    return [replace(hit, score=1 / (k + rank), place=place) for place, (rank, hit) in enumerate(ranked)]


def _named(target: Target, answer: Answer) -> list[str]:
    return [f"{target.collection}: {notice}" for notice in answer.notices]
