"""A website as a Source: crawl breadth first, yield pages as Markdown, remember enough to make the next crawl cheap."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import asdict
from hashlib import sha256

import structlog
from aiohttp.abc import AbstractResolver

from syncd.model import Checkpoint, Document, Run
from syncd.sources.web import extract
from syncd.sources.web.addresses import AddressGuard
from syncd.sources.web.admission import Admission
from syncd.sources.web.client import Client
from syncd.sources.web.crawl import CrawlRun, Progress
from syncd.sources.web.extractor import Extractor
from syncd.sources.web.fetch import Fetcher
from syncd.sources.web.settings import WebSettings, validate_settings
from syncd.sources.web.visitor import Visitor
from syncd.store.crawl import CrawlState
from syncd.store.database import Database

log = structlog.get_logger()

MAX_CRAWL_AGE_S = 7 * 86400.0
"""An interrupted crawl older than this starts over: its first pages are too old to vouch for."""


class WebSource:
    """One configured site. `changes` may run for several collections, one after another."""

    def __init__(
        self,
        settings: WebSettings,
        database: Database,
        source_id: str,
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        validate_settings(settings)
        self._settings = settings
        self._state = CrawlState(database, source_id)
        self._resolver = resolver
        self._tls = tls
        self._progress = Progress()

    def progress(self) -> Progress:
        """Return the counts of the crawl in progress, or of the last one."""
        return self._progress

    async def changes(self, run: Run) -> AsyncIterator[Document | Checkpoint]:
        """Yield every page of the site that is a document, unchanged ones too, and what is gone; then a Checkpoint.

        Resumes an unfinished crawl of this collection without asking again for what is indexed. The Checkpoint says
        that absent pages are gone only after a complete crawl. Raises RetryableError when the site does not answer,
        PermanentError when its starting page cannot be a source.
        """
        settings = self._settings
        admission = Admission(settings)
        rules = rules_of(settings)
        crawl = await self._state.begin(
            run.invocation.target, admission.start.text, rules, finished_crawl(run.cursor), MAX_CRAWL_AGE_S
        )
        self._progress = Progress()
        async with AsyncExitStack() as stack:
            fetcher = await stack.enter_async_context(
                Fetcher(settings, guard_for(settings, admission), self._resolver, self._tls)
            )
            client = Client(fetcher, settings)
            limits = settings.limits
            extractor = await stack.enter_async_context(
                Extractor(settings.extract_processes, limits.extract_s, limits.links_per_page)
            )
            visitor = Visitor(settings, client, admission, extractor, self._state, run.known, rules, crawl.id)
            crawling = CrawlRun(settings, client, admission, visitor, self._state, run.known, crawl, self._progress)
            if run.keys is not None:
                async for document in crawling.only(sorted(run.keys)):
                    yield document
                yield Checkpoint(run.cursor or "")
                return
            try:
                async for document in crawling.documents():
                    yield document
                reason = await crawling.incompleteness()
                log.info("web.crawled", url=settings.starting_url, **asdict(self._progress), incomplete=reason)
                if crawling.deferred:
                    yield Checkpoint(run.cursor or "")
                    return
                yield Checkpoint(f"crawl:{crawl.id}", absent_are_gone=not reason)
                await self._state.finish(crawl.id)
            finally:
                await crawling.stop()


def finished_crawl(cursor: str | None) -> int | None:
    """Return the crawl whose checkpoint was saved last."""
    text = (cursor or "").removeprefix("crawl:")
    return int(text) if text.isdigit() else None


def guard_for(settings: WebSettings, admission: Admission) -> AddressGuard:
    """Return the address guard; ports named in the configuration count as allowed."""
    named = [admission.start.port]
    named += [int(host.rpartition(":")[2]) for host in settings.extra_hosts if host.rpartition(":")[2].isdigit()]
    ports = {*settings.ports, *named}
    return AddressGuard(settings.allow_private_addresses, ports)


def rules_of(settings: WebSettings) -> str:
    """Return a hash of everything that decides what a visit to an unchanged page yields."""
    values = [
        extract.VERSION,
        settings.starting_url,
        settings.include_path_regexes,
        settings.exclude_path_regexes,
        settings.allow_subdomains,
        settings.extra_hosts,
        settings.render,
        settings.limits.links_per_page,
    ]
    return sha256(json.dumps(values).encode()).hexdigest()[:16]
