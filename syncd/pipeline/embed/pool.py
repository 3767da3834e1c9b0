"""Pool of usable embedding servers: those that passed their check, until a request to them fails."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup

from syncd.errors import RetryableError
from syncd.pipeline.embed.servers import Server
from syncd.runtime.retry import Backoff, retrying

R = TypeVar("R")
log = structlog.get_logger()


class ServerPool:
    """Hands out each server `in_flight` times at once. `check` raises RetryableError for one that must not be used;
    it is asked again, after `backoff`, until it does not.
    """

    def __init__(
        self, servers: Sequence[Server], check: Callable[[Server], Awaitable[None]], backoff: Backoff, tasks: TaskGroup
    ) -> None:
        self._check = check
        self._backoff = backoff
        self._tasks = tasks
        self._failures: Counter[str] = Counter()
        self.usable = 0
        """The number of requests that could be in flight now."""
        self._put, self._ready = anyio.create_memory_object_stream[Server](math.inf)
        for server in servers:
            for _ in range(server.in_flight):
                tasks.start_soon(self._admit, server, 0.0)

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[ServerLease]:
        """Yield a server to ask, waiting until one is ready; the lease takes another when that one fails."""
        lease = ServerLease(self, await self.take())
        try:
            yield lease
        finally:
            lease.open()

    async def take(self) -> Server:
        """Wait until a server is ready and return it; give it `back`, or report it `lost`."""
        return await self._ready.receive()

    def back(self, server: Server) -> None:
        """Return a server that `take` gave to the pool."""
        self._put.send_nowait(server)

    def worked(self, server: Server) -> None:
        """Forget the server's failures."""
        del self._failures[server.url]

    def lost(self, server: Server, error: RetryableError) -> None:
        """Take a server that `take` returned out of the pool until it passes its check."""
        log.warning("model.server_lost", server=server.url, error=str(error))
        self.usable -= 1
        self._failures[server.url] += 1
        # A check may pass where requests keep failing: this wait is what keeps such a server from being hammered.
        wait_s = max(self._backoff.delay_s(self._failures[server.url]), error.retry_after_s or 0.0)
        self._tasks.start_soon(self._admit, server, wait_s)

    async def _admit(self, server: Server, wait_s: float) -> None:
        await anyio.sleep(wait_s)
        await retrying(lambda: self._check(server), self._backoff)
        self.usable += 1
        self._put.send_nowait(server)


class ServerLease:
    """Holds one server at a time."""

    def __init__(self, pool: ServerPool, server: Server) -> None:
        self._pool = pool
        self._server: Server | None = server

    async def ask(self, request: Callable[[Server], Awaitable[R]]) -> R:
        """Make one request to the leased server, or to the next one that is ready. A RetryableError takes it out of the pool."""
        if self._server is None:
            self._server = await self._pool.take()
        try:
            found = await request(self._server)
        except RetryableError as error:
            self._pool.lost(self._server, error)
            self._server = None
            raise
        self._pool.worked(self._server)
        return found

    def open(self) -> None:
        """Release the server. Twice is safe."""
        if self._server is not None:
            self._pool.back(self._server)
            self._server = None
