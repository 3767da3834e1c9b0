"""What a host's robots.txt (RFC 9309) allows, fetched once per crawl and origin with the same guarded client."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import structlog
from anyio import to_thread
from protego import Protego

from syncd.runtime.headers import bounded
from syncd.sources.web.fetch import Fetcher, Response
from syncd.sources.web.fetch_errors import FetchError
from syncd.sources.web.rate_limiter import RateLimiter
from syncd.sources.web.settings import PRODUCT_TOKEN, WebLimits
from syncd.sources.web.urls import Url, UrlError, normal

log = structlog.get_logger()

MAX_REDIRECTS = 5
MAX_RULE_LINES = 10_000
"""Every rule costs time in every check; 50,000 wildcard rules took 36 ms per check."""
MAX_WILDCARDS = 2_000
"""Each takes about 2 us in every check, for which all else waits; 40,000 in 500 kB took 72 ms."""
SEEN_LIMIT = 100
MOST_S = 10**9

_RULE = re.compile(r"\s*(?:dis)?allow\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RobotsRules:
    """One origin's rules. `trouble`: why they could not be read, so that nothing may be fetched (RFC 9309 section 2.3.1.4)."""

    parsed: Protego | None
    trouble: str = ""
    sitemaps: tuple[str, ...] = field(default=())

    def allows(self, url: Url) -> bool:
        """Return whether `url` may be fetched."""
        if self.trouble:
            return False
        return self.parsed is None or self.parsed.can_fetch(url.text, PRODUCT_TOKEN)


class Robots:
    """The rules of every origin in a crawl."""

    def __init__(self, fetcher: Fetcher, limits: WebLimits, *, respected: bool = True) -> None:
        self._fetcher = fetcher
        self._limits = limits
        self._respected = respected
        self._rules: dict[str, RobotsRules] = {}
        self._turn = asyncio.Lock()

    async def rules(self, url: Url, limiter: RateLimiter) -> RobotsRules:
        """Return the rules for `url`'s origin, fetched when first needed; its Crawl-delay is given to `limiter`."""
        if (known := self._rules.get(url.origin)) is not None:
            return known
        async with self._turn:
            if (known := self._rules.get(url.origin)) is None:
                known = await self._fetch(url, limiter) if self._respected else RobotsRules(None)
                if len(self._rules) >= SEEN_LIMIT:
                    self._rules.pop(next(iter(self._rules)))
                self._rules[url.origin] = known
                self._slow_down(known, url, limiter)
            return known

    async def _fetch(self, url: Url, limiter: RateLimiter) -> RobotsRules:
        target = normal("/robots.txt", url.text)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                async with limiter.turn():
                    response = await self._fetcher.get(target, self._limits.robots_size_bytes, truncate=True)
            except FetchError as error:
                log.warning("web.robots_unreachable", url=target.text, error=str(error))
                # An origin that can never be reached fails on the page itself, with a better message.
                return RobotsRules(None, trouble="" if error.lasting else str(error))
            if (moved := location(response)) is None:
                return await to_thread.run_sync(rules_from, response)
            target = moved
        return RobotsRules(None)

    def _slow_down(self, rules: RobotsRules, url: Url, limiter: RateLimiter) -> None:
        if rules.parsed is None:
            return
        wished_s = bounded(rules.parsed.crawl_delay(PRODUCT_TOKEN) or 0.0, MOST_S)
        rate = rules.parsed.request_rate(PRODUCT_TOKEN)
        if rate is not None and rate.requests > 0:
            # Integers of any length, whose quotient may not fit a float.
            wished_s = max(wished_s, min(rate.seconds, MOST_S) / min(rate.requests, MOST_S))
        if wished_s > self._limits.crawl_delay_s:
            log.warning("web.crawl_delay_cut", host=url.host, wished_s=wished_s, kept_s=self._limits.crawl_delay_s)
        limiter.at_least(min(wished_s, self._limits.crawl_delay_s))


def rules_from(response: Response) -> RobotsRules:
    """Return the rules in a response: 2xx has rules, 4xx means none, 5xx and 429 mean that they are unavailable."""
    if response.status != 200:
        asked_to_wait = response.status == 429 or response.status >= 500
        return RobotsRules(None, trouble=f"status {response.status}" if asked_to_wait else "")
    # Protego would not recognise a first group behind a byte-order mark.
    text = response.body.decode("utf-8-sig", "replace")
    parsed = Protego.parse("\n".join(_affordable(text.splitlines()[:MAX_RULE_LINES])))
    return RobotsRules(parsed, sitemaps=tuple(parsed.sitemaps))


def _affordable(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines whose rules have the first MAX_WILDCARDS wildcards, and those without any."""
    spent = 0
    for line in lines:
        if _RULE.match(line):
            spent += line.count("*")
            if "*" in line and spent > MAX_WILDCARDS:
                continue
        yield line


def location(response: Response) -> Url | None:
    """Return where a redirect leads, or None if it is not a redirect to an http(s) URL."""
    if response.status not in (301, 302, 303, 307, 308):
        return None
    try:
        return normal(response.headers.get("Location", ""), response.url.text)
    except UrlError:
        return None
