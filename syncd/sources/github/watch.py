"""Notices that a branch has moved by polling its head (two small requests, no fetch)."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

import anyio

from syncd.errors import RetryableError, SyncdError
from syncd.sources.github.repository import Ref

MAX_BACKOFF_S = 900.0
JITTER = 0.1
"""Jitter, so that many sources do not poll at the same time."""


class Head(Protocol):
    """Resolves a ref to a commit; implemented by `GithubSource`."""

    async def head(self, ref: Ref) -> str:
        """Return the commit that `ref` points to now. Waits for the network. Raises SyncdError."""
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
        """`on_error` is called for every failed poll; none ends the watch, because the cause may pass."""
        self._source = source
        self._ref = ref
        self._interval_s = interval_s
        self._on_error = on_error
        self._sleep = sleep

    async def moves(self, seen: str | None = None) -> AsyncGenerator[str, None]:
        """Yield the branch's current commit unless it is `seen`, then each new one; never ends by itself.

        Polls again only after the caller took the last commit, so commits in quick succession are merged.
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
