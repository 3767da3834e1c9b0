"""Recreating a collection in Chroma from what syncd has stored. An addition."""

from __future__ import annotations

from aiohttp import web

from syncd.api.auth import require_database
from syncd.api.requests import read_json
from syncd.api.route import Route, json_answer
from syncd.api.schema_base import Model
from syncd.api.services import SERVICES
from syncd.model import Target


class RebuildPayload(Model):
    """The collection to rebuild."""

    database_name: str
    collection_name: str


class RebuildResponse(Model):
    """How many chunks the collection holds now."""

    chunks: int


async def rebuild(request: web.Request) -> web.Response:
    """Delete a collection and fill it again, without fetching or embedding anything; answers when it is done."""
    wanted = await read_json(request, RebuildPayload)
    require_database(request, wanted.database_name)
    chunks = await request.app[SERVICES].rebuild(Target(wanted.database_name, wanted.collection_name))
    return json_answer({"chunks": chunks})


ROUTES = (
    Route(
        "POST",
        "/api/v1/rebuild",
        rebuild,
        "rebuild_collection",
        "Collection",
        "Recreate a collection from the store",
        {200: RebuildResponse},
        body=RebuildPayload,
    ),
)
