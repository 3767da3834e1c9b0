"""Outcomes of a run's documents, retries and held deletes. All additions to the published API."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from syncd.api.auth import scope
from syncd.api.errors import RefusedError
from syncd.api.invocations import own_invocation
from syncd.api.requests import read_body, read_json, read_query
from syncd.api.route import Route, json_answer
from syncd.api.schema_jobs import (
    ConfirmPayload,
    CreateJobResponse,
    DiscardResponse,
    DocumentView,
    HeldDeleteView,
    HoldingRunView,
    OutcomeState,
    RetryPayload,
)
from syncd.api.services import SERVICES, Services
from syncd.api.sources import MAX_PAGE
from syncd.api.views import document_view
from syncd.model import (
    ConfirmDeletes,
    DocumentState,
    Invocation,
    LeaveCollection,
    Origin,
    Request,
    State,
    WholeSource,
)
from syncd.model.requests import all_of, part_of
from syncd.schema import Model, QueryCount
from syncd.store.invocations import DocumentOutcome

MAX_RETRIED_KEYS = 10_000
"""With more failed documents than this, the whole run is better repeated."""

WHO_HOLDS = "a later run may hold them in its place: `syncd verify COLLECTION` names it"


class DocumentsQuery(Model):
    """Which documents of an invocation to list."""

    state: OutcomeState | None = None
    limit: QueryCount = 100
    offset: QueryCount = 0


class HeldQuery(Model):
    """Which held deletes of an invocation to list."""

    limit: QueryCount = 100
    offset: QueryCount = 0


async def documents(request: web.Request) -> web.Response:
    """List the outcome of each document of an invocation, in key order; unchanged documents are not listed.

    Those that failed for a reason that may pass say how often they were tried, and when they are tried again.
    """
    invocation = await own_invocation(request)
    query = read_query(request, DocumentsQuery)
    state = DocumentState(query.state) if query.state else None
    store = request.app[SERVICES].store.invocations
    outcomes = await store.documents(invocation.id, state, min(query.limit, MAX_PAGE), query.offset)
    ahead = [(it.request.keys, it) for it in await store.next_tries(invocation)]
    return json_answer([document_view(outcome, next_try(outcome, ahead)) for outcome in outcomes])


def next_try(outcome: DocumentOutcome, ahead: Sequence[tuple[frozenset[str] | None, Invocation]]) -> Invocation | None:
    """Return which of the invocations `ahead`, each with its keys (None: all), tries a failed document again."""
    if outcome.state is not DocumentState.FAILED:
        return None
    return next((it for keys, it in ahead if keys is None or outcome.key in keys), None)


async def retry(request: web.Request) -> web.Response:
    """Run an invocation again for the given keys, or for all that failed; entirely if very many did, or the invocation itself."""
    services = request.app[SERVICES]
    invocation = await own_invocation(request)
    payload = await read_json(request, RetryPayload) if request.body_exists else RetryPayload()
    _require_over(invocation)
    await _require_at_home(services, invocation)
    if invocation.request.is_dry_run:
        raise RefusedError(412, f"invocation {invocation.id} was a dry run; there is nothing to retry")
    failed = await _failed_keys(services, invocation) if invocation.state is State.COMPLETE else []
    keys = tuple(sorted(set(payload.keys) if payload.keys else failed))
    if not keys and invocation.state is State.COMPLETE:
        raise RefusedError(412, f"invocation {invocation.id} has no failed documents; there is nothing to retry")
    if len(keys) > MAX_RETRIED_KEYS:
        return await _repeat(services, invocation)
    only = invocation.request.object_key
    await services.store.marks.forgive(invocation.source_id, keys or ([only] if only else None))
    return await _ask(services, invocation, part_of(invocation.request, keys) if keys else all_of(invocation.request))


async def confirm_deletes(request: web.Request) -> web.Response:
    """Carry out all deletes that the mass-delete guard held back."""
    services = request.app[SERVICES]
    if request.body_exists and await read_body(request):
        await read_json(request, ConfirmPayload)
    invocation = await own_invocation(request)
    _require_over(invocation)
    if not await services.store.progress.held_deletes(invocation.id):
        raise RefusedError(412, f"invocation {invocation.id} holds no deletes to confirm; {WHO_HOLDS}")
    return await _ask(services, invocation, ConfirmDeletes(invocation.id, invocation.request.whole))


async def holding_runs(request: web.Request) -> web.Response:
    """List the invocations that hold deletes, newest first."""
    found = await request.app[SERVICES].store.progress.holding_runs(scope(request))
    return json_answer(
        [
            {
                "invocation_id": run.invocation_id,
                "source_id": run.source_id,
                "database_name": run.target.database,
                "collection_name": run.target.collection,
                "documents": run.documents,
            }
            for run in found
        ]
    )


async def held_deletes(request: web.Request) -> web.Response:
    """List the documents that confirming an invocation's held deletes would delete, in key order."""
    invocation = await own_invocation(request)
    query = read_query(request, HeldQuery)
    progress = request.app[SERVICES].store.progress
    keys = await progress.still_held(invocation.id, min(query.limit, MAX_PAGE), query.offset)
    return json_answer([{"key": key} for key in keys])


