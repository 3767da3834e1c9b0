"""Health and status of the daemon, and what its address shows in a browser."""

from __future__ import annotations

from aiohttp import web

from syncd import __version__
from syncd.api.auth import scope
from syncd.api.errors import RefusedError
from syncd.api.route import Access, Route, json_answer
from syncd.api.schema_search import Health, Status
from syncd.api.services import SERVICES
from syncd.json_types import JsonObject, json_object
from syncd.redaction import redacted_json
from syncd.schema import Model

EVERYBODYS = frozenset({"collections", "queues", "source_problems", "lags", "shadows"})
"""Parts of the status that span databases; only for tokens that are not limited to databases."""


class Welcome(Model):
    """What somebody is told who opens the daemon's address in a browser."""

    name: str
    version: str
    description: str
    openapi: str
    """Where the API is described."""
    health: str
    token: str
    """How to get the token that all other requests need."""


async def welcome(request: web.Request) -> web.Response:
    """Say what this is, and where the API is described."""
    told = Welcome(
        name="syncd",
        version=__version__,
        description="keeps Chroma collections in sync with their sources; `syncd status` shows how they are",
        openapi="/openapi.json",
        health="/health",
        token="the header x-chroma-token needs one: `syncd token create NAME` makes it",  # noqa: S106 - says how to get one
    )
    return json_answer(told.model_dump())


async def health(request: web.Request) -> web.Response:
    """Respond 200, with the numbers of sources whose watch is failing and that are late, or 503 with the reason the daemon cannot work."""
    services = request.app[SERVICES]
    reason = await services.health()
    if reason is not None:
        raise RefusedError(503, reason)
    failing = sum(watch.failing_since is not None for watch in services.watches().values())
    late = sum(standing.is_late for standing in (await services.standings()).values())
    found = {"failing_sources": failing, "late_sources": late}
    return json_answer({"status": "ok", **{name: sources for name, sources in found.items() if sources}})


async def status(request: web.Request) -> web.Response:
    """Return the daemon's state, without sources and queues of databases that the caller may not access, nor where Chroma is."""
    state = await request.app[SERVICES].status()
    return json_answer(redacted_json(state if scope(request) is None else _limited(state)))


def _limited(state: JsonObject) -> JsonObject:
    # Our own Chroma asks nobody who he is.
    chroma = {name: value for name, value in json_object(state.get("chroma")).items() if name not in ("host", "port")}
    return {name: value for name, value in state.items() if name not in EVERYBODYS} | {"chroma": chroma}


ROUTES = (
    Route(
        "GET",
        "/",
        welcome,
        "welcome",
        "System",
        "Say what this is",
        {200: Welcome},
        errors=(400, 403),
        access=Access.OPEN,
        own=True,
    ),
    Route(
        "GET",
        "/health",
        health,
        "health_check",
        "System",
        "Get service health status",
        {200: Health},
        errors=(403, 503),
        access=Access.OPEN,
    ),
    Route(
        "GET",
        "/api/v1/status",
        status,
        "get_status",
        "System",
        "Get the daemon's state",
        {200: Status},
        errors=(400, 401, 500),
        own=True,
    ),
)
