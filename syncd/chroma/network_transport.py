"""HTTP over sockets of our own server's network, for httpx; Chroma's client is built on that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx
from typing_extensions import override

from syncd.chroma.network import ServerNetwork


class NetworkTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport, but that its pool connects in the server's network."""

    def __init__(self, network: ServerNetwork, limits: httpx.Limits) -> None:
        super().__init__(verify=False, limits=limits)  # what that makes is replaced
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(network),
        )


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, network: ServerNetwork) -> None:
        self._network = network

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            made = self._network.new_socket()
            try:
                async with asyncio.timeout(timeout):
                    await asyncio.get_running_loop().sock_connect(made, (host, port))
                    return _Stream(*await asyncio.open_connection(sock=made))
            except BaseException:
                made.close()
                raise
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            async with asyncio.timeout(timeout):
                self._writer.write(buffer)
                await self._writer.drain()
        except TimeoutError as error:
            raise httpcore.WriteTimeout from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    @override
    async def aclose(self) -> None:
        self._writer.close()

    @override
    def get_extra_info(self, info: str) -> Any:
        """Return whether the server has ended an idle connection, which the pool then leaves."""
        if info == "is_readable":
            return self._reader.at_eof() or self._reader.exception() is not None
        return None
