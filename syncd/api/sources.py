"""Sources: create, list, show, delete."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import structlog
from aiohttp import web

from syncd.api import settings
from syncd.api.auth import requester, require_database, scope, source_in_path
from syncd.api.errors import RefusedError
from syncd.api.requests import read_json, read_query
from syncd.api.route import Route, json_answer
from syncd.api.schema import CreateSourceResponse, OrderBy
from syncd.api.services import SERVICES, Services
from syncd.api.shapes import SHAPES, SourceShapes
from syncd.api.views import SourceNews, source_item, source_view
from syncd.chroma.naming import can_be_database
from syncd.errors import NotFoundError
from syncd.json_types import JsonObject
from syncd.model import SourceRecord, SourceSettings, Target, UnreadableSettings
from syncd.quoting import shown
from syncd.schema import Model, QueryCount

log = structlog.get_logger()

QUOTA_TURN = web.AppKey("counted", anyio.Lock)
"""Held while sources that count towards a quota are made."""
MAX_PAGE = 1000
"""A larger `limit` is reduced to this."""


class SourcesQuery(Model):
    """Which sources to list."""

    database_name: str | None = None
    source_type: str | None = None
    limit: QueryCount = 100
    offset: QueryCount = 0
    order_by: OrderBy = "DESC"


async def create(request: web.Request) -> web.Response:
    """Create a source; it is synced only on request, unless it has `watch`, `schedule` or `auto_sync`."""
    services = request.app[SERVICES]
    payload = await read_json(request, request.app[SHAPES].create)
    require_database(request, payload.database_name)
    ((name, given),) = payload.types.items()
    asking = requester(request, payload.database_name)
    source_settings = settings.source_settings(services, name, given, asking)
    embedding = settings.embedding(services, services.default_embedding, payload.embedding, payload.embedding_model)
    chunking = settings.chunking(payload.chunking)
    await require_existing(services, payload.database_name)
    async with room_for(request, source_settings):
        # Before a key is stored, not only when the source is.
        await services.store.sources.require_new(name, payload.database_name, source_settings, embedding, chunking)
        if payload.name is not None:
            await services.store.source_names.require_free(payload.database_name, payload.name)
        kept = await services.sources.keep_secrets(name, given, source_settings, asking)
        source = await services.store.sources.create(
            name, payload.database_name, kept, embedding, chunking, unique=True, given_name=payload.name
        )
    services.wake()
    if not kept.notice:
        return json_answer({"source_id": source.id}, 201)
    log.warning("source.notice", source=source.id, notice=kept.notice)
    return json_answer({"source_id": source.id, "notice": kept.notice}, 201)


async def index(request: web.Request) -> web.Response:
    """List the sources that the caller may access, each with its latest invocation's status."""
    services = request.app[SERVICES]
    query = read_query(request, SourcesQuery)
    if query.database_name is not None:
        require_database(request, query.database_name)
    found = await services.store.sources.list(
        database=query.database_name,
        databases=scope(request),
        type=request.app[SHAPES].known(query.source_type),
        limit=min(query.limit, MAX_PAGE),
        offset=query.offset,
        newest_first=query.order_by == "DESC",
    )
    news = await news_of(services, [source.id for source in found])
    return json_answer([await _item(request, source, await news(source)) for source in found])


async def show(request: web.Request) -> web.Response:
    """Return one source."""
    source = await source_in_path(request)
    services = request.app[SERVICES]
    return json_answer(await current_view(services, source))


async def delete(request: web.Request) -> web.Response:
    """Delete a source and cancel its waiting invocations; its collections keep their content."""
    services = request.app[SERVICES]
    source = await source_in_path(request)
    if not await services.store.sources.delete(source.id):
        raise RefusedError(404, f"source {source.id} does not exist; list sources to find its id")
    services.wake()
    return web.Response(status=204)


