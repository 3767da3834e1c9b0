"""Logging browsers in and out. Additions to the published API."""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import Field

from syncd import __version__
from syncd.api.auth import BEARER_MAX_LENGTH, TOKEN, verify_token
from syncd.api.errors import RefusedError
from syncd.api.requests import read_json
from syncd.api.route import Access, Route, json_answer
from syncd.api.services import SERVICES
from syncd.api.sessions import SESSIONS, drop_session, session_key, set_session
from syncd.api.views import rfc3339
from syncd.json_types import JsonObject
from syncd.schema import Model, Moment, OwnModel
from syncd.store.tokens import Token, TokenAccess


class LogInPayload(OwnModel):
    """The token that the browser's session is to stand for."""

    token: Annotated[str, Field(min_length=1, max_length=BEARER_MAX_LENGTH)]


class SessionView(Model):
    """Whose token asks, and what that may do."""

    name: str
    """The token's."""
    databases: list[str] | None
    """Those that it covers; null: all of them, and administration."""
    access: TokenAccess
    expires_at: Moment | None
    default_model: str
    """What embeds the documents of sources that name no model."""
    version: str
    """The daemon's."""


async def log_in(request: web.Request) -> web.Response:
    """Set a cookie that stands for a token: for eight hours, until the daemon restarts, and no longer than the token is good."""
    payload = await read_json(request, LogInPayload)
    token = await verify_token(request, payload.token)
    if token is None:
        raise RefusedError(401, "the token is unknown, revoked or expired; create one with: syncd token create")
    sessions = request.app[SESSIONS]
    sessions.end(session_key(request))
    response = json_answer(_view(request, token))
    set_session(request, response, sessions.begin(token.id))
    return response


async def show(request: web.Request) -> web.Response:
    """Return whose token asks, by its session or itself."""
    return json_answer(_view(request, request[TOKEN]))


async def log_out(request: web.Request) -> web.Response:
    """End the browser's session."""
    request.app[SESSIONS].end(session_key(request))
    response = web.Response(status=204)
    drop_session(request, response)
    return response


def _view(request: web.Request, token: Token) -> JsonObject:
    return {
        "name": token.name,
        "databases": None if token.databases is None else sorted(token.databases),
        "access": token.access,
        "expires_at": rfc3339(token.expires_at) if token.expires_at else None,
        "default_model": request.app[SERVICES].default_embedding.model,
        "version": __version__,
    }


ROUTES = (
    Route(
        "POST",
        "/api/v1/session",
        log_in,
        "log_in",
        "Session",
        "Log a browser in with a token",
        {200: SessionView},
        errors=(400, 401, 403, 429, 500),
        body=LogInPayload,
        access=Access.OPEN,
        own=True,
    ),
    Route(
        "GET",
        "/api/v1/session",
        show,
        "get_session",
        "Session",
        "Get whose token asks",
        {200: SessionView},
        errors=(400, 401, 403, 500),
        own=True,
    ),
    # A token that may only read logs out as well.
    Route(
        "DELETE",
        "/api/v1/session",
        log_out,
        "log_out",
        "Session",
        "Log a browser out",
        {204: None},
        errors=(400, 401, 403, 500),
        only_reads=True,
        own=True,
    ),
)
