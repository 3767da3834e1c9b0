"""Invocations: create, list, show, cancel, and look up by object key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal

from aiohttp import web

from syncd.api import patterns as rules
from syncd.api.auth import named_source, require_database, scope, source_in_path
from syncd.api.errors import RefusedError, bad_request
from syncd.api.requests import loads, path_id, read_json, read_query, validated
from syncd.api.route import Route, json_answer
from syncd.api.run_request import asked_of, collection_of, dry, of_watched_branch
from syncd.api.schema import OrderBy
from syncd.api.schema_jobs import (
    CancelJobResponse,
    CreateJobPayload,
    CreateJobResponse,
    Job,
    LatestByKeysRequest,
)
from syncd.api.services import SERVICES, Pace, Services
from syncd.api.shapes import SHAPES, SourceShapes
from syncd.api.sources import MAX_PAGE, require_open
from syncd.api.views import job_view
from syncd.errors import ConflictError
from syncd.json_types import JsonObject, json_object
from syncd.model import Invocation, Origin, SourceRecord, State, Target, WholeSource
from syncd.schema import Model, QueryCount

_SPREAD = re.compile(r"(complete|failed)(?:\[.*)?|status\[(complete|failed)\].*", re.DOTALL)


class InvocationsQuery(Model):
    """Which invocations to list: of one source, of one database, or all that the token may access.

    To go on behind a page, give its last invocation as `after`: every page then costs the same, however many come before it, and none
    is shown twice when new ones are asked for meanwhile.
    """

    source_id: str | None = None
    database_name: str | None = None
    source_type: str | None = None
    status: str | None = None
    """A state's name, or the JSON of a status object such as `{"failed": {"error": ""}}`, of which only the name counts."""
    after: str | None = None
    """Only invocations behind this one in the order."""
    limit: QueryCount = 100
    offset: QueryCount = 0
    order_by: OrderBy = "DESC"


class StateName(Model):
    """The name of a state."""

    status: Literal["pending", "processing", "complete", "failed", "cancelled"]


async def create(request: web.Request) -> web.Response:
    """Create an invocation; it is durable before the 201 is sent."""
    services = request.app[SERVICES]
    source = await source_in_path(request)
    payload = await read_json(request, CreateJobPayload)
    asked = asked_of(services.sources.types, source, payload)
    target = Target(source.database, collection_of(source, payload))
    if source.keeps(target.collection):
        asked = of_watched_branch(source, asked)
    else:
        await require_open(services, target)
    origin = Origin.BACKFILL if source.facts.backfills and isinstance(asked, WholeSource) else Origin.API
    if payload.dry_run:
        asked = dry(source, asked)
    invocation = await services.store.invocations.create(source.id, target, origin, asked)
    services.wake()
    return json_answer({"invocation_id": invocation.id}, 201)


async def index(request: web.Request) -> web.Response:
    """List the invocations that the caller may access, in the order asked for."""
    services = request.app[SERVICES]
    query = read_query(request, InvocationsQuery)
    if query.source_id is not None and query.database_name is not None:
        raise bad_request("give source_id or database_name, not both")
    source_id = await _own_source_id(request, query.source_id)
    if query.database_name is not None:
        require_database(request, query.database_name)
    found = await services.store.invocations.list(
        source_id=source_id,
        database=query.database_name,
        databases=scope(request),
        type=request.app[SHAPES].known(query.source_type),
        state=_state(request, query.status),
        after=None if query.after is None else (await _accessible(request, rules.uuid(query.after, "after"))).id,
        limit=min(query.limit, MAX_PAGE),
        offset=query.offset,
        newest_first=query.order_by == "DESC",
    )
    return json_answer(await views(services, found))


async def show(request: web.Request) -> web.Response:
    """Return one invocation."""
    invocation = await own_invocation(request)
    (view,) = await views(request.app[SERVICES], [invocation])
    return json_answer(view)


async def cancel(request: web.Request) -> web.Response:
    """Cancel a pending or running invocation; what it has indexed stays. 412 if it has ended."""
    services = request.app[SERVICES]
    invocation = await own_invocation(request)
    try:
        await services.store.invocations.cancel(invocation.id)
    except ConflictError as error:
        raise RefusedError(412, str(error)) from error
    services.wake()
    return json_answer({}, 202)


