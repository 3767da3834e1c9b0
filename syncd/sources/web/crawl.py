"""The crawl itself: a window of concurrent visits, settled strictly in queue order, so that every run is reproducible."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from syncd.errors import RetryableError
from syncd.model import Document
from syncd.sources.web.client import DeferredError
from syncd.sources.web.crawl_budget import CrawlBudget
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.crawl_coverage import CrawlCoverage
from syncd.sources.web.crawl_progress import ProgressMeter
from syncd.sources.web.crawl_scope import plain_url
from syncd.sources.web.crawl_types import QueueEntry, SettledVisit
from syncd.sources.web.deferrals import Deferrals
from syncd.sources.web.sitemap_seeder import SitemapSeeder
from syncd.sources.web.visit_documents import VisitDocuments
from syncd.sources.web.visit_result import VisitResult
from syncd.sources.web.visitor import Visitor, unanswered

WINDOW_PER_TURN = 4
MAX_WINDOW = 64
MAX_BATCH = 32
OUTAGE_FAILURES = 10
"""This many consecutive failures are an outage of the site, not of the pages."""
OUTAGE_RETRY_S = 300.0


@dataclass(slots=True)
class VisitInFlight:
    """A running visit of a queue entry."""

    entry: QueueEntry
    task: asyncio.Task[list[VisitResult]]


class CrawlRun:
    """One run over one crawl; use it once, and call `stop` at the end."""

    def __init__(
        self, context: CrawlContext, visitor: Visitor, seeder: SitemapSeeder, budget: CrawlBudget, meter: ProgressMeter
    ) -> None:
        self._settings = context.settings
        self._store = context.store
        self._crawl = context.crawl
        self._visitor = visitor
        self._seeder = seeder
        self._budget = budget
        self._meter = meter
        self.deferrals = Deferrals()
        self.coverage = CrawlCoverage(context, budget, self.deferrals)
        self._documents = VisitDocuments(context, visitor)
        self._in_flight: deque[VisitInFlight] = deque()
        self._window = min(MAX_WINDOW, context.settings.concurrency * WINDOW_PER_TURN)
        self._last_taken = -1
        self._failing: list[SettledVisit] = []

    async def documents(self) -> AsyncIterator[Document]:
        """Yield documents until only deferred pages are queued, a limit is reached or the host asks for a long pause.

        Raises RetryableError if the site does not respond, PermanentError if the starting page cannot be crawled.
        """
        if self._crawl.resumed:
            async for document in self._documents.replayed():
                yield document
            self._budget.resume((await self._store.crawl(self._crawl.id)).indexed)
        self._meter.begin(await self._store.queued(self._crawl.id))
        waits = self._crawl.phase == "links" and self._settings.reads_sitemaps
        if waits:
            async for document in self._drain(only_start=True):
                yield document
            waits = await self._seed(is_last=False)
        async for document in self._drain():
            yield document
        if waits:
            await self._seed(is_last=True)
            async for document in self._drain():
                yield document

    async def _seed(self, *, is_last: bool) -> bool:
        """Queue what the sitemaps list; return whether some could not be read and must be tried again, once all else is done.

        Crash before the phase is set: they are read again, and what they list is queued already.
        """
        if self._is_over():
            return not is_last
        problem = await self._seeder.seed()
        if problem and not is_last:
            return True
        await self._store.set_phase(self._crawl.id, "sitemaps", problem)
        return False

    async def left_out(self) -> AsyncIterator[Document]:
        """Yield what a limit kept the crawl from asking for; nothing when it goes on later, and at most a list of use to people."""
        limit = self._budget.limit
        if limit and not self.deferrals.covers_site:
            async for document in self._documents.beyond(limit):
                yield document

    def only(self, keys: Sequence[str]) -> AsyncIterator[Document]:
        """Yield the current documents of these pages; the queue is not changed."""
        return self._documents.only(keys)

    async def stop(self) -> None:
        """Cancel the visits in progress. Twice is safe."""
        tasks = [visit.task for visit in self._in_flight]
        self._in_flight.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, *, only_start: bool = False) -> AsyncIterator[Document]:
        """Yield the documents of the queue, or of the starting page alone: what sitemaps list comes right after it."""
        while not self._is_over():
            await self._start_visits(only_start=only_start)
            if not self._in_flight:
                return
            for found, settled in await self._settle_finished():
                if (document := await self._documents.document_of(found, settled)) is not None:
                    yield document
                async for document in self._documents.not_followed(settled.not_followed):
                    yield document

    async def _start_visits(self, *, only_start: bool) -> None:
        """Keep the window full of visits."""
        free = self._window - len(self._in_flight)
        if self._in_flight and free < self._window // 2:
            return
        for entry in await self._store.queue(self._crawl.id, self._last_taken, 1 if only_start else free):
            if only_start and entry.ord > 0:
                return
            self._last_taken = entry.ord
            self._in_flight.append(VisitInFlight(entry, asyncio.create_task(self._visitor.visit(entry))))

    async def _settle_finished(self) -> list[tuple[VisitResult, SettledVisit]]:
        """Wait for the oldest visit; settle it and the finished visits that follow it."""
        await asyncio.wait([self._in_flight[0].task])
        found: list[VisitResult] = []
        taken = 0
        while self._in_flight and self._in_flight[0].task.done() and taken < MAX_BATCH:
            visit = self._in_flight.popleft()
            taken += 1
            found += self._results_of(visit)
        batch = await self._store.settle(self._crawl.id, [one.visit for one in found], self._budget.bounds())
        self._budget.count(batch.visits)
        self._meter.count(batch.visits, self._budget.indexed, batch.queued - taken)
        await self._check_outage(found, batch.visits)
        return list(zip(found, batch.visits, strict=False))

    def _results_of(self, visit: VisitInFlight) -> list[VisitResult]:
        """Return what a visit found; nothing for a deferred page, which stays in the queue for just one more run.

        A crawl that waited indefinitely for one page would never refresh the others.
        """
        try:
            visited = visit.task.result()
        except DeferredError as error:
            if visit.entry.ord == 0:
                raise RetryableError(f"starting_url {visit.entry.url}: {error}", error.seconds) from error
            self.deferrals.note(error, is_last=self._crawl.resumed)
            is_given_up = self._crawl.resumed and not self.deferrals.covers_site
            return [unanswered(visit.entry, str(error))] if is_given_up else []
        self.deferrals.answered()
        return visited

    async def _check_outage(self, found: Sequence[VisitResult], settled: Sequence[SettledVisit]) -> None:
        """Suspend the crawl if page after page fails, and put those pages back into the queue.

        When they still do so in the next run, while the starting page answers, they are broken, and fail alone.
        """
        for one, result in zip(found, settled, strict=False):
            if one.transient:
                self._failing.append(result)
            elif result.outcome not in (None, "skipped", "bounded"):
                self._failing.clear()
        if len(self._failing) < OUTAGE_FAILURES:
            return
        if self._crawl.resumed and await self._visitor.reaches_start():
            self._failing.clear()
            return
        last = self._failing[-1].visit
        await self._store.requeue(self._crawl.id, [one.visit.url for one in self._failing])
        raise RetryableError(
            f"{plain_url(last.url).host} stopped responding ({last.reason}); the crawl will resume here later",
            OUTAGE_RETRY_S,
        )

    def _is_over(self) -> bool:
        return self.deferrals.covers_site or self._budget.is_full or self._budget.is_spent
