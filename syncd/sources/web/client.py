"""Sends a crawl's requests: rate limited, allowed by robots.txt, retried on failure, redirects reported instead of followed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from syncd.sources.web.fetch import Fetcher, Response, SizeLimit
from syncd.sources.web.fetch_errors import FetchError
from syncd.sources.web.rate_limiter import RateLimiter
from syncd.sources.web.robots import Robots, RobotsRules
from syncd.sources.web.settings import WebLimits, WebSettings
from syncd.sources.web.urls import Url

ADDRESSES_OF_A_HOST = 3
"""When so many addresses in a row ask to wait, it is the host that asks."""
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504, 507, 509, 520, 521, 522, 523, 524})


class DeferredError(Exception):
    """The host's Retry-After for this page is longer than a crawl waits."""

    def __init__(self, host: str, seconds: float) -> None:
        super().__init__(f"{host} sent Retry-After: {seconds:.0f} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """No usable response after all attempts. `lasting`: another attempt would fail the same way."""

    reason: str
    status: int = 0
    lasting: bool = False


class PoliteClient:
    """Politeness around a Fetcher; one per crawl."""

    def __init__(self, fetcher: Fetcher, settings: WebSettings) -> None:
        self._fetcher = fetcher
        self._limits: WebLimits = settings.limits
        self._concurrency = settings.concurrency
        self._interval_s = 1 / settings.rate_per_s if settings.rate_per_s else 0.0
        self._limiters: dict[str, RateLimiter] = {}
        self._robots = Robots(fetcher, settings.limits, respected=settings.respect_robots)
        self._asked_to_wait: dict[str, set[str]] = {}
        self.requests = 0

    def limiter(self, url: Url) -> RateLimiter:
        """Return the rate limiter of `url`'s host."""
        limiter = self._limiters.get(url.host)
        if limiter is None:
            limiter = self._limiters[url.host] = RateLimiter(
                self._concurrency, self._interval_s, self._limits.slowest_interval_s
            )
        return limiter

    async def rules(self, url: Url) -> RobotsRules:
        """Return the robots.txt rules of `url`'s origin; waits for the first answer."""
        return await self._robots.rules(url, self.limiter(url))

    async def ask(
        self, url: Url, size_limit: SizeLimit, headers: Mapping[str, str] | None = None
    ) -> Response | FetchFailed:
        """Return the host's answer, or FetchFailed after `limits.attempts` attempts. Waits for the rate limiter and for Retry-After.

        Raises DeferredError when Retry-After is longer than `limits.retry_after_s`.
        """
        limiter = self.limiter(url)
        failed = FetchFailed("not asked")
        for _ in range(self._limits.attempts):
            try:
                async with limiter.turn():
                    self.requests += 1
                    response = await self._fetcher.get(url, size_limit, headers=headers)
            except FetchError as error:
                failed = FetchFailed(str(error), lasting=error.lasting)
                if error.lasting:
                    return failed
                limiter.struggled()
                continue
            if response.status not in RETRIED:
                self._asked_to_wait.pop(url.host, None)
                limiter.answered(response.elapsed_s)
                return response
            await self._slow_down(url, limiter, response)
            failed = FetchFailed(f"status {response.status}", response.status)
        return failed

    async def _slow_down(self, url: Url, limiter: RateLimiter, response: Response) -> None:
        """Wait as long as the host asks: for this address alone, or for the whole host once several in a row say so."""
        limiter.struggled()
        wait_s = response.retry_after_s
        if wait_s is None:
            return
        if wait_s > self._limits.retry_after_s:
            raise DeferredError(url.host, wait_s)
        asking = self._asked_to_wait.setdefault(url.host, set())
        asking.add(url.text)
        if len(asking) >= ADDRESSES_OF_A_HOST:
            asking.clear()
            limiter.hold(wait_s)
        else:
            await asyncio.sleep(wait_s)
