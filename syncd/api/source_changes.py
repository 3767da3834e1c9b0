"""Editing, pausing and resuming sources, and removing them with a decision on their documents. Additions to the published API."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal

from aiohttp import web

from syncd.api import patterns
from syncd.api.auth import named_source, own_source, requester, require_database, source_id_of, source_in_path
from syncd.api.errors import RefusedError, bad_request
from syncd.api.quotas import is_watched
from syncd.api.requests import read_json, validated
from syncd.api.route import Route, json_answer
from syncd.api.schema import SourceName
from syncd.api.services import SERVICES, Services
from syncd.api.shapes import SHAPES, SourceShapes
from syncd.api.sources import current_view, room_for
from syncd.json_types import JsonObject
from syncd.model import SourceRecord, UnreadableSettings
from syncd.quoting import shown
from syncd.schema import Model, OwnModel, made_model
from syncd.store.absent_sources import KEEP, PURGE, AbsentSource

INLINE_KEY = frozenset({"aws_access_key_id", "aws_secret_access_key"})
STORED_KEY = "aws_credential_id"


class RemovePayload(OwnModel):
    """What is to become of the documents of a source that is removed, or has been."""

    documents: Literal["keep", "purge", "hand_over"] = "keep"
    """`keep` leaves them in their collections, where a new source in the same place takes them over; `purge` deletes them."""
    to: str | None = None
    """The id or name of the source that gets them, for `hand_over`, in the same database; documents that it has itself are deleted."""


async def remove(request: web.Request) -> web.Response:
    """Delete a source, if it is there still, and decide on its documents; carried out in the background."""
    services = request.app[SERVICES]
    payload = await read_json(request, RemovePayload)
    source_id = patterns.uuid(await source_id_of(request, request.match_info["source_id"]), "source_id")
    absent = await services.store.absent_sources.get(source_id)
    if absent is not None:
        require_database(request, absent.database)
    removed = absent or await own_source(request, source_id)
    fate = await _fate(request, payload, removed)
    await services.store.sources.delete(source_id, fate)
    await services.store.absent_sources.decide(source_id, fate)
    services.wake()
    return web.Response(status=204)


async def _fate(request: web.Request, payload: RemovePayload, removed: SourceRecord | AbsentSource) -> str:
    if payload.documents == "keep":
        return KEEP
    # A declared source that was moved to another database may have documents in the one it was in.
    held_in = {it.target.database for it in await request.app[SERVICES].store.collections.of_source(removed.id)}
    for database in held_in:
        require_database(request, database)
    if payload.documents == "purge":
        return PURGE
    heir = await named_source(request, payload.to) if payload.to is not None else None
    if heir is None or heir.id == removed.id:
        raise bad_request("hand_over needs `to`: the id of another source")
    if elsewhere := held_in.union({removed.database}) - {heir.database}:
        raise bad_request(
            f"documents stay in their database, {shown(elsewhere.pop())}, and source {heir.name or heir.id} is in another one; "
            "hand them over to a source of theirs, or keep or purge them"
        )
    return heir.id


async def edit(request: web.Request) -> web.Response:
    """Change some settings of a source made through the API, or its name; what it keeps in step is compared with the settings at once."""
    services = request.app[SERVICES]
    source = await source_in_path(request)
    payload = await read_json(request, edit_payload(request.app[SHAPES]))
    if source.is_declared:
        raise RefusedError(409, f"source {source.name} is declared in the configuration file; change it there")
    changes: JsonObject | None = getattr(payload, source.type)
    is_renamed = "name" in payload.model_fields_set
    if changes is None and not is_renamed:
        raise bad_request(f"it is a source of type {source.type}; give that field, or name")
    if is_renamed and payload.name is not None:
        await services.store.source_names.require_free(source.database, payload.name, but=source.id)
    if changes is not None:
        await _change_settings(request, source, changes)
    if is_renamed:
        await services.store.source_names.rename(source.id, payload.name)
    services.wake()
    return json_answer(await current_view(services, await own_source(request, source.id)))


async def _change_settings(request: web.Request, source: SourceRecord, changes: JsonObject) -> None:
    services, shapes = request.app[SERVICES], request.app[SHAPES]
    given = validated(shapes.types[source.type].shape, merged_settings(services, source, changes))
    settings = services.sources.accept(source.type, given, asking := requester(request, source.database))
    if settings.place != source.settings.place:
        raise bad_request(f"the source's place is {source.settings.place}; make another source for {settings.place}")
    is_one_more = is_watched(settings) and not is_watched(source.settings)
    async with room_for(request, settings, of=source.id) if is_one_more else nullcontext():
        await services.store.sources.require_apart(source, settings)
        kept = await services.sources.keep_secrets(source.type, given, settings, asking)
        await services.store.sources.replace(source, source.database, kept, source.embedding, source.chunking)


def merged_settings(services: Services, source: SourceRecord, changes: JsonObject) -> JsonObject:
    """Return the settings as the API takes them, with the changes; null takes a setting out, a key takes another's place."""
    if isinstance(source.settings, UnreadableSettings):
        raise bad_request(source.settings.reason)
    known = services.sources.types[source.type]
    replaced = {STORED_KEY} if INLINE_KEY & changes.keys() else set[str]()
    values = known.codec.write(source.settings)
    kept = {name: value for name, value in values.items() if name in known.shape.model_fields and name not in replaced}
    return {**kept, **changes}


class EditBase(OwnModel):
    """Settings to change, by source type, and the source's name."""

    name: SourceName | None = None
    """What to call it from now on; null: nothing."""


def edit_payload(shapes: SourceShapes) -> type[EditBase]:
    """Return the model of an edit: some settings, in a field with the name of the source's type."""
    fields: dict[str, Any] = dict.fromkeys(shapes.types.names, (dict[str, Any] | None, None))
    return made_model("EditSourcePayload", EditBase, EditBase.__doc__, fields)


async def pause(request: web.Request) -> web.Response:
    """Do nothing more of what is asked of a source, and look at it no longer. What is asked meanwhile, by events too, is kept."""
    source = await source_in_path(request)
    await request.app[SERVICES].store.source_names.pause(source.id)
    return await _changed(request, source)


async def resume(request: web.Request) -> web.Response:
    """Go on with a source that is paused: what was kept is done, and what changed meanwhile is looked for."""
    source = await source_in_path(request)
    await request.app[SERVICES].store.source_names.resume(source.id)
    return await _changed(request, source)


async def _changed(request: web.Request, source: SourceRecord) -> web.Response:
    request.app[SERVICES].wake()
    return json_answer(await current_view(request.app[SERVICES], await own_source(request, source.id)))


def routes(shapes: SourceShapes) -> Sequence[Route]:
    """Return the routes."""
    source: type[Model] = shapes.source
    return (
        Route(
            "POST",
            "/api/v1/sources/{source_id}/edit",
            edit,
            "edit_source",
            "Source",
            "Edit source",
            {200: source},
            errors=(400, 401, 403, 404, 409, 500),
            body=edit_payload(shapes),
            own=True,
        ),
        Route(
            "POST",
            "/api/v1/sources/{source_id}/remove",
            remove,
            "remove_source",
            "Source",
            "Remove source and decide on its documents",
            {204: None},
            errors=(400, 401, 403, 404, 500),
            body=RemovePayload,
            own=True,
        ),
        *(
            Route(
                "POST",
                f"/api/v1/sources/{{source_id}}/{verb}",
                handler,
                f"{verb}_source",
                "Source",
                f"{verb.capitalize()} source",
                {200: source},
                own=True,
            )
            for verb, handler in (("pause", pause), ("resume", resume))
        ),
    )