async def latest_by_keys(request: web.Request) -> web.Response:
    """Return the newest invocation of each object key that has one that the caller may access."""
    services, databases = request.app[SERVICES], scope(request)
    source = await source_in_path(request)
    payload = await read_json(request, LatestByKeysRequest)
    latest = await services.store.invocations.latest_by_keys(source.id, payload.object_keys)
    found = {key: it for key, it in latest.items() if databases is None or it.target.database in databases}
    shown = await views(services, found.values())
    return json_answer(dict(zip(found, shown, strict=True)))


async def own_invocation(request: web.Request) -> Invocation:
    """Return the invocation named in the path. Raises RefusedError: 400 not an id, 404 unknown, 403 in another database."""
    return await _accessible(request, path_id(request, "invocation_id"))


async def _accessible(request: web.Request, invocation_id: str) -> Invocation:
    invocation = await request.app[SERVICES].store.invocations.get(invocation_id)
    if invocation is None:
        raise RefusedError(404, f"invocation {invocation_id} does not exist; list invocations to find its id")
    require_database(request, invocation.target.database)
    return invocation


async def views(services: Services, found: Iterable[Invocation]) -> list[JsonObject]:
    """Return invocations as `Job`s; each source is looked up once."""
    listed = list(found)
    ids = {invocation.source_id for invocation in listed}
    sources = {source_id: await services.store.sources.get(source_id) for source_id in ids}
    types = services.sources.types
    return [
        job_view(types, it, sources[it.source_id], await _pace(services, it, sources[it.source_id])) for it in listed
    ]


async def _pace(services: Services, invocation: Invocation, source: SourceRecord | None) -> Pace | None:
    """Return a running invocation's pace, or after a dry run the estimate for a real one."""
    if source is None or invocation.state is not State.COMPLETE or not invocation.request.is_dry_run:
        return services.progress(invocation.id)
    speed = await services.store.invocations.tokens_per_s(source.embedding.model)
    return Pace(invocation.counts.tokens / speed, speed) if speed else None


async def _own_source_id(request: web.Request, given: str | None) -> str | None:
    if given is None:
        return None
    return (await named_source(request, given)).id


def _state(request: web.Request, given: str | None) -> State | None:
    """Return the status filter: a name, an object as JSON, or an object in deepObject or dotted query parameters."""
    names = {found[1] or found[2] for key in request.query if (found := _SPREAD.fullmatch(key))}
    if given is not None:
        names.add(_named(given))
    if not names:
        return None
    if len(names) > 1:
        raise bad_request("status asks for more than one state; give one")
    return State(validated(StateName, {"status": names.pop()}).status)


def _named(given: str) -> str:
    if not given.startswith("{"):
        return given
    status = json_object(loads(given.encode("utf-8", "replace"), "status"))
    return next(iter(status)) if len(status) == 1 and status.keys() <= {"complete", "failed"} else given


def routes(shapes: SourceShapes) -> Sequence[Route]:
    """Return the routes."""
    return (
        Route(
            "GET",
            "/api/v1/invocations",
            index,
            "list_jobs",
            "Invocation",
            "List invocations",
            {200: [Job]},
            query=shapes.query(InvocationsQuery),
        ),
        Route(
            "POST",
            "/api/v1/sources/{source_id}/invocations",
            create,
            "create_job",
            "Invocation",
            "Create invocation",
            {201: CreateJobResponse},
            errors=(400, 401, 403, 404, 409, 500),
            body=CreateJobPayload,
        ),
        Route(
            "POST",
            "/api/v1/sources/{source_id}/invocations/latest-by-keys",
            latest_by_keys,
            "latest_invocations_by_keys",
            "Invocation",
            "Get latest invocations by keys",
            {200: {"*": Job}},
            body=LatestByKeysRequest,
            only_reads=True,
        ),
        Route(
            "GET", "/api/v1/invocations/{invocation_id}", show, "get_job", "Invocation", "Get invocation", {200: Job}
        ),
        Route(
            "PUT",
            "/api/v1/invocations/{invocation_id}",
            cancel,
            "cancel_pending_job",
            "Invocation",
            "Cancel invocation",
            {202: CancelJobResponse},
            errors=(400, 401, 403, 404, 412, 500),
        ),
    )
