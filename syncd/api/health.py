"""Is the daemon able to work, and what is it doing."""

from __future__ import annotations

from aiohttp import web

from syncd.api.errors import RefusedError
from syncd.api.route import Access, Route, json_answer
from syncd.api.schema_search import Health, Status
from syncd.api.services import SERVICES


async def health(request: web.Request) -> web.Response:
    """Answer 200, or 503 with the reason."""
    reason = await request.app[SERVICES].health()
    if reason is not None:
        raise RefusedError(503, reason)
    return json_answer({"status": "ok"})


async def status(request: web.Request) -> web.Response:
    """Return the daemon's state."""
    return json_answer(dict(await request.app[SERVICES].status()))


ROUTES = (
    Route(
        "GET",
        "/health",
        health,
        "health_check",
        "System",
        "Get service health status",
        {200: Health},
        errors=(503,),
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
        errors=(401, 500),
    ),
)
