"""What is shown of a page of hits: each with what stands around it, all within a limit of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.search.budget import within_budget
from syncd.search.expanding import expanded
from syncd.search.query import Query, SearchHit
from syncd.store.texts import DocumentTexts


async def shaped(
    texts: DocumentTexts, hits: Sequence[SearchHit], query: Query
) -> tuple[Sequence[SearchHit], int | None]:
    """Return the hits as the query wants them shown, and the offset from which to go on if some are left out."""
    if query.expand is not None:
        hits = await expanded(texts, hits, query.expand)
    if query.max_tokens is None:
        return hits, None
    shown = within_budget(hits, query.max_tokens)
    return shown, hits[len(shown)].place if len(shown) < len(hits) else None
