"""Search, and query vectors for ordinary Chroma clients."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from aiohttp import web

from syncd.api.auth import require_database, source_id_of
from syncd.api.errors import RefusedError
from syncd.api.models import require_collection
from syncd.api.requests import read_json
from syncd.api.route import Access, Route, json_answer
from syncd.api.schema_search import EmbedRequest, Hit, SearchRequest, SearchResponse, Span, Vector
from syncd.api.services import SERVICES
from syncd.model import Target
from syncd.search import Fusion, Query, SearchHit

DEFAULT_LIMIT = 10
FILLING_LIMIT = 100
"""The most hits of a search that is limited by tokens."""


async def search(request: web.Request) -> web.Response:
    """Answer one query against one collection or several."""
    wanted = await read_json(request, SearchRequest)
    require_database(request, wanted.database_name)
    named = [await source_id_of(request, given) for given in wanted.source_ids or ()]
    services, query = request.app[SERVICES], replace(query_of(wanted), source_ids=tuple(named))
    if wanted.collections is None:
        answer = await services.search(query)
    else:
        targets = [Target(wanted.database_name, name) for name in dict.fromkeys(wanted.collections)]
        answer = await services.search_several(query, targets)
    found = SearchResponse(
        hits=[view_of(hit) for hit in answer.hits],
        mode=wanted.mode,
        notices=tuple(answer.notices),
        next_offset=answer.next_offset,
        semantic_coverage=answer.coverage,
    )
    return web.json_response(text=found.model_dump_json())


def query_of(request: SearchRequest) -> Query:
    """Return a request as a Query."""
    fusion = request.fusion
    return Query(
        target=Target(request.database_name, request.collection_name or ""),
        text=request.query,
        mode=request.mode,
        limit=request.limit or (DEFAULT_LIMIT if request.max_tokens is None else FILLING_LIMIT),
        offset=request.offset,
        where=request.where,
        where_document=request.where_document,
        source_ids=tuple(request.source_ids or ()),
        paths=(*([request.path] if request.path else []), *(request.paths or ())),
        languages=tuple(name.casefold() for name in request.languages or ()),
        content=request.content,
        modified_after=request.modified_after and request.modified_after.timestamp(),
        expand=request.expand,
        max_tokens=request.max_tokens,
        group=request.group_by == "document",
        fusion=Fusion(fusion.dense_weight, fusion.sparse_weight, fusion.k) if fusion else None,
        rules=None if request.rules is None else frozenset(request.rules),
        rerank=request.rerank,
    )


def view_of(hit: SearchHit) -> Hit:
    """Return a hit in the API's format."""
    recorded = None if hit.recorded_at is None else datetime.fromtimestamp(hit.recorded_at, UTC)
    return Hit(
        id=hit.id,
        score=hit.score,
        text=hit.text,
        metadata={**hit.metadata},
        collection_name=hit.collection,
        highlights=tuple(Span(start=start, end=end) for start, end in hit.highlights),
        dense_rank=hit.dense_rank,
        sparse_rank=hit.sparse_rank,
        stage=hit.stage,
        indexed_at=recorded.isoformat().replace("+00:00", "Z") if recorded else None,
        lag_s=None if hit.lag_s is None else round(hit.lag_s, 3),
        first_line=hit.lines and hit.lines[0],
        last_line=hit.lines and hit.lines[1],
        cut=hit.cut,
        also=tuple(hit.also),
    )


async def embed(request: web.Request) -> web.Response:
    """Embed queries with a collection's own model, in the format of Text Embeddings Inference.

    Collections record this address as their embedding function, so that a Chroma client can query by text.
    """
    target = Target(request.match_info["database"], request.match_info["collection"])
    await require_collection(request, target)
    inputs = (await read_json(request, EmbedRequest)).inputs
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not all(texts):
        raise RefusedError(400, "inputs must not contain empty texts")
    vectors = await request.app[SERVICES].embed_query(target, texts) if texts else None
    return json_answer([] if vectors is None else vectors.tolist())


ROUTES = (
    Route(
        "POST",
        "/api/v1/search",
        search,
        "search",
        "Search",
        "Search a collection, or several",
        {200: SearchResponse},
        errors=(400, 401, 403, 404, 500, 503),
        body=SearchRequest,
        only_reads=True,
        own=True,
    ),
    Route(
        "POST",
        "/embed/{database}/{collection}/query",
        embed,
        "embed_query",
        "Search",
        "Embed queries with a collection's model",
        {200: [Vector]},
        body=EmbedRequest,
        only_reads=True,
        access=Access.LOCAL,
    ),
)
