"""The streamable-HTTP endpoint: the official SDK's transport behind the API's port, tokens and limits.

Each request is answered by itself, as JSON: no session is kept, so that nothing is lost when the daemon restarts.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import anyio
from aiohttp import web
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from syncd.api.auth import scope
from syncd.api.requests import read_body
from syncd.api.route import Access, Route
from syncd.api.services import Services
from syncd.errors import RetryableError
from syncd.mcp.tools import Toolbox

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    from syncd.mcp.server import Context

PATH = "/mcp"
DATABASES = "syncd.databases"
"""Where an ASGI scope has the databases that the caller may access."""


LOAD_LIMIT_S = 30.0
"""How long the first request waits for the SDK to be loaded."""


class McpEndpoint:
    """An actor: requests are answered while it runs. The SDK, which takes a second and 22 MiB, is loaded for the first of them."""

    name = "mcp"

    def __init__(self, services: Services) -> None:
        self._services = services
        self._wanted, self._ready = anyio.Event(), anyio.Event()
        self._manager: StreamableHTTPSessionManager | None = None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Answer requests until cancelled."""
        task_status.started()
        await self._wanted.wait()
        async with (await anyio.to_thread.run_sync(self._load)).run():
            self._ready.set()
            try:
                await anyio.sleep_forever()
            finally:
                self._manager, self._ready = None, anyio.Event()

    def _load(self) -> StreamableHTTPSessionManager:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from syncd.mcp.server import make_server

        self._manager = StreamableHTTPSessionManager(make_server(self._toolbox), json_response=True, stateless=True)
        return self._manager

    @property
    def route(self) -> Route:
        """The endpoint's route. Its bodies are those of the Model Context Protocol."""
        return Route(
            "POST",
            PATH,
            self.answer,
            "mcp",
            "Search",
            "Tools for agents (Model Context Protocol, streamable HTTP)",
            {200: None},
            access=Access.BEARER,
            only_reads=True,
        )

    async def answer(self, request: web.Request) -> web.Response:
        """Pass one request to the SDK and return its answer."""
        body = await read_body(request)
        self._wanted.set()
        with anyio.move_on_after(LOAD_LIMIT_S):
            await self._ready.wait()
        manager, answered = self._manager, _Answer(body)
        if manager is None or not self._ready.is_set():
            raise RetryableError("the endpoint for agents is starting; call again")
        await manager.handle_request(asgi_scope(request), answered.receive, answered.send)
        return web.Response(status=answered.status, headers=answered.headers, body=bytes(answered.body))

    def _toolbox(self, context: Context) -> Toolbox:
        assert context.request is not None, "the transport hands every request on"
        return Toolbox(self._services, context.request.scope[DATABASES])


def asgi_scope(request: web.Request) -> MutableMapping[str, Any]:
    """Return a request as an ASGI scope."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": request.query_string.encode(),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        DATABASES: scope(request),
    }


class _Answer:
    """Both ends of one ASGI call: the body goes in, the response is gathered."""

    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self.status = 500
        self.headers: dict[str, str] = {}
        self.body = bytearray()

    async def receive(self) -> MutableMapping[str, Any]:
        if self._body is None:
            await anyio.sleep_forever()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = {name.decode(): value.decode() for name, value in message["headers"]}
            self.headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
        else:
            self.body += message.get("body", b"")
