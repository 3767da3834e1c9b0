"""Notices that a branch has moved by polling its head (two small requests, no fetch)."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Protocol

import anyio

from syncd.errors import RetryableError, SyncdError
from syncd.model.watching import Report, unreported
from syncd.sources.git.refs import Ref

MAX_BACKOFF_S = 900.0
JITTER = 0.1
"""Jitter, so that many sources do not poll at the same time."""


IsBehind = Callable[[str], Awaitable[bool]]
"""Returns whether this commit has not arrived and nothing is under way towards it."""


async def never_behind(commit: str) -> bool:
    """Return False: whatever was asked for arrives."""
    del commit
    return False


class Head(Protocol):
    """Resolves a ref to a commit; implemented by `RepositorySource`."""

    async def head(self, ref: Ref) -> str:
        """Return the commit that `ref` points to now. Waits for the network. Raises SyncdError."""
        ...


class BranchWatcher:
    """Watches one branch of one source."""

    def __init__(
        self,
        source: Head,
        ref: Ref,
        interval_s: float,
        report: Report = unreported,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """`report` is told of every poll; none that fails ends the watch, because the cause may pass."""
        self._source = source
        self._ref = ref
        self._interval_s = interval_s
        self._report = report
        self._sleep = sleep

    async def moves(self, is_behind: IsBehind = never_behind) -> AsyncGenerator[str, None]:
        """Yield the branch's current commit, then each new one, and any that `is_behind` of; never ends by itself.

        That a commit was yielded does not mean that it arrived: a run may have been cancelled, or have read an older commit
        from another replica of the server. Polls again only after the caller took the last commit, so commits in quick
        succession are merged.
        """
        failures, asked = 0, None
        while True:
            wait_s = self._interval_s
            try:
                head = await self._source.head(self._ref)
            except SyncdError as error:
                failures += 1
                wait_s = self._backoff_s(error, failures)
                self._report(str(error), wait_s)
            else:
                failures = 0
                self._report("", wait_s)
                if head != asked or await is_behind(head):
                    asked = head
                    yield head
            await self._sleep(wait_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  # spreads load, hides nothing

    def _backoff_s(self, error: SyncdError, failures: int) -> float:
        wait_s = min(self._interval_s * 2 ** min(failures, 16), max(MAX_BACKOFF_S, self._interval_s))
        wish_s = error.retry_after_s if isinstance(error, RetryableError) else None
        return max(wait_s, wish_s or 0.0)
