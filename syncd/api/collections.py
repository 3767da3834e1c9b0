"""Comparing a collection in Chroma with the store, rebuilding it from there, and its shadows. Additions to the published API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import Field

from syncd.api.auth import require_database, source_in_path
from syncd.api.requests import read_json
from syncd.api.route import Route, json_answer
from syncd.api.services import SERVICES, Services
from syncd.errors import NotFoundError
from syncd.json_types import JsonObject
from syncd.model import Target
from syncd.schema import Model, OwnModel, Uuid
from syncd.search.reading import no_collection
from syncd.store.outbox import Portion

R = TypeVar("R")


class RebuildPayload(OwnModel):
    """The collection to rebuild, or whose shadow is meant."""

    database_name: str
    collection_name: str


class RebuildResponse(Model):
    """The number of chunks that the collection holds after the rebuild."""

    chunks: int


async def rebuild(request: web.Request) -> web.Response:
    """Delete a collection and fill it from the store, without fetching or embedding; responds when done."""
    wanted = await read_json(request, RebuildPayload)
    require_database(request, wanted.database_name)
    services, target = request.app[SERVICES], Target(wanted.database_name, wanted.collection_name)
    chunks = await of_known(services, target, services.rebuild(target))
    return json_answer({"chunks": chunks})


ComparedShare = Annotated[float, Field(gt=0, le=1)]
"""About this share of the documents is compared, others each time."""


class VerifyPayload(RebuildPayload):
    """The collection to compare with the store."""

    repair: bool = False
    """Repair what differs, and nothing else."""
    share: ComparedShare = 1.0


class VerifySourcePayload(OwnModel):
    """How to compare what a source has in its collections with the store."""

    repair: bool = False
    """Repair what differs, and nothing else."""
    share: ComparedShare = 1.0


class OrphansView(Model):
    """How many documents of one source that is gone the collection holds."""

    source_id: Uuid
    name: str | None
    documents: int


class VerifyResponse(Model):
    """How Chroma differed from the store, counted in chunks; `chunks` is the number compared."""

    database_name: str
    collection_name: str
    chunks: int
    missing: int
    different: int
    """The sum of the next four."""
    texts: int
    vectors: int
    metadata: int
    unfindable: int
    """Of a sample: not found by their own vectors."""
    extra: int
    damaged: int
    """Chunks whose text or vector in the store is not what was stored; repairing asks their sources for them again."""
    unreadable: str | None
    """Why Chroma cannot read the collection, which is then rebuilt from the store; nothing was compared."""
    repaired: bool
    held_deletes: dict[str, int]
    """By invocation id, newest first: the number of deletes that wait for `confirm-deletes`."""
    orphans: list[OrphansView]
    """What sources that are gone left, which no source keeps in step."""


async def verify(request: web.Request) -> web.Response:
    """Compare a collection with the store, and repair it if asked to; responds when done."""
    wanted = await read_json(request, VerifyPayload)
    require_database(request, wanted.database_name)
    target = Target(wanted.database_name, wanted.collection_name)
    return json_answer(await verified(request, target, wanted.repair, Portion(None, wanted.share)))


async def verify_source(request: web.Request) -> web.Response:
    """Compare what a source has in each of its database's collections with the store, and repair it if asked to; responds when done."""
    source = await source_in_path(request)
    wanted = await read_json(request, VerifySourcePayload)
    portion = Portion(source.id, wanted.share)
    records = await request.app[SERVICES].store.collections.of_source(source.id)
    own = [record.target for record in records if record.target.database == source.database]
    return json_answer([await verified(request, target, wanted.repair, portion) for target in own])


async def verified(request: web.Request, target: Target, repair: bool, portion: Portion) -> JsonObject:
    """Compare a portion of a collection, and return what was found in the form of `VerifyResponse`."""
    services = request.app[SERVICES]
    drift = await of_known(services, target, services.verify(target, repair, portion))
    if drift.damaged and repair:
        services.wake()
    held = await services.store.progress.held_in(target)
    orphans = await services.store.absent_sources.orphans(target)
    return {
        "database_name": target.database,
        "collection_name": target.collection,
        **asdict(drift),
        "different": drift.different,
        "repaired": repair,
        "held_deletes": dict(held),
        "orphans": [asdict(one) for one in orphans],
    }


async def of_known(services: Services, target: Target, work: Awaitable[R]) -> R:
    """Return what is done with a collection. Raises NotFoundError, which for one that syncd never wrote names those that there are."""
    try:
        return await work
    except NotFoundError as error:
        if await services.store.collections.find(target) is None:
            raise await no_collection(services.store, target) from error
        raise


async def _done(request: web.Request, work: Callable[[Target], Awaitable[None]]) -> web.Response:
    wanted = await read_json(request, RebuildPayload)
    require_database(request, wanted.database_name)
    await work(Target(wanted.database_name, wanted.collection_name))
    return web.Response(status=204)


async def switch_shadow(request: web.Request) -> web.Response:
    """Let the shadow of a collection take its place, however it compares; responds when done."""
    return await _done(request, request.app[SERVICES].switch)


async def remove_shadow(request: web.Request) -> web.Response:
    """Remove the shadow of a collection; none is built again until the settings of its sources change."""
    return await _done(request, request.app[SERVICES].discard)


async def roll_back(request: web.Request) -> web.Response:
    """Let the collection answer again that did before a shadow took its place; responds when done."""
    return await _done(request, request.app[SERVICES].rollback)


_OF_SHADOWS = tuple(
    Route(
        "POST",
        path,
        handler,
        operation,
        "Collection",
        summary,
        {204: None},
        errors=(400, 401, 403, 404, 409, 500, 503),
        body=RebuildPayload,
        own=True,
    )
    for path, handler, operation, summary in (
        ("/api/v1/shadows/switch", switch_shadow, "switch_shadow", "Let a shadow take its collection's place"),
        ("/api/v1/shadows/discard", remove_shadow, "discard_shadow", "Remove the shadow of a collection"),
        ("/api/v1/rollback", roll_back, "rollback_collection", "Go back to the former collection of a name"),
    )
)
ROUTES = (
    Route(
        "POST",
        "/api/v1/verify",
        verify,
        "verify_collection",
        "Collection",
        "Compare a collection with the store",
        {200: VerifyResponse},
        errors=(400, 401, 403, 404, 500, 503),
        body=VerifyPayload,
        own=True,
    ),
    Route(
        "POST",
        "/api/v1/sources/{source_id}/verify",
        verify_source,
        "verify_source",
        "Source",
        "Compare what a source has in its collections with the store",
        {200: [VerifyResponse]},
        errors=(400, 401, 403, 404, 500, 503),
        body=VerifySourcePayload,
        own=True,
    ),
    Route(
        "POST",
        "/api/v1/rebuild",
        rebuild,
        "rebuild_collection",
        "Collection",
        "Recreate a collection from the store",
        {200: RebuildResponse},
        errors=(400, 401, 403, 404, 500, 503),
        body=RebuildPayload,
        own=True,
    ),
    *_OF_SHADOWS,
)
