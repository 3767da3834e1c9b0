"""Health and status of the daemon."""

from __future__ import annotations

from aiohttp import web

from syncd.api.auth import scope
from syncd.api.errors import RefusedError
from syncd.api.route import Access, Route, json_answer
from syncd.api.schema_search import Health, Status
from syncd.api.services import SERVICES
from syncd.json_types import JsonObject, json_object
from syncd.redaction import redacted_json

EVERYBODYS = frozenset({"actors", "collections", "queues", "source_problems", "lags", "shadows", "webhooks"})
"""Parts of the status that span databases; only for tokens that are not limited to databases."""


async def health(request: web.Request) -> web.Response:
    """Respond 200, with the numbers of sources whose watch is failing, that are late and that are damaged and of webhooks that fail, and with
    what is degraded, or 503 with the reason the daemon cannot work.
    """
    services = request.app[SERVICES]
    reason = await services.health()
    if reason is not None:
        raise RefusedError(503, reason)
    failing = sum(watch.failing_since is not None for watch in services.watches().values())
    late = sum(standing.is_late for standing in (await services.standings()).values())
    damaged = len(await services.store.source_names.damaged())
    refusing = sum(webhook.failing_since is not None for webhook in await services.store.webhooks.states())
    found = {
        "failing_sources": failing,
        "late_sources": late,
        "damaged_sources": damaged,
        "failing_webhooks": refusing,
        "degraded": list(services.degraded()),
    }
    return json_answer({"status": "ok", **{name: value for name, value in found.items() if value}})


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
