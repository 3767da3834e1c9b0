"""A website as a Source: crawl breadth first, yield pages as Markdown, remember enough to make the next crawl cheap."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from hashlib import sha256

import structlog
from aiohttp.abc import AbstractResolver

from syncd.errors import PermanentError
from syncd.html import PAGE_VERSION
from syncd.model import Checkpoint, Document, Run
from syncd.sources.web.addresses import AddressGuard
from syncd.sources.web.answer_reader import AnswerReader
from syncd.sources.web.client import PoliteClient
from syncd.sources.web.crawl import CrawlRun
from syncd.sources.web.crawl_budget import CrawlBudget
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.crawl_progress import CrawlProgress, ProgressMeter
from syncd.sources.web.crawl_scope import CrawlScope
from syncd.sources.web.crawl_store import CrawlStore
from syncd.sources.web.crawl_types import Crawl
from syncd.sources.web.fetch import Fetcher
from syncd.sources.web.page_fetcher import PageFetcher
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.sitemap_seeder import SitemapSeeder
from syncd.sources.web.sitemap_store import SitemapStore
from syncd.sources.web.softerror import SoftErrors
from syncd.sources.web.urls import host_named
from syncd.sources.web.validate import validate_settings
from syncd.sources.web.visit_result import Browser, PageExtractor
from syncd.sources.web.visitor import Visitor
from syncd.store.database import Database

log = structlog.get_logger()

CURSOR = "crawl:"
MAX_CRAWL_AGE_S = 7 * 86400.0
"""An interrupted crawl older than this starts over, because its first pages may have changed."""


class SiteSource:
    """One configured site. `changes` may run for several collections, one after another.

    `extractor` may serve many sources. `resolver` and `tls` replace the system's, for for private names and certificate authorities.
    """

    def __init__(
        self,
        settings: WebSettings,
        database: Database,
        source_id: str,
        extractor: PageExtractor,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        validate_settings(settings)
        self._settings = settings
        self._store = CrawlStore(database, source_id)
        self._sitemaps = SitemapStore(database, source_id)
        self._extractor = extractor
        self._resolver = resolver
        self._tls = tls
        self._progress = CrawlProgress()

    def progress(self) -> CrawlProgress:
        """Return the counts of the crawl in progress, or of the last one."""
        return self._progress

    def report(self) -> Mapping[str, float]:
        """Return the same counts as plain numbers."""
        return {name: round(value, 1) for name, value in asdict(self._progress).items()}

    async def changes(self, run: Run) -> AsyncGenerator[Document | Checkpoint]:
        """Yield every document of the site, unchanged and gone ones included; then a Checkpoint.

        Resumes an unfinished crawl of this collection without requesting indexed pages again. The Checkpoint says
        that absent pages are gone only after a complete crawl. Raises RetryableError if the site does not respond,
        PermanentError if its starting page cannot be crawled.
        """
        target, start = run.invocation.target, CrawlScope(self._settings).start.text
        finished = finished_crawl(run.cursor, run.invocation.id)
        config_hash = crawl_config_hash(self._settings, run.config_hash)
        crawl = await self._store.begin(target, start, config_hash, finished, MAX_CRAWL_AGE_S)
        async with AsyncExitStack() as stack:
            crawling = await self._open(run, crawl, stack)
            if run.keys is not None:
                async for document in crawling.only(sorted(run.keys)):
                    yield document
                yield Checkpoint(run.cursor or "")
                return
            async for document in crawling.documents():
                yield document
            async for document in crawling.left_out():
                yield document
            gaps, is_whole = await crawling.coverage.gaps(), not await crawling.coverage.is_limited()
            log.info("web.crawled", url=start, incomplete=gaps, **asdict(self._progress))
            if crawling.deferrals.reason:
                yield Checkpoint(run.cursor or "", incomplete=gaps, again_after_s=crawling.deferrals.again_after_s)
                return
            cursor = f"{CURSOR}{crawl.id}:{run.invocation.id}"
            yield Checkpoint(cursor, absent_are_gone=is_whole and not gaps, incomplete=gaps)

    async def _open(self, run: Run, crawl: Crawl, stack: AsyncExitStack) -> CrawlRun:
        """Put the parts of one crawl together."""
        context = CrawlContext(self._settings, CrawlScope(self._settings), self._store, run.known, crawl)
        self._progress = CrawlProgress()
        guard = guard_for(self._settings, context.scope)
        fetcher = await stack.enter_async_context(Fetcher(self._settings, guard, self._resolver, self._tls))
        client = PoliteClient(fetcher, self._settings)
        browser = await self._browser(stack, guard, client)
        answers = AnswerReader(context, self._extractor, SoftErrors(client, self._extractor), browser)
        crawling = CrawlRun(
            context,
            visitor=Visitor(context, PageFetcher(context, client), answers),
            seeder=SitemapSeeder(context, client, self._sitemaps),
            budget=CrawlBudget(context, client),
            meter=ProgressMeter(self._progress),
        )
        stack.push_async_callback(crawling.stop)
        return crawling

    async def _browser(self, stack: AsyncExitStack, guard: AddressGuard, client: PoliteClient) -> Browser | None:
        if self._settings.render == "never":
            return None
        # Playwright is an extra: imported only by sources that render.
        try:
            from syncd.sources.web.render import Chromium
        except ImportError as error:
            raise PermanentError(
                f"render = {self._settings.render!r} needs a browser: pip install 'syncd[render]' and Chromium, or set it to "
                f"'never' ({error})"
            ) from error
        return await stack.enter_async_context(Chromium(self._settings, guard, client))


def finished_crawl(cursor: str | None, invocation_id: str) -> int | None:
    """Return the crawl whose checkpoint was saved last, unless it was this invocation's.

    An invocation that died between its checkpoint and its end only has to yield again what it found.
    """
    number, _, by = (cursor or "").removeprefix(CURSOR).partition(":")
    return int(number) if number.isdigit() and by != invocation_id else None


def guard_for(settings: WebSettings, scope: CrawlScope) -> AddressGuard:
    """Return the address guard; ports named in the configuration count as allowed."""
    named = [scope.start.port]
    hosts = [host_named(host).rpartition(":")[2] for host in settings.extra_hosts]
    named += [int(port) for port in hosts if port.isdigit()]
    ports = {*settings.ports, *named}
    return AddressGuard(settings.allow_private_addresses, ports)


def crawl_config_hash(settings: WebSettings, config_hash: str) -> str:
    """Return a hash of everything that decides what a visit to an unchanged page yields, and what becomes of that."""
    values = [
        PAGE_VERSION,
        config_hash,
        settings.starting_url,
        settings.include_path_regexes,
        settings.exclude_path_regexes,
        settings.allow_subdomains,
        settings.extra_hosts,
        settings.render,
        settings.limits.links_per_page,
    ]
    return sha256(json.dumps(values).encode()).hexdigest()[:16]
