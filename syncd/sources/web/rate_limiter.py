"""The rate of requests to one host: few at once, a minimum interval, slower when the host struggles, none during Retry-After."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from time import monotonic

FIRST_SLOWDOWN_S = 0.5
RECOVERY = 0.9
LATENCY_FACTOR = 3.0
LATENCY_FLOOR_S = 0.2
SMOOTHING = 0.2


class RateLimiter:
    """Limits the rate of requests to one host."""

    def __init__(
        self,
        concurrency: int,
        interval_s: float,
        slowest_s: float = 10.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._turns = asyncio.Semaphore(concurrency)
        self._order = asyncio.Lock()
        self._least_s = interval_s
        self._slowest_s = slowest_s
        self._extra_s = 0.0
        self._next_at = 0.0
        self._latency_s: float | None = None
        self._clock = clock

    @property
    def interval_s(self) -> float:
        """Return the seconds kept between two requests."""
        return self._least_s + self._extra_s

    def at_least(self, interval_s: float) -> None:
        """Raise the minimum interval to the host's Crawl-delay."""
        self._least_s = max(self._least_s, interval_s)

    def hold(self, seconds: float) -> None:
        """Send nothing for this long, as the host's Retry-After asks."""
        self._next_at = max(self._next_at, self._clock() + seconds)

    def struggled(self) -> None:
        """Slow down, because the host refused, failed or timed out."""
        self._extra_s = min(self._slowest_s, max(FIRST_SLOWDOWN_S, self._extra_s * 2))

    def answered(self, elapsed_s: float) -> None:
        """Speed up step by step after a response, but slow down if responses take longer and longer."""
        usual = self._latency_s
        if usual is not None and elapsed_s > LATENCY_FLOOR_S and elapsed_s > LATENCY_FACTOR * usual:
            self._extra_s = min(self._slowest_s, max(self._extra_s, elapsed_s))
        else:
            self._extra_s = self._extra_s * RECOVERY if self._extra_s > 0.01 else 0.0
        self._latency_s = elapsed_s if usual is None else usual + SMOOTHING * (elapsed_s - usual)

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for a turn, first come first served, and hold it while the request runs."""
        async with self._turns:
            async with self._order:
                await self._wait()
                self._next_at = max(self._next_at, self._clock() + self.interval_s)
            yield

    async def _wait(self) -> None:
        # A loop, because hold() may move the next turn while this task sleeps.
        wait_s = self._next_at - self._clock()
        while wait_s > 0:
            await asyncio.sleep(wait_s)
            wait_s = self._next_at - self._clock()
