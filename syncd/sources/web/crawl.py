"""The crawl itself: a window of visits in flight, settled strictly in queue order, so that every run goes the same way."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from syncd.errors import PermanentError, RetryableError
from syncd.model import Document, Known
from syncd.sources.web import documents
from syncd.sources.web.client import DeferredError, PoliteClient
from syncd.sources.web.crawl_scope import plain_url
from syncd.sources.web.crawl_store import CrawlStore
from syncd.sources.web.crawl_types import Crawl, CrawlBounds, QueueEntry, SettledVisit
from syncd.sources.web.deferrals import Deferrals
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.sitemap_seeder import SitemapSeeder
from syncd.sources.web.visit_result import VisitResult
from syncd.sources.web.visitor import Visitor, unanswered

WINDOW_PER_TURN = 4
MAX_WINDOW = 64
MAX_BATCH = 32
OUTAGE_FAILURES = 10
"""So many pages failing in a row is an outage of the site, not of the pages."""
OUTAGE_RETRY_S = 300.0
REPLAY_BATCH = 200


@dataclass(slots=True)
class CrawlProgress:
    """Counts of one crawl, for people. `indexed` counts documents, unchanged ones among them."""

    found: int = 0
    fetched: int = 0
    unchanged: int = 0
    indexed: int = 0
    failed: int = 0
    queue: int = 0
    pages_per_s: float = 0.0


@dataclass(slots=True)
class VisitInFlight:
    """A visit on its way."""

    entry: QueueEntry
    task: asyncio.Task[list[VisitResult]]


class CrawlRun:
    """One run over one crawl; use it once, and `stop` it."""

    def __init__(
        self,
        settings: WebSettings,
        rules: str,
        client: PoliteClient,
        visitor: Visitor,
        seeds: SitemapSeeder,
        state: CrawlStore,
        known: Known,
        crawl: Crawl,
        progress: CrawlProgress,
    ) -> None:
        self.deferrals = Deferrals()
        self._settings = settings
        self._rules = rules
        self._client = client
        self._visitor = visitor
        self._seeds = seeds
        self._state = state
        self._known = known
        self._crawl = crawl
        self._progress = progress
        self._in_flight: deque[VisitInFlight] = deque()
        self._window = min(MAX_WINDOW, settings.concurrency * WINDOW_PER_TURN)
        self._last_taken = -1
        self._indexed = crawl.indexed
        self._failing: list[SettledVisit] = []
        self._started_at = time.monotonic()

    async def documents(self) -> AsyncIterator[Document]:
        """Yield documents until the queue is empty but for pages put off, a limit is reached or the host wants a long pause.

        Raises RetryableError when the site does not answer, PermanentError when the starting page is none.
        """
        if self._crawl.resumed:
            async for document in self._replay():
                yield document
        self._progress.queue = await self._state.queued(self._crawl.id)
        phase = self._crawl.phase
        while True:
            async for document in self._drain():
                yield document
            if phase != "links" or not self._wants_sitemaps() or self._over():
                return
            problem = await self._seeds.seed(self._crawl.id)
            phase = "sitemaps"
            await self._state.set_phase(self._crawl.id, phase, problem)

    async def only(self, keys: Sequence[str]) -> AsyncIterator[Document]:
        """Yield what these pages are now; the queue stays as it is."""
        for key in keys:
            for found in await self._visitor.visit(QueueEntry(-1, 0, key, 0)):
                visit = found.visit
                if visit.url != key:
                    continue
                if visit.outcome in ("failed", "unread"):
                    yield documents.failed(key, visit.reason)
                else:
                    yield await documents.fetched(found) if visit.outcome == "document" else documents.gone(key)

    async def is_limited(self) -> bool:
        """Return whether a limit ended this crawl before it saw all pages: then it cannot say which are gone."""
        crawl = await self._state.crawl(self._crawl.id)
        waiting = crawl.phase == "links" and self._wants_sitemaps()
        return waiting or await self._state.queued(crawl.id) > 0

    async def gaps(self) -> str:
        """Return why this crawl did not see all that it was to see, or ''; a limit that somebody set is no reason."""
        crawl, limits = await self._state.crawl(self._crawl.id), self._settings.limits
        reasons = [self.deferrals.reason, crawl.incomplete]
        if self._is_spent() and await self.is_limited():
            reasons.append(f"the site took more than {self._budget()} requests")
        if unread := await self._state.unread(crawl.id):
            reasons.append(f"pages that could not be read: {unread}")
        if cut := await self._state.cut(crawl.id):
            reasons.append(
                f"pages with more than {limits.links_per_page} links, of which the rest was not followed: {cut}"
            )
        if alike := await self._state.too_many_alike(crawl.id, limits.alike_pages):
            reasons.append(f"kinds of pages alike of which only the first {limits.alike_pages} were read: {alike}")
        return "; ".join(reason for reason in reasons if reason)

    async def stop(self) -> None:
        """Cancel visits in flight. Twice is safe."""
        tasks = [flight.task for flight in self._in_flight]
        self._in_flight.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self) -> AsyncIterator[Document]:
        while not self._over():
            await self._take_off()
            if not self._in_flight:
                return
            for found, settled in await self._land():
                if (document := await self._outcome(found, settled)) is not None:
                    yield document

    async def _take_off(self) -> None:
        """Keep the window full of visits."""
        free = self._window - len(self._in_flight)
        if self._in_flight and free < self._window // 2:
            return
        for entry in await self._state.queue(self._crawl.id, self._last_taken, free):
            self._last_taken = entry.ord
            self._in_flight.append(VisitInFlight(entry, asyncio.create_task(self._visitor.visit(entry))))

    async def _land(self) -> list[tuple[VisitResult, SettledVisit]]:
        """Wait for the oldest visit and settle it with those behind it that are back, too."""
        await asyncio.wait([self._in_flight[0].task])
        found: list[VisitResult] = []
        taken = 0
        while self._in_flight and self._in_flight[0].task.done() and taken < MAX_BATCH:
            flight = self._in_flight.popleft()
            taken += 1
            found += self._arrived(flight)
        bounds = self._bounds()
        settled = await self._state.settle(self._crawl.id, [one.visit for one in found], bounds)
        self._count(settled, bounds.queued - taken)
        await self._check_outage(found, settled)
        return list(zip(found, settled, strict=False))

    def _arrived(self, flight: VisitInFlight) -> list[VisitResult]:
        """Return what a visit found; nothing of a page put off, which stays in the queue for one more run, no longer.

        A crawl that waited for ever for one page would never read the others anew.
        """
        try:
            visited = flight.task.result()
        except DeferredError as error:
            if flight.entry.ord == 0:
                raise RetryableError(f"starting_url {flight.entry.url}: {error}", error.seconds) from error
            self.deferrals.note(error, is_last=self._crawl.resumed)
            is_given_up = self._crawl.resumed and not self.deferrals.covers_site
            return [unanswered(flight.entry, str(error))] if is_given_up else []
        self.deferrals.answered()
        if flight.entry.ord == 0:
            check_start(visited)
        return visited

    def _bounds(self) -> CrawlBounds:
        limit = self._settings.page_limit
        return CrawlBounds(
            size_limit=None if limit is None else max(0, limit - self._indexed),
            max_depth=self._settings.max_depth,
            alike_pages=self._settings.limits.alike_pages,
            rules=self._rules,
        )

    async def _check_outage(self, found: Sequence[VisitResult], settled: Sequence[SettledVisit]) -> None:
        """Give the crawl up for now when page after page fails; those pages go back into the queue."""
        for one, result in zip(found, settled, strict=False):
            if one.transient:
                self._failing.append(result)
            elif result.outcome not in (None, "skipped", "bounded"):
                self._failing.clear()
        if len(self._failing) >= OUTAGE_FAILURES:
            last = self._failing[-1].visit
            await self._state.requeue(self._crawl.id, [one.visit.url for one in self._failing])
            raise RetryableError(
                f"{plain_url(last.url).host} stopped answering ({last.reason}); the crawl goes on from here later",
                OUTAGE_RETRY_S,
            )

    def _over(self) -> bool:
        return self.deferrals.covers_site or self._is_full() or self._is_spent()

    def _is_full(self) -> bool:
        return self._settings.page_limit is not None and self._indexed >= self._settings.page_limit

    def _is_spent(self) -> bool:
        return not self._is_full() and self._client.requests >= self._budget()

    def _budget(self) -> int:
        limits, limit = self._settings.limits, self._settings.page_limit
        return limits.fetches if limit is None else limit * limits.fetches_per_page + 50

    def _wants_sitemaps(self) -> bool:
        return self._settings.sitemaps and self._settings.max_depth is None

    def _count(self, settled: Sequence[SettledVisit], queued: int) -> None:
        progress = self._progress
        for one in settled:
            progress.fetched += one.outcome is not None
            progress.unchanged += one.outcome == "unchanged"
            progress.failed += one.outcome in ("failed", "unread")
            self._indexed += one.outcome in ("document", "unchanged")
        progress.indexed = self._indexed
        progress.queue = max(0, progress.queue + queued)
        progress.found = progress.fetched + progress.queue
        progress.pages_per_s = progress.fetched / max(1e-3, time.monotonic() - self._started_at)

    async def _replay(self) -> AsyncIterator[Document]:
        """Name again what an interrupted run settled; what did not reach the index is put back into the queue."""
        after = -1
        while entries := await self._state.settled(self._crawl.id, after, REPLAY_BATCH):
            after = entries[-1].ord
            lost: list[str] = []
            for entry in entries:
                version = await self._known.version(entry.url)
                if entry.outcome in ("document", "unchanged") and version != entry.version:
                    lost.append(entry.url)
                elif entry.outcome in ("document", "unchanged"):
                    yield documents.unchanged_document(entry.url, entry.kept, self._refetch)
                elif entry.outcome in ("failed", "unread"):
                    yield documents.failed(entry.url, entry.reason)
                elif version is not None:
                    yield documents.gone(entry.url)
            self._indexed -= len(lost)
            await self._state.requeue(self._crawl.id, lost)

    async def _outcome(self, found: VisitResult, settled: SettledVisit) -> Document | None:
        """Return what a settled visit means for the index, or None for nothing."""
        visit = settled.visit
        match settled.outcome:
            case None:
                return None
            case "document":
                return await documents.fetched(found)
            case "unchanged":
                return documents.unchanged_document(visit.url, settled.was, self._refetch)
            case "failed" | "unread":
                return documents.failed(visit.url, visit.reason)
            case "bounded":
                # What was there before goes only once the whole site has been seen.
                return None
            case _:
                known = settled.was.version and await self._known.version(visit.url) is not None
                return documents.gone(visit.url) if known else None

    async def _refetch(self, url: str) -> Document:
        """Return what a page is now, whatever the last visit learned. Raises RetryableError."""
        try:
            found = await self._visitor.visit(QueueEntry(-1, 0, url, 0))
        except DeferredError as error:
            # Nobody holds a document for as long as that.
            return documents.failed(url, str(error))
        for one in found:
            if one.visit.url == url and one.visit.outcome == "document":
                return await documents.fetched(one)
        last = found[-1].visit
        raise RetryableError(f"{url} could not be read again: {last.reason or last.outcome}")


def check_start(visited: Sequence[VisitResult]) -> None:
    """Raise what a starting page that gave nothing means: nothing else can be said about the site."""
    first = visited[0]
    visit = first.visit
    if visit.outcome in ("failed", "unread"):
        kind = RetryableError if first.transient else PermanentError
        raise kind(f"starting_url {visit.url} could not be fetched: {visit.reason}")
    if visit.outcome in ("gone", "bounded") or (visit.outcome == "skipped" and visit.status != 200):
        raise PermanentError(f"starting_url {visit.url} cannot be crawled: {visit.reason}")
