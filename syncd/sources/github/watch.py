"""Notices that a branch moved, by asking for its head now and then (two small requests, no fetch)."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

import anyio

from syncd.errors import RetryableError, SyncdError
from syncd.sources.github.repository import Ref

MAX_BACKOFF_S = 900.0
JITTER = 0.1
"""Keeps a machine with many sources from asking in step."""


class Head(Protocol):
    """Whoever knows what a ref is now: a `GithubSource`."""

    async def head(self, ref: Ref) -> str:
        """Return the commit. Raises SyncdError."""
        ...


class GithubWatcher:
    """Watches one branch of one source."""

    def __init__(
        self,
        source: Head,
        ref: Ref,
        interval_s: float,
        on_error: Callable[[SyncdError], None] = lambda error: None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """`on_error` hears of every failed look; none ends the watch: a branch, a server or a right may come back."""
        self._source = source
        self._ref = ref
        self._interval_s = interval_s
        self._on_error = on_error
        self._sleep = sleep

    async def moves(self, seen: str | None = None) -> AsyncGenerator[str, None]:
        """Yield the branch's commit now, unless it is `seen`, and then whenever it is another; never ends by itself.

        Looks again only after the caller took the last one, so commits that follow each other closely become one.
        """
        failures = 0
        while True:
            wait_s = self._interval_s
            try:
                head = await self._source.head(self._ref)
            except SyncdError as error:
                failures += 1
                self._on_error(error)
                wait_s = self._backoff_s(error, failures)
            else:
                failures = 0
                if head != seen:
                    seen = head
                    yield head
            await self._sleep(wait_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  # spreads load, hides nothing

    def _backoff_s(self, error: SyncdError, failures: int) -> float:
        wait_s = min(self._interval_s * 2 ** min(failures, 16), max(MAX_BACKOFF_S, self._interval_s))
        wish_s = error.retry_after_s if isinstance(error, RetryableError) else None
        return max(wait_s, wish_s or 0.0)
