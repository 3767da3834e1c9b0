"""The only way out for the browser: a proxy in this process that dials allowed addresses and nothing else.

A page has more ways to the network than can be intercepted in the browser (fetch, images, beacons, sockets, prefetch),
so the rule is enforced where all of them must pass.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

import structlog

from syncd.sources.web.addresses import AddressGuard, RefusedAddressError
from syncd.sources.web.urls import UrlError, normal

log = structlog.get_logger()

HEAD_BYTES = 64 << 10
HEAD_S = 10.0
RELAY_PIECE_BYTES = 64 << 10
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
HOP_HEADERS = (b"proxy-connection:", b"connection:", b"keep-alive:", b"proxy-authorization:", b"upgrade:")
BACKGROUND_HOSTS = (".google.com", ".googleapis.com", ".gstatic.com", ".gvt1.com", ".google-analytics.com")
"""Hosts of the browser's own background requests; sites on them can only be crawled without scripts."""


class FilteringProxy:
    """An HTTP proxy on a free loopback port; use it as an async context manager.

    `size_bytes` limits what one connection may receive. Every name is resolved here, and the address dialled is
    the one that was checked.
    """

    def __init__(self, guard: AddressGuard, size_bytes: int, connect_s: float, answer_s: float) -> None:
        self._guard = guard
        self._size_bytes = size_bytes
        self._connect_s = connect_s
        self._answer_s = answer_s
        self._tasks: set[asyncio.Task[None]] = set()
        self.refused: list[str] = []
        """The last 100 addresses that the browser was denied."""

    @property
    def url(self) -> str:
        """Return what to give the browser as its proxy."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            await self._forward(head, reader, writer)
        except asyncio.CancelledError:
            # Only __aexit__ cancels; asyncio's streams would log a cancelled task as an error.
            log.debug("web.proxy_closed", error="the crawl is over")
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            log.debug("web.proxy_closed", error=str(error))
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _forward(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect to the host of the request line, if that is allowed, and relay bytes both ways."""
        method, target, _ = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        tunnel = method == "CONNECT"
        try:
            url = normal(f"https://{target}" if tunnel else target)
            upstream = await self._dial(url.hostname.strip("[]"), url.port)
        except (UrlError, OSError) as error:
            self.refused = [*self.refused[-99:], target]
            log.debug("web.proxy_refused", target=target, error=str(error))
            writer.write(FORBIDDEN)
            await writer.drain()
            return
        up_reader, up_writer = await asyncio.open_connection(sock=upstream)
        try:
            if tunnel:
                writer.write(ESTABLISHED)
            else:
                local = url.path + (f"?{url.query}" if url.query else "")
                up_writer.write(rewritten(head, f"{method} {local} HTTP/1.1".encode("ascii")))
                async with asyncio.timeout(self._answer_s):
                    answer = await up_reader.readuntil(b"\r\n\r\n")
                writer.write(rewritten(answer, answer.split(b"\r\n", 1)[0]))
            await self._both_ways(reader, writer, up_reader, up_writer)
        finally:
            up_writer.close()

    async def _dial(self, host: str, port: int) -> socket.socket:
        """Return a connection to the first allowed address of `host`. Raises OSError."""
        if any(f".{host}".endswith(suffix) for suffix in BACKGROUND_HOSTS):
            raise RefusedAddressError(f"{host} belongs to the browser's background services")
        loop = asyncio.get_running_loop()
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        make = self._guard.socket_factory()
        problem: OSError = RefusedAddressError(f"{host} does not resolve")
        for family, kind, protocol, name, address in infos:
            try:
                made = make((family, kind, protocol, name, address))
            except RefusedAddressError as error:
                problem = error
                continue
            try:
                async with asyncio.timeout(self._connect_s):
                    await loop.sock_connect(made, address)
            except OSError as error:
                made.close()
                problem = error
                continue
            return made
        raise problem

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        """Relay until one side closes; both were told that the connection ends with this exchange."""
        copies = [
            asyncio.create_task(self._copy(reader, up_writer)),
            asyncio.create_task(self._copy(up_reader, writer)),
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        left = self._size_bytes
        with suppress(OSError, TimeoutError):
            while left > 0:
                async with asyncio.timeout(self._answer_s):
                    piece = await source.read(RELAY_PIECE_BYTES)
                if not piece:
                    return
                left -= len(piece)
                target.write(piece)
                await target.drain()


def rewritten(head: bytes, first_line: bytes) -> bytes:
    """Return the head of a message for one exchange only, with another first line."""
    lines = head.rstrip(b"\r\n").split(b"\r\n")[1:]
    kept = [line for line in lines if not line.lower().startswith(HOP_HEADERS)]
    return b"\r\n".join([first_line, *kept, b"Connection: close", b"", b""])
