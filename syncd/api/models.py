"""Which models a caller may have texts embedded with.

Callers without a token cannot cause downloads or start unused models: they may embed queries of existing collections, with
models whose files are here. A token covers the models of its databases; an unlimited one covers every model.
"""

from __future__ import annotations

from aiohttp import web

from syncd.api.auth import is_anybody, require_database, scope
from syncd.api.errors import RefusedError
from syncd.api.services import SERVICES
from syncd.chroma.shape import is_bm25
from syncd.model import Target
from syncd.quoting import shown


async def require_collection(request: web.Request, target: Target) -> None:
    """Raise RefusedError unless the caller may embed queries of a collection.

    403 for a database that the token does not cover, whatever it holds. Without a token 404, both for a collection that
    does not exist and for one whose model is not here.
    """
    if not is_anybody(request):
        require_database(request, target.database)
        return
    services = request.app[SERVICES]
    record = await services.store.collections.find(target)
    if record is None or not services.at_hand(record.embedding.model):
        raise RefusedError(
            404,
            f"no model is available to embed queries of {shown(f'{target.database}/{target.collection}')}; sync something "
            "into it first, or send a token",
        )


async def require_model(request: web.Request, name: str) -> None:
    """Raise RefusedError (404) unless the caller may use a model by its name."""
    services = request.app[SERVICES]
    if not is_anybody(request) and scope(request) is None:
        return
    if is_bm25(name) and name in services.sparse_models:
        return
    if not services.at_hand(name) or not await _is_used(request, name):
        raise RefusedError(
            404,
            f"model {shown(name)} is not in use here; sync something with it first, or send a token that may use it",
        )


async def _is_used(request: web.Request, name: str) -> bool:
    """Return whether a collection that the caller may access has vectors of a model."""
    covered = None if is_anybody(request) else scope(request)
    return any(
        name in (record.embedding.model, record.embedding.sparse_model)
        for record in await request.app[SERVICES].store.collections.all()
        if covered is None or record.target.database in covered
    )
