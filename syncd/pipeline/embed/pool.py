"""Pool of usable embedding servers: those that passed their check, each given as many requests at once as it can bear.

How many is found as TCP finds how much a network bears (AIMD, RFC 5681): one more for every round of full requests that were
answered about as fast as the fastest ones, half as many when a server is too busy (429, 503) or fails, fewer when answers take long.
Requests begin small too, and hold more texts as long as the server takes them.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypeVar

import anyio
import structlog
from anyio.abc import TaskGroup

from syncd.errors import PermanentError, RetryableError
from syncd.pipeline.embed.servers import Server
from syncd.runtime.retry import Backoff, retrying

R = TypeVar("R")
log = structlog.get_logger()

_FIRST = 2.0
_TEXTS = 31
"""With a known text, text-embeddings-inference's default limit of 32, in both protocols that it speaks."""
_MOST_TEXTS = 127
_UNHURRIED, _SLOW = 1.5, 3.0
"""Times the fastest full request: so long answers may take for one more at once, and for as many. A server that computes one
after the other takes twice as long for two, which keep it busy while results travel.
"""
_FORGETS = 1.01
"""By so much the fastest request counts as slower with each one after it: servers and their neighbours change."""
_DECREASE, _BUSY = 0.75, 0.5
_FULL = 0.5
"""The share of a whole request from which on its time says something about the server."""


class Flow:
    """One server: how many requests it may have at once, how many permits for them exist, in use or not, and how many texts one
    may hold.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.limit = min(_FIRST, server.in_flight)
        self.texts = _TEXTS
        self.permits = 0
        self.asked = 0
        """The requests under way."""
        self.failures = 0
        self.is_checked = True
        """Whether it is being checked, or waits for that."""
        self._most_texts = _TEXTS if server.protocol == "tei" else _MOST_TEXTS
        self._best_s = math.inf
        self._decreased_at = -math.inf

    def answered(self, began_at: float, now: float, texts: int, share: float) -> None:
        """Take account of an answer, as of now, to a request that began at `began_at` and was `share` of a whole one."""
        self.failures = 0
        if texts >= self.texts:
            self.texts = min(2 * texts + 1, self._most_texts)
        if share < _FULL:
            return
        took_s = now - began_at
        self._best_s = min(self._best_s * _FORGETS, took_s)
        if took_s > _SLOW * self._best_s:
            self.decrease(began_at, now, _DECREASE)
        elif took_s <= _UNHURRIED * self._best_s and self.asked >= int(self.limit):
            self.limit = min(self.limit + 1 / self.limit, self.server.in_flight)

    def refused(self, texts: int) -> None:
        """Take account of a refusal: of a text, or of so many."""
        if texts > _TEXTS:
            self.texts = self._most_texts = _TEXTS

    def decrease(self, began_at: float, now: float, factor: float) -> None:
        """Allow fewer requests, once for all that were under way together."""
        if began_at >= self._decreased_at:
            self.limit = max(self.limit * factor, 1.0)
            self._decreased_at = now


class ServerPool:
    """Hands out each server as many times at once as it can bear, `in_flight` at most. `check` raises RetryableError for one that
    must not be used; it is asked again, after `backoff`, until it does not.
    """

    def __init__(
        self, servers: Sequence[Server], check: Callable[[Server], Awaitable[None]], backoff: Backoff, tasks: TaskGroup
    ) -> None:
        self._check = check
        self._backoff = backoff
        self._tasks = tasks
        self._flows = [Flow(server) for server in servers]
        self._stranded = 0
        """Those with work in hand who wait for another server."""
        self._put, self._ready = anyio.create_memory_object_stream[Flow](math.inf)
        for flow in self._flows:
            tasks.start_soon(self._admit, flow, 0.0)

    @property
    def usable(self) -> int:
        """The number of requests that could be in flight now."""
        return sum(flow.permits for flow in self._flows)

    @property
    def usable_urls(self) -> Sequence[str]:
        """The servers that passed their check and have not failed since."""
        return [flow.server.url for flow in self._flows if not flow.is_checked]

    @property
    def unusable_urls(self) -> Sequence[str]:
        """The servers that have yet to pass their check."""
        return [flow.server.url for flow in self._flows if flow.is_checked]

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator[ServerLease]:
        """Yield a server to ask, waiting until one is ready; the lease takes another when that one fails, before those who have yet
        to begin.
        """
        flow = await self._take()
        while self._stranded:
            self.back(flow)
            flow = await self._take()
        lease = ServerLease(self, flow)
        try:
            yield lease
        finally:
            lease.open()

    async def another(self) -> Flow:
        """Wait until a server is ready, for work in hand, and return it; give it `back`, or report it `lost`."""
        self._stranded += 1
        try:
            return await self._take()
        finally:
            self._stranded -= 1

    def back(self, flow: Flow) -> None:
        """Return a server to the pool."""
        if flow.permits > flow.limit:
            flow.permits -= 1
        else:
            self._put.send_nowait(flow)

    def worked(self, flow: Flow) -> None:
        """Hand the server out as often as it may be by now."""
        if not flow.is_checked:
            self._fill(flow)

    def lost(self, flow: Flow, error: RetryableError, began_at: float) -> None:
        """Take a server back: no further request is added until the server passes its check."""
        log.warning("model.server_lost", server=flow.server.url, error=str(error))
        flow.permits -= 1
        flow.decrease(began_at, monotonic(), _BUSY)
        if flow.is_checked:
            return
        flow.is_checked = True
        flow.failures += 1
        # A check may pass where requests keep failing: this wait is what keeps such a server from being hammered.
        wait_s = max(self._backoff.delay_s(flow.failures), error.retry_after_s or 0.0)
        self._tasks.start_soon(self._admit, flow, wait_s)

    async def _take(self) -> Flow:
        return await self._ready.receive()

    async def _admit(self, flow: Flow, wait_s: float) -> None:
        await anyio.sleep(wait_s)
        await retrying(lambda: self._check(flow.server), self._backoff)
        flow.is_checked = False
        self._fill(flow)

    def _fill(self, flow: Flow) -> None:
        while flow.permits < int(flow.limit):
            flow.permits += 1
            self._put.send_nowait(flow)


class ServerLease:
    """Holds one server at a time."""

    def __init__(self, pool: ServerPool, flow: Flow) -> None:
        self._pool = pool
        self._flow: Flow | None = flow

    @property
    def texts(self) -> int:
        """How many texts a request may hold."""
        return self._flow.texts if self._flow else _TEXTS

    async def ask(self, request: Callable[[Server], Awaitable[R]], texts: int, share: float) -> R:
        """Make one request of so many texts, `share` of a whole one, to the leased server, or to the next one that is ready. A
        RetryableError takes it out of the pool.
        """
        if self._flow is None:
            self._flow = await self._pool.another()
        flow, began_at = self._flow, monotonic()
        flow.asked += 1
        try:
            found = await request(flow.server)
        except RetryableError as error:
            self._flow = None
            self._pool.lost(flow, error, began_at)
            raise
        except PermanentError:
            flow.refused(texts)
            raise
        else:
            flow.answered(began_at, monotonic(), texts, share)
            self._pool.worked(flow)
        finally:
            flow.asked -= 1
        return found

    def open(self) -> None:
        """Release the server. Twice is safe."""
        if self._flow is not None:
            self._pool.back(self._flow)
            self._flow = None
