"""Tokens: create, list, revoke. Only for tokens that are not limited to databases."""

from __future__ import annotations

from aiohttp import web

from syncd.api.errors import RefusedError
from syncd.api.requests import read_json
from syncd.api.route import Access, Route, json_answer
from syncd.api.schema_search import CreateTokenPayload, CreateTokenResponse, TokenView
from syncd.api.services import SERVICES
from syncd.api.views import rfc3339
from syncd.json_types import JsonObject
from syncd.quoting import shown
from syncd.store.tokens import Token


async def create(request: web.Request) -> web.Response:
    """Create a token; this response is the only one that contains it."""
    payload = await read_json(request, CreateTokenPayload)
    databases = None if payload.databases is None else frozenset(payload.databases)
    token = await request.app[SERVICES].store.tokens.create(payload.name, databases, payload.access, payload.expires_at)
    return json_answer({"token": token}, 201)


async def index(request: web.Request) -> web.Response:
    """List all tokens without their secrets, oldest first."""
    tokens = await request.app[SERVICES].store.tokens.list()
    return json_answer([_view(token) for token in tokens])


async def delete(request: web.Request) -> web.Response:
    """Revoke a token, with immediate effect. The last administrator's stays (409)."""
    token_id = request.match_info["token_id"]
    if not await request.app[SERVICES].store.tokens.revoke(token_id):
        raise RefusedError(404, f"token {shown(token_id)} does not exist; list tokens to find its id")
    return web.Response(status=204)


def _view(token: Token) -> JsonObject:
    return {
        "id": token.id,
        "name": token.name,
        "databases": None if token.databases is None else sorted(token.databases),
        "access": token.access,
        "expires_at": rfc3339(token.expires_at) if token.expires_at else None,
    }


ROUTES = (
    Route(
        "POST",
        "/api/v1/tokens",
        create,
        "create_token",
        "Token",
        "Create token",
        {201: CreateTokenResponse},
        body=CreateTokenPayload,
        access=Access.ADMIN,
        own=True,
    ),
    Route(
        "GET",
        "/api/v1/tokens",
        index,
        "list_tokens",
        "Token",
        "List tokens",
        {200: [TokenView]},
        access=Access.ADMIN,
        own=True,
    ),
    Route(
        "DELETE",
        "/api/v1/tokens/{token_id}",
        delete,
        "delete_token",
        "Token",
        "Revoke token",
        {204: None},
        errors=(400, 401, 403, 404, 409, 500),
        access=Access.ADMIN,
        own=True,
    ),
)
