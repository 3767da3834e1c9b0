"""The aiohttp application and the server that runs it, with limits on whatever untrusted clients may send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import anyio
import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.api import (
    collections,
    credentials,
    dead_letters,
    documents,
    embedding,
    explain,
    health,
    invocations,
    made_questions,
    metrics,
    reading,
    related,
    reruns,
    search,
    source_changes,
    sources,
    tokens,
    upload,
    warnings,
)
from syncd.api.auth import WRONG_TOKENS, guarded
from syncd.api.chroma_gateway import ChromaGateway
from syncd.api.errors import error_response, shape_errors
from syncd.api.figures import LatestFigures
from syncd.api.openapi import document_route
from syncd.api.requests import continue_expected
from syncd.api.route import Route
from syncd.api.services import SERVICES, Services
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
    collections,
    explain,
    documents,
    warnings,
    upload,
    search,
    reading,
    related,
    made_questions,
    embedding,
    tokens,
    credentials,
    dead_letters,
    health,
    metrics,
)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Timeouts of one connection."""

    first_request_s: float = 20.0
    """A connection that has not sent a complete request head by then is closed."""
    keepalive_s: float = 75.0
    linger_s: float = 10.0
    """How long the rest of a rejected upload is read and discarded, so that its sender gets to read the response."""
    shutdown_s: float = 10.0
    """How long requests in progress may take to finish when the server stops."""


def routes(shapes: SourceShapes, more: Sequence[Route] = ()) -> Iterator[Route]:
    """Yield every route; `shapes` holds the models of sources, `more` are other faces' routes, which are described with ours."""
    described = [*sources.routes(shapes), *source_changes.routes(shapes), *invocations.routes(shapes)]
    described += [route for resource in RESOURCES for route in resource.ROUTES]
    described += more
    yield from described
    yield document_route(described)


def create_app(services: Services, more: Sequence[Route] = (), gateway: ChromaGateway | None = None) -> web.Application:
    """Return the application: every route, `more` included, behind its access rule, every error in the published format.

    `gateway` is served beside them; Chroma's own document describes its paths.
    """
    app = web.Application(middlewares=[shape_errors], client_max_size=MAX_BODY_BYTES)
    app[SERVICES] = services
    app[SHAPES] = SourceShapes.of(services.sources.types)
    app[upload.UPLOADS] = Slots(services.max_uploads)
    app[WRONG_TOKENS] = WrongTokens()
    app[metrics.LATEST_FIGURES] = LatestFigures(services)
    passed_on = gateway.routes if gateway else ()
    if gateway:
        app.on_cleanup.append(gateway.close)
    for route in (*routes(app[SHAPES], more), *passed_on):
        app.router.add_route(route.method, route.path, guarded(route), expect_handler=continue_expected)
    return app


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
    """Yield a runner that serves `app` with our own protocol; leaving waits for requests in progress."""
    within = web.AppRunner(app)
    await within.setup()
    assert within.server is not None
    runner = web.ServerRunner(_Server(within.server, limits), shutdown_timeout=limits.shutdown_s)
    await runner.setup()
    try:
        yield runner
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
            await within.cleanup()


class ConnectionOptions(TypedDict):
    """How connections are served, in aiohttp's words."""

    access_log: Any  # takes None, and does not say so
    keepalive_timeout: float
    lingering_time: float


class _Server(web.Server):
    """Serves as `plain` does, by `_Protocol`."""

    def __init__(self, plain: web.Server, limits: ConnectionLimits) -> None:
        self._first_request_s = limits.first_request_s
        self._options: ConnectionOptions = {
            "access_log": None,
            "keepalive_timeout": limits.keepalive_s,
            "lingering_time": limits.linger_s,
        }

        def heard(
            message: RawRequestMessage,
            payload: StreamReader,
            protocol: web.RequestHandler,
            writer: AbstractStreamWriter,
            task: asyncio.Task[None],
        ) -> web.BaseRequest:
            request = plain.request_factory(message, payload, protocol, writer, task)
            if isinstance(request.protocol, _Protocol):
                request.protocol.heard = True
            return request

        super().__init__(plain.request_handler, request_factory=heard, **self._options)

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, self._first_request_s, self._options)


class _Protocol(web.RequestHandler):
    """aiohttp's protocol, which alone sees unexpected exceptions, broken HTTP and connections that send nothing."""

    def __init__(self, server: web.Server, first_request_s: float, options: ConnectionOptions) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self.heard = False
        """Whether a complete request head has arrived."""
        self._first_request_s = first_request_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(self._first_request_s, self._close_if_silent)

    def _close_if_silent(self) -> None:
        if not self.heard:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond where no handler could: to a bug (500, logged with its traceback) or to bytes that are not HTTP (400)."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response had already begun")
        if status >= 500:
            log.error("api.failed", method=request.method, path=request.path, exc_info=exc)
            message = "internal error in syncd; see its log"
        answer = error_response(status if status >= 500 else 400, message or "the request is not valid HTTP")
        answer.force_close()
        return answer