async def discard_deletes(request: web.Request) -> web.Response:
    """Forget an invocation's held deletes: its documents stay. The next run that misses them decides anew."""
    invocation = await own_invocation(request)
    if request.body_exists and await read_body(request):
        await read_json(request, ConfirmPayload)
    _require_over(invocation)
    progress = request.app[SERVICES].store.progress
    if not await progress.held_deletes(invocation.id):
        raise RefusedError(412, f"invocation {invocation.id} holds no deletes to discard; {WHO_HOLDS}")
    await progress.release_deletes(invocation.id)
    return json_answer({})


def _require_over(invocation: Invocation) -> None:
    if invocation.state in (State.PENDING, State.PROCESSING):
        raise RefusedError(412, f"invocation {invocation.id} is still {invocation.state}; wait or cancel it first")


async def _require_at_home(services: Services, invocation: Invocation) -> None:
    """Raise RefusedError (412) if the run would bring documents of another database: a declared source can be moved to one."""
    source = await services.store.sources.get(invocation.source_id)
    is_elsewhere = source is not None and source.database != invocation.target.database
    if is_elsewhere and not isinstance(invocation.request, LeaveCollection):
        raise RefusedError(412, f"source {invocation.source_id} is in another database by now; sync it there")


async def _failed_keys(services: Services, invocation: Invocation) -> list[str]:
    """Return the keys of the documents that failed, one more than are retried by name if there are more."""
    failed = await services.store.invocations.documents(invocation.id, DocumentState.FAILED, MAX_RETRIED_KEYS + 1)
    return [outcome.key for outcome in failed]


async def _repeat(services: Services, invocation: Invocation) -> web.Response:
    """Ask for all of what was asked for, and that it looks at what did not change since it failed, too."""
    store, target = services.store, invocation.target
    if record := await store.collections.find(target):
        await store.progress.forget_cursor(invocation.source_id, record.id)
    # A run that began before that would save a cursor, from which the next one would look at what changes later only.
    under_way = await store.invocations.list(invocation.source_id, state=State.PROCESSING, limit=MAX_PAGE)
    if busy := [it.id for it in under_way if it.target == target and isinstance(it.request, WholeSource)]:
        raise RefusedError(412, f"invocation {busy[0]} of the same source is still processing; wait or cancel it first")
    await store.marks.forgive(invocation.source_id)
    return await _ask(services, invocation, all_of(invocation.request))


async def _ask(services: Services, invocation: Invocation, request: Request) -> web.Response:
    new = await services.store.invocations.create_or_join(invocation.source_id, invocation.target, Origin.API, request)
    services.wake()
    return json_answer({"invocation_id": new.id}, 201)


ROUTES = (
    Route(
        "GET",
        "/api/v1/invocations/{invocation_id}/documents",
        documents,
        "list_job_documents",
        "Invocation",
        "List the outcome of each document of an invocation",
        {200: [DocumentView]},
        query=DocumentsQuery,
        own=True,
    ),
    Route(
        "POST",
        "/api/v1/invocations/{invocation_id}/retry",
        retry,
        "retry_job",
        "Invocation",
        "Run failed documents again",
        {201: CreateJobResponse},
        errors=(400, 401, 403, 404, 412, 500),
        body=RetryPayload,
        own=True,
    ),
    Route(
        "GET",
        "/api/v1/invocations/{invocation_id}/held-deletes",
        held_deletes,
        "list_job_held_deletes",
        "Invocation",
        "List held deletes",
        {200: [HeldDeleteView]},
        query=HeldQuery,
        own=True,
    ),
    Route(
        "GET",
        "/api/v1/held-deletes",
        holding_runs,
        "list_held_deletes",
        "Invocation",
        "List invocations that hold deletes",
        {200: [HoldingRunView]},
        errors=(400, 401, 403, 500),
        own=True,
    ),
    Route(
        "POST",
        "/api/v1/invocations/{invocation_id}/discard-deletes",
        discard_deletes,
        "discard_job_deletes",
        "Invocation",
        "Discard held deletes",
        {200: DiscardResponse},
        errors=(400, 401, 403, 404, 412, 500),
        own=True,
    ),
    Route(
        "POST",
        "/api/v1/invocations/{invocation_id}/confirm-deletes",
        confirm_deletes,
        "confirm_job_deletes",
        "Invocation",
        "Carry out held deletes",
        {201: CreateJobResponse},
        errors=(400, 401, 403, 404, 412, 500),
        own=True,
    ),
)
