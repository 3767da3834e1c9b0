"""Chunks like one chunk. An addition to the published API."""

from __future__ import annotations

from typing import Annotated, Self

from aiohttp import web
from pydantic import Field, model_validator

from syncd.api.auth import require_database
from syncd.api.reading import Number
from syncd.api.requests import read_json
from syncd.api.route import Route
from syncd.api.schema_search import Hit
from syncd.api.search import view_of
from syncd.api.services import SERVICES
from syncd.model import Target
from syncd.schema import Model, OwnModel
from syncd.search import Query
from syncd.search.paths import SoughtContent
from syncd.search.reading import chunk_at


class RelatedRequest(OwnModel):
    """Which chunk, by its id or by a line of its document, and where to look for others like it."""

    database_name: str
    collection_name: str
    chunk_id: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    key: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Instead of `chunk_id`: the document's key."""
    line: Number = 1
    """With `key`: a line of the chunk."""
    limit: Annotated[int, Field(ge=1, le=100)] = 10
    paths: Annotated[list[Annotated[str, Field(min_length=1, max_length=4096)]], Field(max_length=50)] | None = None
    """Only hits whose key matches one of these, as in a search."""
    content: SoughtContent | None = None

    @model_validator(mode="after")
    def says_which(self) -> Self:
        """Require one way to say which chunk."""
        if (self.chunk_id is None) == (self.key is None):
            raise ValueError("give either chunk_id, or key and line")
        return self


class RelatedResponse(Model):
    """Chunks, most similar first: `score` is the cosine similarity or, where a notice says so, by words."""

    hits: list[Hit]
    notices: tuple[str, ...] = ()


async def related(request: web.Request) -> web.Response:
    """Return chunks like one chunk, without itself and its copies."""
    wanted = await read_json(request, RelatedRequest)
    require_database(request, wanted.database_name)
    services = request.app[SERVICES]
    target = Target(wanted.database_name, wanted.collection_name)
    chunk_id = wanted.chunk_id or await chunk_at(services.store, target, wanted.key or "", wanted.line)
    query = Query(target, "", limit=wanted.limit, paths=tuple(wanted.paths or ()), content=wanted.content)
    answer = await services.related(query, chunk_id)
    found = RelatedResponse(hits=[view_of(hit) for hit in answer.hits], notices=tuple(answer.notices))
    return web.json_response(text=found.model_dump_json())


ROUTES = (
    Route(
        "POST",
        "/api/v1/related",
        related,
        "related",
        "Search",
        "Find chunks like one chunk",
        {200: RelatedResponse},
        errors=(400, 401, 403, 404, 500, 503),
        body=RelatedRequest,
        only_reads=True,
        own=True,
    ),
)
