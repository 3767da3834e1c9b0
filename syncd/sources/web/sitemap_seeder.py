"""Adds the pages in a site's sitemaps to the queue, right after the starting page, to find pages without links to them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog
from anyio import to_thread

from syncd.sources.web.client import DeferredError, FetchFailed, PoliteClient
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.robots import location
from syncd.sources.web.sitemap import FeedError, NoSitemapError, SitemapError, read_sitemap
from syncd.sources.web.sitemap_store import SitemapStore
from syncd.sources.web.urls import Url, UrlError, normal

log = structlog.get_logger()

SITEMAP_MAX_REDIRECTS = 5
BATCH = 500
CONVENTIONAL = "/sitemap.xml"
GONE_AFTER_S = 86_400.0
"""How long a known sitemap must be missing before it is believed to be gone: a deploy or a maintenance page may hide it for
an hour, and with it would go all pages that only it lists."""
MAX_REASONS = 3


class GoneError(NoSitemapError):
    """The sitemap does not exist."""


class UnreachableSitemapError(SitemapError):
    """Whether there is a sitemap could not be found out."""


@dataclass(frozen=True, slots=True)
class ListedSitemap:
    """A sitemap to read. `is_named`: robots.txt or a sitemap says that it is one, so anything else there is an error."""

    url: Url
    is_named: bool
    is_child: bool = False


class SitemapQueue:
    """Sitemaps to read, each once; beyond `limit`, which says how many may be, one more tells that there are more."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[ListedSitemap] = deque()
        self._listed: set[Url] = set()

    def add(self, listed: Iterable[ListedSitemap]) -> None:
        """Put more at the end, as far as they may be read."""
        for one in listed:
            if len(self._listed) <= self._limit and one.url not in self._listed:
                self._listed.add(one.url)
                self._waiting.append(one)

    def next(self) -> ListedSitemap | None:
        """Return the next one that may be read, or None."""
        is_full = len(self._listed) - len(self._waiting) >= self._limit
        return self._waiting.popleft() if self._waiting and not is_full else None

    @property
    def has_more(self) -> bool:
        """Whether some were listed that may not be read."""
        return bool(self._waiting)


@dataclass(frozen=True, slots=True)
class SitemapContent:
    """What one file lists on the site: `pages`, the most recently changed first, and sitemaps. `trouble`: why that is not all."""

    pages: Mapping[str, float]
    sitemaps: Sequence[ListedSitemap]
    trouble: SitemapError | None


