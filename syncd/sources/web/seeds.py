"""Adds what a site's sitemaps list to the queue, after the links: pages that no other page links to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import structlog

from syncd.sources.web.admission import Admission
from syncd.sources.web.client import Client, Failed
from syncd.sources.web.robots import location
from syncd.sources.web.settings import WebLimits
from syncd.sources.web.sitemap import Entry, SitemapError, read_sitemap
from syncd.sources.web.urls import Url, UrlError, normal
from syncd.store.crawl import CrawlState

log = structlog.get_logger()

MAX_REDIRECTS = 5
BATCH = 500


class Seeds:
    """The sitemaps of one crawl."""

    def __init__(self, client: Client, admission: Admission, state: CrawlState, limits: WebLimits) -> None:
        self._client = client
        self._admission = admission
        self._state = state
        self._limits = limits

    async def plant(self, crawl_id: int) -> str:
        """Queue every admitted page of every sitemap; return why that may not be all, or ''. Twice adds nothing."""
        start = self._admission.start
        rules = await self._client.rules(start)
        waiting = deque(self._on_site([*rules.sitemaps, "/sitemap.xml"], start))
        seen: set[Url] = set()
        problem = ""
        while waiting and len(seen) < self._limits.sitemaps:
            url = waiting.popleft()
            if url in seen:
                continue
            seen.add(url)
            data = await self._fetch(url)
            if isinstance(data, str):
                problem = problem or data
                continue
            await self._read(crawl_id, url, data, waiting)
        return problem

    async def _fetch(self, url: Url) -> bytes | str:
        """Return one file's bytes, none where there is no such file, or why it could not be had this time."""
        for _ in range(MAX_REDIRECTS + 1):
            if not (await self._client.rules(url)).allows(url):
                return b""
            answer = await self._client.ask(url, self._limits.sitemap_size_bytes)
            if isinstance(answer, Failed):
                return b"" if answer.lasting else f"sitemap {url.text}: {answer.reason}"
            moved = location(answer)
            if moved is None:
                return answer.body
            if not self._admission.site.holds(moved):
                return b""
            url = moved
        return b""

    async def _read(self, crawl_id: int, url: Url, data: bytes, waiting: deque[Url]) -> None:
        """Queue what one file lists, what it says changed last first: a limit then leaves out the oldest pages."""
        pages: dict[str, float] = {}
        try:
            for entry in entries(data, self._limits.sitemap_size_bytes):
                if entry.is_sitemap:
                    waiting.extend(self._on_site([entry.location], url))
                    continue
                for page in self._on_site([entry.location], url):
                    pages[page.text] = entry.modified_at.timestamp() if entry.modified_at else 0.0
        except SitemapError as error:
            log.warning("web.sitemap_unreadable", url=url.text, error=str(error))
        newest_first = sorted(self._admission.admitted(pages), key=lambda page: -pages[page])
        for start in range(0, len(newest_first), BATCH):
            some = newest_first[start : start + BATCH]
            await self._state.seed(crawl_id, {page: pages[page] for page in some}, depth=1)

    def _on_site(self, locations: list[str], base: Url) -> Iterator[Url]:
        for text in locations:
            try:
                url = normal(text, base.text)
            except UrlError:
                continue
            if self._admission.site.holds(url):
                yield url


def entries(data: bytes, max_size_bytes: int) -> Iterator[Entry]:
    """Yield the entries of a sitemap file; none of an empty one."""
    return read_sitemap(data, max_size_bytes) if data else iter(())
