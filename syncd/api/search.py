"""Search, and query vectors for ordinary Chroma clients."""

from __future__ import annotations

from aiohttp import web

from syncd.api.auth import require_database
from syncd.api.errors import RefusedError
from syncd.api.models import require_collection
from syncd.api.requests import read_json
from syncd.api.route import Access, Route, json_answer
from syncd.api.schema_search import EmbedRequest, SearchRequest, SearchResponse, Vector
from syncd.api.services import SERVICES
from syncd.model import Target


async def search(request: web.Request) -> web.Response:
    """Answer one query against one collection."""
    wanted = await read_json(request, SearchRequest)
    require_database(request, wanted.database_name)
    found = await request.app[SERVICES].search(wanted)
    return web.json_response(text=found.model_dump_json())


async def embed(request: web.Request) -> web.Response:
    """Embed queries with a collection's own model, in the shape of Text Embeddings Inference.

    Collections record this address as their embedding function, so that a Chroma client can query by text.
    """
    target = Target(request.match_info["database"], request.match_info["collection"])
    await require_collection(request, target)
    inputs = (await read_json(request, EmbedRequest)).inputs
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not all(texts):
        raise RefusedError(400, "inputs must not be empty texts")
    vectors = await request.app[SERVICES].embed_query(target, texts) if texts else None
    return json_answer([] if vectors is None else vectors.tolist())


ROUTES = (
    Route(
        "POST",
        "/api/v1/search",
        search,
        "search",
        "Search",
        "Search a collection",
        {200: SearchResponse},
        body=SearchRequest,
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
        access=Access.LOCAL,
    ),
)
