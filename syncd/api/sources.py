"""Sources: make, list, show, forget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from syncd.api import settings
from syncd.api.auth import came_privately, own_source, require_database, scope
from syncd.api.errors import RefusedError
from syncd.api.requests import path_id, read_json, read_query
from syncd.api.route import Route, json_answer
from syncd.api.schema import (
    CreateSourcePayload,
    CreateSourceResponse,
    OrderBy,
    Source,
    SourceTypeFilter,
)
from syncd.api.schema_base import Count, Model
from syncd.api.schema_jobs import SourceListItem
from syncd.api.services import SERVICES, Services
from syncd.api.views import source_item, source_view
from syncd.chroma.naming import can_be_database, shown
from syncd.errors import NotFoundError
from syncd.model import SourceRecord, SourceType, Target

MAX_PAGE = 1000
"""A larger `limit` means this."""
CREDENTIAL_KIND = "aws"


class SourcesQuery(Model):
    """Which sources to list."""

    database_name: str | None = None
    source_type: SourceTypeFilter | None = None
    limit: Count = 100
    offset: Count = 0
    order_by: OrderBy = "DESC"


async def create(request: web.Request) -> web.Response:
    """Store a new source; it syncs nothing by itself, unless it says `watch`, `schedule` or `auto_sync`."""
    services = request.app[SERVICES]
    payload = await read_json(request, CreateSourcePayload)
    require_database(request, payload.database_name)
    ((name, given),) = payload.types.items()
    kind = SourceType(name)
    private = came_privately(request)
    rights = replace(services, folder_roots=(Path("/"),), s3_endpoints=None) if private else services
    values = settings.source_settings(rights, kind, given)
    if kind is SourceType.FOLDER and not private:
        values["needs_allowed_root"] = True  # at every run: a path that was checked once proves nothing later
    if kind not in services.available_types:
        raise RefusedError(400, f"{name} sources are not available yet; update syncd")
    embedding = settings.embedding(services, services.default_embedding, payload.embedding, payload.embedding_model)
    chunking = settings.chunking(payload.chunking)
    await require_existing(services, payload.database_name)
    if kind is SourceType.S3:
        values = await _with_credential(services, payload.database_name, values)
    source = await services.store.sources.create(kind, payload.database_name, values, embedding, chunking)
    services.wake()
    return json_answer({"source_id": source.id}, 201)


async def index(request: web.Request) -> web.Response:
    """List the caller's sources, each with its latest invocation's status."""
    services = request.app[SERVICES]
    query = read_query(request, SourcesQuery)
    if query.database_name is not None:
        require_database(request, query.database_name)
    found = await services.store.sources.list(
        database=query.database_name,
        databases=scope(request),
        type=SourceType(query.source_type) if query.source_type else None,
        limit=min(query.limit, MAX_PAGE),
        offset=query.offset,
        newest_first=query.order_by == "DESC",
    )
    return json_answer([await _item(services, source) for source in found])


async def show(request: web.Request) -> web.Response:
    """Return one source."""
    source = await own_source(request, path_id(request, "source_id"))
    return json_answer(source_view(source, request.app[SERVICES].problems().get(source.id)))


async def delete(request: web.Request) -> web.Response:
    """Forget a source and cancel its waiting invocations; its collections keep what they hold."""
    services = request.app[SERVICES]
    source = await own_source(request, path_id(request, "source_id"))
    if not await services.store.sources.delete(source.id):
        raise RefusedError(404, f"source {source.id} does not exist; list sources to find its id")
    services.wake()
    return web.Response(status=204)


async def require_existing(services: Services, database: str) -> None:
    """Raise RefusedError (404) unless Chroma has `database`. Waits for Chroma; RetryableError while it is away."""
    if not can_be_database(database) or not await services.chroma.database_exists(database):
        raise RefusedError(404, f"database {shown(database)} does not exist in Chroma; create it there first")


async def require_open(services: Services, target: Target) -> None:
    """Raise RefusedError (409) when the collection says that it is finished. Waits for Chroma."""
    try:
        metadata = await services.chroma.metadata(target)
    except NotFoundError:
        return
    if metadata.get("finished_ingest") is True:
        raise RefusedError(
            409, f"collection {shown(target.collection)} is finished (finished_ingest); name a new collection"
        )


async def _item(services: Services, source: SourceRecord) -> dict[str, Any]:
    latest = await services.store.invocations.list(source_id=source.id, limit=1)
    return source_item(source, latest[0] if latest else None, services.problems().get(source.id))


async def _with_credential(services: Services, database: str, values: dict[str, Any]) -> dict[str, Any]:
    credentials = services.store.credentials
    if (number := values.get("aws_credential_id")) is not None:
        if not await credentials.exists(number, database):
            raise RefusedError(404, f"aws_credential_id {number} does not exist in this database; give the keys inline")
        return values
    secret = {name: values[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    number = await credentials.add(database, CREDENTIAL_KIND, secret)
    shown = {name: value for name, value in values.items() if name not in secret}
    return {**shown, "aws_credential_id": number}


ROUTES = (
    Route(
        "POST",
        "/api/v1/sources",
        create,
        "create_source",
        "Source",
        "Create source",
        {201: CreateSourceResponse},
        errors=(400, 401, 403, 404, 409, 500),
        body=CreateSourcePayload,
    ),
    Route(
        "GET",
        "/api/v1/sources",
        index,
        "list_sources",
        "Source",
        "List sources",
        {200: [SourceListItem]},
        query=SourcesQuery,
    ),
    Route("GET", "/api/v1/sources/{source_id}", show, "get_source", "Source", "Get source", {200: Source}),
    Route("DELETE", "/api/v1/sources/{source_id}", delete, "delete_source", "Source", "Delete source", {204: None}),
)
