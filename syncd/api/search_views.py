"""Search in the API's words: requests to queries, hits to views."""

from __future__ import annotations

from datetime import UTC, datetime

from syncd.api.schema_search import Hit as HitView
from syncd.api.schema_search import SearchRequest, SearchResponse, Span
from syncd.model import Target
from syncd.search import Fusion, Hit, Query, Search


async def answer_search(search: Search, request: SearchRequest) -> SearchResponse:
    """Answer one search request. Raises as `Search.search` does."""
    hits = await search.search(query_of(request))
    return SearchResponse(hits=[view_of(hit) for hit in hits], mode=request.mode)


def query_of(request: SearchRequest) -> Query:
    """Return what a request asks for."""
    fusion = request.fusion
    return Query(
        target=Target(request.database_name, request.collection_name),
        text=request.query,
        mode=request.mode,
        limit=request.limit,
        offset=request.offset,
        where=request.where,
        where_document=request.where_document,
        source_ids=tuple(request.source_ids or ()),
        path=request.path,
        group=request.group_by == "document",
        fusion=Fusion(fusion.dense_weight, fusion.sparse_weight, fusion.k) if fusion else Fusion(),
    )


def view_of(hit: Hit) -> HitView:
    """Return a hit as the API shows it."""
    recorded = None if hit.recorded_at is None else datetime.fromtimestamp(hit.recorded_at, UTC)
    return HitView(
        id=hit.id,
        score=hit.score,
        text=hit.text,
        metadata=dict(hit.metadata),
        highlights=tuple(Span(start=start, end=end) for start, end in hit.highlights),
        dense_rank=hit.dense_rank,
        sparse_rank=hit.sparse_rank,
        indexed_at=recorded.isoformat().replace("+00:00", "Z") if recorded else None,
        lag_s=None if hit.lag_s is None else round(hit.lag_s, 3),
        also=tuple(hit.also),
    )
