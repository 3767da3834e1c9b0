"""`/metrics`, for Prometheus and whatever reads its format. An addition to the published API."""

from __future__ import annotations

from aiohttp import web
from anyio import to_thread

from syncd.api.auth import scope
from syncd.api.figures import LatestFigures
from syncd.api.route import Access, Route

LATEST_FIGURES = web.AppKey("latest_figures", LatestFigures)


async def show(request: web.Request) -> web.Response:
    """Return the daemon's figures in the Prometheus text format, up to five seconds old, without sources and collections of
    databases that the caller may not access.
    """
    from syncd.api.exposition import CONTENT_TYPE, exposition

    figures = await request.app[LATEST_FIGURES].get()
    body = await to_thread.run_sync(exposition, figures, scope(request))
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})


ROUTES = (
    Route(
        "GET",
        "/metrics",
        show,
        "get_metrics",
        "System",
        "Get the daemon's figures for Prometheus",
        {200: str},
        errors=(400, 401, 500),
        access=Access.BEARER,
        own=True,
    ),
)