class SitemapSeeder:
    """The sitemaps of one crawl."""

    def __init__(self, context: CrawlContext, client: PoliteClient, sitemaps: SitemapStore) -> None:
        self._client = client
        self._sitemaps = sitemaps
        self._scope = context.scope
        self._store = context.store
        self._crawl_id = context.crawl.id
        self._limits = context.limits

    async def seed(self) -> str:
        """Queue every permitted page of every sitemap; return why that may not be all, or ''. Twice is safe."""
        waiting = SitemapQueue(self._limits.sitemaps)
        waiting.add(await self._roots())
        problems: list[str] = []
        while listed := waiting.next():
            if problem := await self._take(listed, waiting):
                log.warning("web.sitemap_unreadable", url=listed.url.text, reason=problem)
                problems.append(f"sitemap {listed.url.text}: {problem}")
        if waiting.has_more:
            problems.append(f"more than {self._limits.sitemaps} sitemaps; the others were not read")
        more = len(problems) - MAX_REASONS
        return "; ".join([*problems[:MAX_REASONS], *([f"and {more} more sitemaps"] if more > 0 else [])])

    async def _roots(self) -> list[ListedSitemap]:
        """Return the sitemaps to begin with: named by robots.txt, conventional, and those an earlier crawl began with."""
        start = self._scope.start
        rules = await self._client.rules(start)
        named = [ListedSitemap(url, is_named=True) for url in self._on_site(rules.sitemaps, start)]
        others = [CONVENTIONAL, *await self._sitemaps.known_roots()]
        return [*named, *(ListedSitemap(url, is_named=False) for url in self._on_site(others, start))]

    async def _take(self, listed: ListedSitemap, waiting: SitemapQueue) -> str:
        """Read one file and queue its pages; return why they may not be all, or ''."""
        url = listed.url.text
        try:
            await self._read(listed.url, await self._fetch(listed.url), waiting)
        except FeedError:
            return ""
        except NoSitemapError as error:
            if listed.is_named and not isinstance(error, GoneError):
                return str(error)
            return str(error) if await self._may_return(url) else ""
        except (DeferredError, UnreachableSitemapError) as error:
            return str(error)
        except SitemapError as error:
            await self._sitemaps.note_found(url, is_child=listed.is_child)
            return str(error)
        await self._sitemaps.note_found(url, is_child=listed.is_child)
        return ""

    async def _may_return(self, url: str) -> bool:
        """Return whether a missing sitemap was read before and has not been missing for long enough to be gone."""
        since = await self._sitemaps.missing_since(url)
        if since is None:
            return False
        if time.time() - since < GONE_AFTER_S:
            return True
        await self._sitemaps.forget(url)
        return False

    async def _fetch(self, url: Url) -> bytes:
        """Return one file's bytes. Raises GoneError, NoSitemapError, or UnreachableError."""
        for _ in range(SITEMAP_MAX_REDIRECTS + 1):
            rules = await self._client.rules(url)
            if rules.trouble:
                raise UnreachableSitemapError(f"robots.txt could not be read: {rules.trouble}")
            if not rules.allows(url):
                raise NoSitemapError("disallowed by robots.txt")
            answer = await self._client.ask(url, self._limits.sitemap_size_bytes)
            if isinstance(answer, FetchFailed):
                raise (NoSitemapError if answer.lasting else UnreachableSitemapError)(answer.reason)
            moved = location(answer)
            if moved is None and answer.status == 200:
                return answer.body
            if moved is None:
                raise (GoneError if answer.status in (404, 410) else NoSitemapError)(f"status {answer.status}")
            if not self._scope.site.holds(moved):
                raise NoSitemapError(f"redirects to another site, {moved.host}")
            url = moved
        raise NoSitemapError("too many redirects")

    async def _read(self, url: Url, data: bytes, waiting: SitemapQueue) -> None:
        """Queue the pages of one file, the most recently changed first, so that a limit omits the oldest pages.

        Raises SitemapError once all that can be read is queued.
        """
        # Somebody else decides how much work that is, and the daemon has other things to do.
        content = await to_thread.run_sync(self._content, url, data)
        waiting.add(content.sitemaps)
        newest_first = list(content.pages.items())
        for start in range(0, len(newest_first), BATCH):
            await self._store.seed(self._crawl_id, dict(newest_first[start : start + BATCH]), depth=1)
        if content.trouble is not None:
            raise content.trouble

    def _content(self, url: Url, data: bytes) -> SitemapContent:
        pages: dict[str, float] = {}
        sitemaps: dict[Url, ListedSitemap] = {}
        trouble: SitemapError | None = None
        try:
            for entry in read_sitemap(data, self._limits.sitemap_size_bytes):
                for page in self._on_site([entry.location], url):
                    if not entry.is_sitemap:
                        pages[page.text] = entry.modified_at.timestamp() if entry.modified_at else 0.0
                    elif len(sitemaps) <= self._limits.sitemaps:
                        sitemaps[page] = ListedSitemap(page, is_named=True, is_child=True)
        except SitemapError as error:
            trouble = error
        newest_first = sorted(self._scope.admitted(pages), key=lambda page: -pages[page])
        return SitemapContent({page: pages[page] for page in newest_first}, list(sitemaps.values()), trouble)

    def _on_site(self, locations: Iterable[str], base: Url) -> Iterator[Url]:
        for text in locations:
            try:
                url = normal(text, base.text)
            except UrlError:
                continue
            if self._scope.site.holds(url):
                yield url
