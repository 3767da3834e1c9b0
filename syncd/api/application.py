"""The aiohttp application and the server that runs it, with limits on whatever untrusted clients may send."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import structlog
from aiohttp import web
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.api import (
    collection_list,
    collections,
    credentials,
    dead_letters,
    document_changes,
    documents,
    embedding,
    events,
    explain,
    health,
    incoming,
    invocations,
    login,
    made_questions,
    metrics,
    pages,
    reading,
    related,
    reruns,
    search,
    source_changes,
    sources,
    tokens,
    upload,
    warnings,
    webhooks,
)
from syncd.api.auth import WRONG_TOKENS, guarded
from syncd.api.chroma_gateway import ChromaGateway, NoGateway
from syncd.api.connections import ConnectionLimits, LimitedServer
from syncd.api.errors import shape_errors
from syncd.api.figures import LatestFigures
from syncd.api.openapi import document_route
from syncd.api.requests import continue_expected
from syncd.api.route import Route
from syncd.api.run_feed import RunFeed
from syncd.api.services import SERVICES, Services
from syncd.api.sessions import SESSIONS, Sessions
from syncd.api.shapes import SHAPES, SourceShapes
from syncd.api.upload_file import Slots
from syncd.api.wrong_tokens import WrongTokens
from syncd.errors import ConfigError
from syncd.runtime.sockets import BoundSockets, reachable

log = structlog.get_logger()

MAX_BODY_BYTES = 1 << 20
"""Limit on JSON bodies; uploads have their own."""
RESOURCES = (
    reruns,
    collection_list,
    collections,
    explain,
    documents,
    document_changes,
    warnings,
    upload,
    search,
    reading,
    related,
    made_questions,
    embedding,
    tokens,
    credentials,
    webhooks,
    incoming,
    dead_letters,
    health,
    metrics,
    events,
    login,
    pages,
)


def routes(shapes: SourceShapes, more: Sequence[Route] = ()) -> Iterator[Route]:
    """Yield every route; `shapes` holds the models of sources, `more` are other faces' routes, which are described with ours."""
    described = [*sources.routes(shapes), *source_changes.routes(shapes), *invocations.routes(shapes)]
    described += [route for resource in RESOURCES for route in resource.ROUTES]
    described += more
    yield from described
    yield document_route(described)


def create_app(
    services: Services, more: Sequence[Route] = (), gateway: ChromaGateway | NoGateway | None = None
) -> web.Application:
    """Return the application: every route, `more` included, behind its access rule, every error in the published format.

    `gateway` is served beside them; Chroma's own document describes its paths.
    """
    app = web.Application(middlewares=[shape_errors], client_max_size=MAX_BODY_BYTES)
    app[SERVICES] = services
    app[SHAPES] = SourceShapes.of(services.sources.types)
    app[sources.QUOTA_TURN] = anyio.Lock()
    app[upload.UPLOADS] = Slots(services.max_uploads)
    app[WRONG_TOKENS] = WrongTokens()
    app[metrics.LATEST_FIGURES] = LatestFigures(services)
    app[SESSIONS] = Sessions()
    app[events.STREAMS] = Slots(events.STREAMS_PER_TOKEN, "event streams")
    app[events.RUN_FEED] = feed = RunFeed(services)
    app.on_shutdown.append(lambda _: _ended(feed))
    app.on_response_prepare.append(pages.protect)
    passed_on = gateway.routes if gateway else ()
    if gateway:
        app.on_cleanup.append(gateway.close)
    for route in (*routes(app[SHAPES], more), *passed_on):
        app.router.add_route(route.method, route.path, guarded(route), expect_handler=continue_expected)
    return app


async def _ended(feed: RunFeed) -> None:
    feed.end()


class ApiServer:
    """The API as an actor, on `sockets`, which stay their owner's.

    `socket`: path of a Unix socket for this user's own programs; requests through it may name any folder on this machine.
    """

    name = "api"

    def __init__(
        self,
        app: web.Application,
        sockets: BoundSockets,
        limits: ConnectionLimits | None = None,
        socket: Path | None = None,
    ) -> None:
        self._app = app
        self._sockets = sockets
        self._limits = limits or ConnectionLimits()
        self._socket = socket

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, then let requests in progress finish. Raises ConfigError if the address is in use."""
        async with started(self._app, self._limits) as runner:
            for bound in self._sockets.duplicates():
                try:
                    await web.SockSite(runner, bound).start()
                except OSError as error:
                    raise ConfigError(f"cannot listen on {self._sockets.url} ({error}); choose another port") from error
            if self._socket is not None:
                await listen_privately(runner, self._socket)
            log.info("api.listening", url=self._sockets.url)
            task_status.started()
            await anyio.sleep_forever()


async def listen_privately(runner: web.BaseRunner, path: Path) -> None:
    """Serve on a Unix socket that only this user can open; a socket left by a killed daemon is replaced."""
    path.unlink(missing_ok=True)
    # The folder is private (0700) as well, so nobody else can connect before the chmod.
    with reachable(path) as short:
        await web.UnixSite(runner, short).start()
    path.chmod(0o600)


@asynccontextmanager
async def started(app: web.Application, limits: ConnectionLimits) -> AsyncGenerator[web.BaseRunner]:
    """Yield a runner that serves `app` within `limits`; leaving waits for requests in progress."""
    within = web.AppRunner(app)
    await within.setup()
    assert within.server is not None
    runner = web.ServerRunner(LimitedServer(within.server, limits), shutdown_timeout=limits.shutdown_s)
    await runner.setup()
    try:
        yield runner
    finally:
        with anyio.CancelScope(shield=True):
            # Those who follow something would be waited for.
            await app.shutdown()
            await runner.cleanup()
            await within.cleanup()