@asynccontextmanager
async def room_for(request: web.Request, new: SourceSettings, of: str = "") -> AsyncGenerator[None]:
    """Have a source made inside the block; `of` is one that changes.

    Raises RefusedError (403) where the caller's databases have as many sources as its token may make. Waits for others who are
    counted, or they could make too many together.
    """
    databases, services = scope(request), request.app[SERVICES]
    if databases is None:
        yield
        return
    async with request.app[QUOTA_TURN]:
        found = await services.store.sources.list(databases=databases, limit=services.quotas.sources + 1)
        if refusal := services.quotas.refusal([it.settings for it in found if it.id != of], new):
            raise RefusedError(403, refusal)
        yield


async def require_existing(services: Services, database: str) -> None:
    """Raise RefusedError (404) unless Chroma has `database`. Waits for Chroma; raises RetryableError while it is unavailable."""
    if not can_be_database(database) or not await services.chroma.database_exists(database):
        raise RefusedError(404, f"database {shown(database)} does not exist in the vector store; create it there first")


async def require_open(services: Services, target: Target) -> None:
    """Raise RefusedError (409) if the collection is marked as finished. Waits for Chroma; raises RetryableError."""
    try:
        metadata = await services.chroma.metadata(target)
    except NotFoundError:
        return
    if metadata.get("finished_ingest") is True:
        raise RefusedError(
            409, f"collection {shown(target.collection)} is finished (finished_ingest); name a new collection"
        )


async def _item(request: web.Request, source: SourceRecord, news: SourceNews) -> JsonObject:
    services = request.app[SERVICES]
    latest = await services.store.invocations.list(source_id=source.id, databases=scope(request), limit=1)
    return source_item(services.sources.types, source, latest[0] if latest else None, news)


async def news_of(services: Services, source_ids: Sequence[str]) -> Callable[[SourceRecord], Awaitable[SourceNews]]:
    """Return what says how one of these sources is doing."""
    problems, watches, standings = services.sources.problems(), services.watches(), await services.standings()
    lags = {lag.source_id: lag for lag in await services.store.freshness.lags(source_ids)}

    async def news(source: SourceRecord) -> SourceNews:
        ident, at = source.id, await _next_run_at(services, source)
        unreadable = source.settings.reason if isinstance(source.settings, UnreadableSettings) else None
        return SourceNews(
            unreadable or problems.get(ident), watches.get(ident), standings.get(ident), lags.get(ident), at
        )

    return news


async def _next_run_at(services: Services, source: SourceRecord) -> datetime | None:
    """Return when the schedule of a source asks for a run, as the triggers count: an interval after the last request of any origin."""
    if source.settings.schedule is None:
        return None
    last = await services.store.invocations.latest_whole(source.id)
    due = last.created_at + timedelta(seconds=source.settings.schedule.interval_s) if last else None
    return max(due, datetime.now(UTC)) if due else datetime.now(UTC)


async def current_view(services: Services, source: SourceRecord) -> JsonObject:
    """Return one source as the API shows it."""
    return source_view(services.sources.types, source, await (await news_of(services, [source.id]))(source))


def routes(shapes: SourceShapes) -> Sequence[Route]:
    """Return the routes."""
    return (
        Route(
            "POST",
            "/api/v1/sources",
            create,
            "create_source",
            "Source",
            "Create source",
            {201: CreateSourceResponse},
            errors=(400, 401, 403, 404, 409, 500),
            body=shapes.create,
        ),
        Route(
            "GET",
            "/api/v1/sources",
            index,
            "list_sources",
            "Source",
            "List sources",
            {200: [shapes.item]},
            query=shapes.query(SourcesQuery),
        ),
        Route("GET", "/api/v1/sources/{source_id}", show, "get_source", "Source", "Get source", {200: shapes.source}),
        Route("DELETE", "/api/v1/sources/{source_id}", delete, "delete_source", "Source", "Delete source", {204: None}),
    )
