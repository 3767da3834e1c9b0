"""Connections of clients that may be slow, silent or broken: how long they may be that, and how each gets an answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, TypedDict

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from syncd.api.errors import error_response

log = structlog.get_logger()


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


class ConnectionOptions(TypedDict):
    """How connections are served, in aiohttp's words."""

    access_log: Any  # takes None, and does not say so
    keepalive_timeout: float
    lingering_time: float


class LimitedServer(web.Server):
    """Serves as `plain` does, within limits."""

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
        """Return what serves the next connection."""
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
