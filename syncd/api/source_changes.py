"""Editing sources and removing them with a decision on their documents. Additions to the published API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from aiohttp import web

from syncd.api.auth import own_source, requester, require_database
from syncd.api.errors import RefusedError, bad_request
from syncd.api.quotas import is_watched
from syncd.api.requests import path_id, read_json, validated
from syncd.api.route import Route, json_answer
from syncd.api.services import SERVICES, Services
from syncd.api.shapes import SHAPES, SourceShapes
from syncd.api.sources import current_view, require_room
from syncd.json_types import JsonObject
from syncd.model import SourceRecord, UnreadableSettings
from syncd.schema import Model, OwnModel, Uuid, made_model
from syncd.store.absent_sources import KEEP, PURGE

INLINE_KEY = frozenset({"aws_access_key_id", "aws_secret_access_key"})
STORED_KEY = "aws_credential_id"


class RemovePayload(OwnModel):
    """What is to become of the documents of a source that is removed, or has been."""

    documents: Literal["keep", "purge", "hand_over"] = "keep"
    """`keep` leaves them in their collections, where a new source in the same place takes them over; `purge` deletes them."""
    to: Uuid | None = None
    """The source that gets them, for `hand_over`; documents that it has itself are deleted."""


async def remove(request: web.Request) -> web.Response:
    """Delete a source, if it is there still, and decide on its documents; carried out in the background."""
    services = request.app[SERVICES]
    payload = await read_json(request, RemovePayload)
    source_id = path_id(request, "source_id")
    absent = await services.store.absent_sources.get(source_id)
    if absent is None:
        await own_source(request, source_id)
    else:
        require_database(request, absent.database)
    fate = await _fate(request, payload, source_id)
    await services.store.sources.delete(source_id, fate)
    await services.store.absent_sources.decide(source_id, fate)
    services.wake()
    return web.Response(status=204)


async def _fate(request: web.Request, payload: RemovePayload, source_id: str) -> str:
    if payload.documents != "hand_over":
        return PURGE if payload.documents == "purge" else KEEP
    if payload.to is None or payload.to == source_id:
        raise bad_request("hand_over needs `to`: the id of another source")
    return (await own_source(request, payload.to)).id


async def edit(request: web.Request) -> web.Response:
    """Change some settings of a source made through the API; what it keeps in step is compared with them at once."""
    services, shapes = request.app[SERVICES], request.app[SHAPES]
    source = await own_source(request, path_id(request, "source_id"))
    payload = await read_json(request, edit_payload(shapes))
    if source.name is not None:
        raise RefusedError(409, f"source {source.name} is declared in the configuration file; change it there")
    changes: JsonObject | None = getattr(payload, source.type)
    if changes is None:
        raise bad_request(f"it is a source of type {source.type}; give that field")
    given = validated(shapes.types[source.type].shape, merged_settings(services, source, changes))
    settings = services.sources.accept(source.type, given, asking := requester(request, source.database))
    if settings.place != source.settings.place:
        raise bad_request(f"the source's place is {source.settings.place}; make another source for {settings.place}")
    if is_watched(settings) and not is_watched(source.settings):
        await require_room(request, settings, of=source.id)
    await services.store.sources.require_apart(source, settings)
    kept = await services.sources.keep_secrets(source.type, given, settings, asking)
    await services.store.sources.replace(source, source.database, kept, source.embedding, source.chunking)
    services.wake()
    return json_answer(await current_view(services, await own_source(request, source.id)))


def merged_settings(services: Services, source: SourceRecord, changes: JsonObject) -> JsonObject:
    """Return the settings as the API takes them, with the changes; null takes a setting out, a key takes another's place."""
    if isinstance(source.settings, UnreadableSettings):
        raise bad_request(source.settings.reason)
    known = services.sources.types[source.type]
    replaced = {STORED_KEY} if INLINE_KEY & changes.keys() else set[str]()
    values = known.codec.write(source.settings)
    kept = {name: value for name, value in values.items() if name in known.shape.model_fields and name not in replaced}
    return {**kept, **changes}


def edit_payload(shapes: SourceShapes) -> type[OwnModel]:
    """Return the model of an edit: some settings, in a field with the name of the source's type."""
    fields: dict[str, Any] = dict.fromkeys(shapes.types.names, (dict[str, Any] | None, None))
    return made_model("EditSourcePayload", OwnModel, "Settings to change, by source type.", fields)


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
    )
