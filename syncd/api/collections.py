"""Comparing a collection in Chroma with the store, and rebuilding it from there. Additions to the published API."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from syncd.api.auth import require_database
from syncd.api.requests import read_json
from syncd.api.route import Route, json_answer
from syncd.api.services import SERVICES
from syncd.model import Target
from syncd.schema import Model, OwnModel, Uuid


class RebuildPayload(OwnModel):
    """The collection to rebuild."""

    database_name: str
    collection_name: str


class RebuildResponse(Model):
    """The number of chunks that the collection holds after the rebuild."""

    chunks: int


async def rebuild(request: web.Request) -> web.Response:
    """Delete a collection and fill it from the store, without fetching or embedding; responds when done."""
    wanted = await read_json(request, RebuildPayload)
    require_database(request, wanted.database_name)
    chunks = await request.app[SERVICES].rebuild(Target(wanted.database_name, wanted.collection_name))
    return json_answer({"chunks": chunks})


class VerifyPayload(RebuildPayload):
    """The collection to compare with the store."""

    repair: bool = False
    """Repair what differs, and nothing else."""


class OrphansView(Model):
    """How many documents of one source that is gone the collection holds."""

    source_id: Uuid
    name: str | None
    documents: int


class VerifyResponse(Model):
    """How Chroma differed from the store, counted in chunks; `chunks` is the number in the store."""

    chunks: int
    missing: int
    different: int
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
    services = request.app[SERVICES]
    drift = await services.verify(target, wanted.repair)
    if drift.damaged and wanted.repair:
        services.wake()
    held = await services.store.progress.held_in(target)
    orphans = await services.store.absent_sources.orphans(target)
    left = {"held_deletes": dict(held), "orphans": [asdict(one) for one in orphans]}
    return json_answer({**asdict(drift), "repaired": wanted.repair, **left})


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
)
