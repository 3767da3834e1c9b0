"""The first hits of a search put in order by a reranker, where they are prose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.rerank.reranker import Reranker
from syncd.redaction import redacted
from syncd.search.fuse import Ranked
from syncd.search.order import holds_code
from syncd.search.query import EXACT, Query
from syncd.store.chunks import Chunks

RERANKED = 50
"""How many hits are put in order; the others follow as they were."""


def may_rerank(query: Query, reranker: Reranker | None) -> bool:
    """Return whether a query's hits are to be reranked. Raises PermanentError where it asks for what is not configured."""
    if query.rerank and reranker is None:
        raise PermanentError("no reranker is configured: set rerank.url or rerank.path, or leave `rerank` out")
    if query.mode in EXACT or reranker is None:
        return False
    return reranker.always if query.rerank is None else query.rerank


async def reranked(
    chunks: Chunks,
    collection_id: int,
    query: Query,
    ranked: Sequence[Ranked],
    reranker: Reranker,
    notices: list[str],
) -> Sequence[Ranked]:
    """Return a ranking whose first RERANKED hits are in the reranker's order, or the same one with a notice.

    Code stays as it is: small rerankers put it in a worse order than vectors do (Qwen3-Reranker-0.6B loses two points of MTEB-Code).
    """
    first = await chunks.get(collection_id, [hit.id for hit in ranked[:RERANKED]])
    if holds_code(first.values()):
        if not reranker.always:
            notices.append("not reranked: these hits are code, which rerankers put in a worse order")
        return ranked
    known = [hit for hit in ranked[:RERANKED] if hit.id in first]
    if len(known) < 2:
        return ranked
    try:
        found = await reranker.scores(query.text, [first[hit.id].text for hit in known])
    except RetryableError as error:
        notices.append(f"not reranked: {redacted(str(error))}")
        return ranked
    scored = [replace(hit, score=score) for hit, score in zip(known, found, strict=True)]
    others = [hit for hit in ranked if hit.id not in first]
    return [*sorted(scored, key=lambda hit: -hit.score), *others]
