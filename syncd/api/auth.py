"""Authentication, and which databases a caller may access."""

from __future__ import annotations

import socket

from aiohttp import web

from syncd.api import patterns
from syncd.api.errors import AWAY_STATUS, RefusedError, bad_request
from syncd.api.hosts import require_own_host, require_own_page
from syncd.api.requests import require_known_parameters
from syncd.api.route import Access, Route, RouteHandler
from syncd.api.services import SERVICES
from syncd.api.sessions import SESSIONS, session_key
from syncd.api.wrong_tokens import WrongTokens
from syncd.model import SourceRecord
from syncd.quoting import shown
from syncd.sources.factory import Requester
from syncd.store.tokens import Token

TOKEN_HEADER = "x-chroma-token"  # noqa: S105 - the header's name
TOKEN = web.RequestKey("token", Token)
WRONG_TOKENS = web.AppKey("wrong_tokens", WrongTokens)
BEARER_MAX_LENGTH = 512
BEARER = "Bearer "
ANYBODY = Token(id="", name="anybody", databases=frozenset())
"""Stands for a caller without a token. It covers no database; each route decides what such callers may do."""


def guarded(route: Route) -> RouteHandler:
    """Return the route's handler behind its access rule."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if 503 in route.errors:
            request[AWAY_STATUS] = 503
        request[TOKEN] = token = await _identify(request, route.access)
        if token.access == "read" and not route.reads:
            raise RefusedError(403, "the token may only read; use one that may write")
        if route.own:
            require_known_parameters(request, route.query)
        return await route.handle(request)

    return handle


def scope(request: web.Request) -> frozenset[str] | None:
    """Return the databases that the caller may access; None: all."""
    return request[TOKEN].databases


def require_database(request: web.Request, database: str) -> None:
    """Raise RefusedError (403) unless the caller's token covers `database`."""
    databases = scope(request)
    if databases is not None and database not in databases:
        raise RefusedError(403, "the token does not cover this database; use one that does")


def is_anybody(request: web.Request) -> bool:
    """Return whether the caller sent no token."""
    return request[TOKEN] is ANYBODY


async def is_still_allowed(request: web.Request) -> bool:
    """Return whether the token or session that a long request began with is good still."""
    try:
        await _identify(request, Access.TOKEN)
    except RefusedError:
        return False
    return True


def requester(request: web.Request, database: str) -> Requester:
    """Return who asks for a source of `database`."""
    return Requester(database, is_trusted=came_privately(request), is_unlimited=scope(request) is None)


async def source_id_of(request: web.Request, given: str) -> str:
    """Return the id of the caller's source that has this name, or what was `given` where none has. Raises RefusedError (400)."""
    if patterns.is_uuid(given):
        return given
    found = await request.app[SERVICES].store.source_names.ids(given, scope(request))
    if len(found) > 1:
        raise bad_request(f"{len(found)} sources are called {shown(given)}; give the id of one: {', '.join(found)}")
    return found[0] if found else given


async def source_in_path(request: web.Request) -> SourceRecord:
    """Return the source in the path, by its id or its name. Raises RefusedError: 400 neither, 404 unknown, 403 in another database."""
    return await named_source(request, request.match_info["source_id"])


async def named_source(request: web.Request, given: str) -> SourceRecord:
    """Return a source that the caller may access, by its id or its name. Raises RefusedError as `source_in_path` does."""
    return await own_source(request, patterns.uuid(await source_id_of(request, given), "source_id"))


async def own_source(request: web.Request, source_id: str) -> SourceRecord:
    """Return a source that the caller may access. Raises RefusedError: 404 unknown, 403 in another database."""
    source = await request.app[SERVICES].store.sources.get(source_id)
    if source is None:
        raise RefusedError(404, f"source {source_id} does not exist; list sources to find its id")
    require_database(request, source.database)
    return source


async def _identify(request: web.Request, access: Access) -> Token:
    if access is Access.SIGNED:
        return ANYBODY
    services = request.app[SERVICES]
    secret = _secret(request, access)
    token = None if access is Access.OPEN else await verify_token(request, secret)
    if not secret and access in (Access.TOKEN, Access.ADMIN):
        token = await _of_session(request)
    if token is None and (access is Access.OPEN or (access is Access.LOCAL and services.loopback)):
        # Off loopback only OPEN routes get here, and probes call them by whatever name the machine has.
        if services.loopback and not came_privately(request):
            require_own_host(request, services.hosts)
        return ANYBODY
    if token is None and not secret:
        raise RefusedError(401, f"send a token in the header {TOKEN_HEADER}; create one with: syncd token create")
    if token is None:
        raise RefusedError(401, "the token is unknown, revoked or expired; create one with: syncd token create")
    if access is Access.ADMIN and token.databases is not None:
        raise RefusedError(403, "this needs a token that is not limited to databases")
    return token


async def _of_session(request: web.Request) -> Token | None:
    token_id = request.app[SESSIONS].token_id(session_key(request))
    if token_id is None:
        return None
    require_own_page(request)
    return await request.app[SERVICES].store.tokens.get(token_id)


async def verify_token(request: web.Request, secret: str) -> Token | None:
    """Return the token with this secret, None if none is good. Raises RefusedError (429) if its sender's address tried too many."""
    # Header bytes that are not ASCII arrive as lone surrogates; our tokens contain none.
    if not secret.isascii() or not 0 < len(secret) <= BEARER_MAX_LENGTH:
        return None
    tokens, wrong = request.app[SERVICES].store.tokens, request.app[WRONG_TOKENS]
    if came_privately(request):
        return await tokens.verify(secret)
    wrong.require_room(request.remote or "", secret)
    token = await tokens.verify(secret)
    wrong.note_good(secret) if token else wrong.note_wrong(request.remote or "", secret)
    return token


def _secret(request: web.Request, access: Access) -> str:
    bearer = request.headers.get("authorization", "")
    # The embedding functions that Chroma persists can send a bearer token, but no custom header; neither can some agents.
    if access in (Access.LOCAL, Access.BEARER) and TOKEN_HEADER not in request.headers and bearer.startswith(BEARER):
        return bearer.removeprefix(BEARER)
    return request.headers.get(TOKEN_HEADER, "")


def came_privately(request: web.Request) -> bool:
    """Return whether the request came through the Unix socket, which only the daemon's own user can open."""
    connection = request.transport and request.transport.get_extra_info("socket")
    return connection is not None and connection.family == socket.AF_UNIX
