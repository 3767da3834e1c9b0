"""Syncing single documents again, and deleting them. Additions to the published API."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from syncd.api.auth import source_in_path
from syncd.api.errors import RefusedError, bad_request
from syncd.api.requests import read_json
from syncd.api.route import Route, json_answer
from syncd.api.schema_jobs import CreateJobResponse
from syncd.api.services import SERVICES
from syncd.model import Invocation, SourceRecord, Target
from syncd.quoting import shown
from syncd.schema import OwnModel
from syncd.search.reading import no_collection


class DocumentKeysPayload(OwnModel):
    """Documents of a source in one collection."""

    keys: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    """As `GET /api/v1/documents` lists them."""
    target_collection_name: str | None = None
    """The collection; null: the source's own."""


async def sync_again(request: web.Request) -> web.Response:
    """Fetch and prepare documents again, changed or not; what is indexed of them stays until it is replaced.

    Durable before the 201 is sent.
    """
    source, keys, target = await _asked(request)
    if source.facts.no_runs:
        raise bad_request(source.facts.no_runs)
    store = request.app[SERVICES].store
    await store.marks.forgive(source.id, keys)
    return _made(request, await store.document_requests.sync_again(source.id, target, keys))


async def delete(request: web.Request) -> web.Response:
    """Delete documents from a collection that the source does not keep in step; durable before the 201 is sent.

    A later run over the whole source brings back what it still has. 409 for a collection that is kept in step, where that run
    comes by itself, and while a run may bring one of them.
    """
    source, keys, target = await _asked(request)
    services = request.app[SERVICES]
    if await services.sources.keeps(source, target.collection):
        raise RefusedError(
            409,
            f"collection {shown(target.collection)} is kept in step with source {source.name or source.id}, whose next run would "
            "bring the documents back; remove them where they come from, or exclude them in the source's settings",
        )
    return _made(request, await services.store.document_requests.delete(source.id, target, keys))


async def _asked(request: web.Request) -> tuple[SourceRecord, list[str], Target]:
    source = await source_in_path(request)
    payload = await read_json(request, DocumentKeysPayload)
    collection = payload.target_collection_name or source.settings.default_collection
    if not collection:
        raise bad_request("target_collection_name is required: the source has no collection of its own")
    target, store = Target(source.database, collection), request.app[SERVICES].store
    if await store.collections.find(target) is None:
        raise await no_collection(store, target)
    return source, payload.keys, target


def _made(request: web.Request, invocation: Invocation) -> web.Response:
    request.app[SERVICES].wake()
    return json_answer({"invocation_id": invocation.id}, 201)


ROUTES = tuple(
    Route(
        "POST",
        f"/api/v1/sources/{{source_id}}/documents/{verb}",
        handler,
        f"{verb}_documents",
        "Source",
        summary,
        {201: CreateJobResponse},
        errors=(400, 401, 403, 404, 409, 500),
        body=DocumentKeysPayload,
        own=True,
    )
    for verb, handler, summary in (
        ("sync", sync_again, "Sync documents again"),
        ("delete", delete, "Delete documents"),
    )
)
