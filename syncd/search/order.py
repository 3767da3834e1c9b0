"""One order of a search's hits: the rankings fused and, where they are code, put in order by the ranking rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args

from syncd.search.asked import QueryKind, query_kind
from syncd.search.fuse import Fusion, Ranked, fuse
from syncd.search.query import Query
from syncd.search.rankings import Ranking
from syncd.search.rules import DEPTH, RuleName, Rules, by_rules
from syncd.store.chunks import Chunks, FoundChunk

POOL = 300
"""Hits per ranking that are fused or grouped; pages within it are cut from the same list."""

RESCORED_POOL = 50
"""The same for a ranking by whole vectors, which takes several candidates for each hit."""

CODE_SHARE = 0.2
"""From this share of code among the first hits on, the rules apply: a collection of prose has none, one of code seldom less."""
UNASKED = replace(Rules(), docs=0.7, covering_docs=1.0)
"""The rules of a search that names none. Documentation is worse only as an answer about code, which nobody has said is wanted: a
question in plain words may well be answered by the README, and then it has the question's words. Sparing it so far costs .01 nDCG@10
on questions about code; moving all of it down costs .4 on those that documentation answers (tests/benchmarks/README.md).
"""
UNASKED_NAMES: tuple[RuleName, ...] = tuple(name for name in get_args(RuleName) if name != "docs")
PLAIN = Fusion()
IN_CODE = Fusion(dense=1.0, sparse=0.5, k=10)
"""Questions about code: their words are seldom those of the code, which repeats its own in every file."""


async def in_order(
    chunks: Chunks, collection_id: int, query: Query, nearest: Ranking, worded: Ranking
) -> Sequence[Ranked]:
    """Return the whole ranking of a query from the rankings of its mode; the other one is empty."""
    ranked = _merged(query, nearest, worded, query.fusion or PLAIN)
    if not may_apply(query) or not ranked:
        return ranked
    first = await chunks.get(collection_id, _first(ranked))
    if query.rules is None and not holds_code(first.values()):
        return ranked
    if query.mode == "hybrid" and query.fusion is None:
        ranked = _merged(query, nearest, worded, fusion_in_code(query_kind(query.text)))
        first = {**first, **await chunks.get(collection_id, [i for i in _first(ranked) if i not in first])}
    rules = UNASKED if query.rules is None else Rules.only(query.rules)
    return by_rules(ranked, first, query.text, rules, by_words=query.mode == "sparse")


def may_apply(query: Query) -> bool:
    """Return whether rules may change the order, so that all pages have to be cut from one pool."""
    if query.rules is None:
        return query.mode != "dense" and query.fusion is None
    return bool(query.rules)


def holds_code(chunks: Iterable[FoundChunk]) -> bool:
    """Return whether enough of these are code to call their collection one of code."""
    known = list(chunks)
    return sum(chunk.metadata.get("stage") == "code" for chunk in known) >= max(1.0, CODE_SHARE * len(known))


def fusion_in_code(kind: QueryKind) -> Fusion:
    """Return how rankings of code are fused: a path or a message is looked for letter by letter, so words keep their weight.

    For symbols they do not: vectors find those as well (tests/benchmarks/README.md).
    """
    return PLAIN if kind in ("path", "error") else IN_CODE


def _merged(query: Query, nearest: Ranking, worded: Ranking, fusion: Fusion) -> list[Ranked]:
    if query.mode == "hybrid":
        return fuse([i for i, _ in nearest], [i for i, _ in worded], fusion)
    if query.mode == "dense":
        return [Ranked(i, score, dense_rank=rank) for rank, (i, score) in enumerate(nearest, 1)]
    return [Ranked(i, score, sparse_rank=rank) for rank, (i, score) in enumerate(worded, 1)]


def _first(ranked: Sequence[Ranked]) -> list[str]:
    return [hit.id for hit in ranked[:DEPTH]]


def pool_of(query: Query, *, whole: bool = True) -> int:
    """Return how many hits each ranking has to give, so that neighbouring pages are cut from the same list.

    Where the collection's vectors are not `whole`, the candidates decide the order, and have to be the same ones too.
    """
    wanted = query.offset + query.limit
    if query.mode != "hybrid" and not query.group and not may_apply(query) and not query.rerank:
        return wanted if whole else RESCORED_POOL * -(-wanted // RESCORED_POOL)
    return POOL * -(-wanted * (2 if query.group else 1) // POOL)
