"""Fetches a queue entry through its redirects, checking scope and robots.txt at every hop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from syncd.sources.web.client import FetchFailed, PoliteClient
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.crawl_types import QueueEntry
from syncd.sources.web.fetch import DAY_S, REDIRECTS, Response
from syncd.sources.web.media import Claim, size_limit_for
from syncd.sources.web.robots import location
from syncd.sources.web.suffixes import SuffixSamples
from syncd.sources.web.urls import Url, same_place

TRUST_SITEMAP_S = 7 * DAY_S
FULL_READ_EVERY_S = 30 * DAY_S
"""Even if a server always responds 304, the whole page is requested after this long."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An address that may not be requested, or a redirect that leads nowhere. `for_now`: it may be requested later."""

    reason: str
    for_now: bool = False


class AlreadyVisited:
    """An address that this crawl has visited already."""


@dataclass(frozen=True, slots=True)
class RedirectResult:
    """Where a chain of redirects ended."""

    url: Url
    answer: Response | FetchFailed | Refused | AlreadyVisited
    passed: tuple[Url, ...] = ()


class PageFetcher:
    """Requests pages for one crawl, conditionally if the index holds what was last read."""

    def __init__(self, context: CrawlContext, client: PoliteClient) -> None:
        self._limits = context.limits
        self._client = client
        self._scope = context.scope
        self._store = context.store
        self._known = context.known
        self._crawl = context.crawl
        self._samples = SuffixSamples()

    async def fetch(self, entry: QueueEntry, url: Url) -> RedirectResult:
        """Request `url` and follow its redirects. Waits for the host's rate limiter. Raises DeferredError."""
        passed: list[Url] = []
        headers = await self._conditions(entry)
        while True:
            if refused := await self._refusal(entry, url, first=not passed):
                return RedirectResult(url, refused, tuple(passed))
            if passed and await self._store.visited(self._crawl.id, url.text):
                return RedirectResult(url, AlreadyVisited(), tuple(passed))
            answer = await self.ask(url, headers)
            if isinstance(answer, Response) and answer.status in (200, 304):
                self._samples.note(url, is_wanted=answer.status == 304 or not answer.unread)
            if isinstance(answer, FetchFailed) or answer.status not in REDIRECTS:
                return RedirectResult(url, answer, tuple(passed))
            moved = location(answer)
            passed.append(url)
            if moved is None:
                return RedirectResult(url, Refused("redirects to an invalid address"), tuple(passed))
            if moved in passed:
                return RedirectResult(moved, Refused("redirect loop"), tuple(passed))
            if len(passed) > self._limits.redirects:
                return RedirectResult(moved, Refused("too many redirects"), tuple(passed))
            if entry.ord == 0 and same_place(url, moved):
                self._scope.site.add(moved.host)
            url, headers = moved, {}
            headers = await self._conditions(await self.entry_at(url, entry.depth))

    async def _refusal(self, entry: QueueEntry, url: Url, *, first: bool) -> Refused | None:
        # The starting page is read for its links even if include_path_regexes exclude it.
        start = entry.ord == 0 and self._scope.site.holds(url)
        if not start and (reason := self._scope.refusal(url)):
            return Refused(reason if first else f"redirects to {url.text}: {reason}")
        if entry.ord != 0 and (reason := self._samples.refusal(url)) and await self._known.version(url.text) is None:
            return Refused(reason)
        rules = await self._client.rules(url)
        if rules.trouble:
            return Refused(f"robots.txt could not be read: {rules.trouble}", for_now=True)
        return None if rules.allows(url) else Refused("disallowed by robots.txt")

    async def ask(self, url: Url, headers: Mapping[str, str]) -> Response | FetchFailed:
        """Ask for one page, as large as its type may be. Waits for the host's rate limiter. Raises DeferredError."""

        def size_limit(claim: Claim, start: bytes | None, /) -> int:
            return size_limit_for(claim, self._limits, start)

        return await self._client.ask(url, size_limit, headers)

    async def _conditions(self, entry: QueueEntry) -> dict[str, str]:
        """Return the conditional headers for a page whose stored state is what the index holds."""
        if not (entry.etag or entry.modified) or not await self.is_still_valid(entry):
            return {}
        if time.time() - entry.read_at > FULL_READ_EVERY_S:
            return {}
        headers = {"If-None-Match": entry.etag} if entry.etag else {}
        return {**headers, "If-Modified-Since": entry.modified} if entry.modified else headers

    async def is_still_valid(self, entry: QueueEntry) -> bool:
        """Return whether what the last visit learned still applies if the page's bytes are the same."""
        if not entry.version or not entry.has_links or entry.config_hash != self._crawl.config_hash:
            return False
        return await self._known.version(entry.alias_of or entry.url) == entry.version

    async def is_fresh(self, entry: QueueEntry) -> bool:
        """Return whether a page need not be requested: its sitemap says it has not changed since our last, recent read.

        Sitemaps are not reliable, so this holds for a few days only, with a day's margin for
        dates without a time.
        """
        if not 0 < entry.claimed_at < entry.read_at - DAY_S or time.time() - entry.read_at > TRUST_SITEMAP_S:
            return False
        return await self.is_still_valid(entry)

    async def entry_at(self, url: Url, depth: int) -> QueueEntry:
        """Return what is known of `url`, as an entry outside the queue."""
        known = await self._store.page(url.text)
        return replace(known, depth=depth) if known else QueueEntry(-1, 0, url.text, depth)
