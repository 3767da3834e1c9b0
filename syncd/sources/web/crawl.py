"""The crawl itself: a window of visits in flight, settled strictly in queue order, so that every run goes the same way."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

import structlog

from syncd.errors import PermanentError, RetryableError
from syncd.model import Document, Known, Metadata, Scalar, chunk_prefix
from syncd.sources.web.admission import Admission, plain_url
from syncd.sources.web.body import HeldBody, LazyBody
from syncd.sources.web.client import Client, DeferredError
from syncd.sources.web.extract import Page
from syncd.sources.web.seeds import Seeds
from syncd.sources.web.settings import WebSettings
from syncd.sources.web.visitor import Found, Visitor
from syncd.store.crawl import Bounds, Crawl, CrawlState, Entry, Settled

log = structlog.get_logger()

WINDOW_PER_TURN = 4
MAX_WINDOW = 64
MAX_BATCH = 32
OUTAGE_FAILURES = 10
"""So many pages failing in a row is an outage of the site, not of the pages."""
OUTAGE_RETRY_S = 300.0
REPLAY_BATCH = 200


@dataclass(slots=True)
class Progress:
    """Counts of one crawl, for people."""

    found: int = 0
    fetched: int = 0
    unchanged: int = 0
    indexed: int = 0
    failed: int = 0
    queue: int = 0
    pages_per_s: float = 0.0


@dataclass(slots=True)
class Flight:
    """A visit on its way."""

    entry: Entry
    task: asyncio.Task[list[Found]]


class CrawlRun:
    """One run over one crawl; use it once, and `stop` it."""

    def __init__(
        self,
        settings: WebSettings,
        client: Client,
        admission: Admission,
        visitor: Visitor,
        state: CrawlState,
        known: Known,
        crawl: Crawl,
        progress: Progress,
    ) -> None:
        self.deferred = ""
        self._settings = settings
        self._client = client
        self._admission = admission
        self._visitor = visitor
        self._state = state
        self._known = known
        self._crawl = crawl
        self._progress = progress
        self._flights: deque[Flight] = deque()
        self._window = min(MAX_WINDOW, settings.concurrency * WINDOW_PER_TURN)
        self._last_taken = -1
        self._indexed = crawl.indexed
        self._visits = 0
        self._failing: list[Settled] = []
        self._started = time.monotonic()

    async def documents(self) -> AsyncIterator[Document]:
        """Yield documents until the queue is empty, a limit is reached or the host asks for a long pause.

        Raises RetryableError when the site does not answer, PermanentError when the starting page is none.
        """
        if self._crawl.resumed:
            async for document in self._replay():
                yield document
        phase = self._crawl.phase
        while True:
            async for document in self._drain():
                yield document
            if phase != "links" or not self._wants_sitemaps() or self._over():
                return
            problem = await Seeds(self._client, self._admission, self._state, self._settings.limits).plant(
                self._crawl.id
            )
            phase = "sitemaps"
            await self._state.set_phase(self._crawl.id, phase, problem)

    async def only(self, keys: Sequence[str]) -> AsyncIterator[Document]:
        """Yield what these pages are now; the queue stays as it is."""
        for key in keys:
            for found in await self._visitor.visit(Entry(-1, 0, key, 0)):
                if found.visit.url == key:
                    yield self._document_of(found, Settled(found.visit, found.visit.outcome, was="?"))

    async def incompleteness(self) -> str:
        """Return why this crawl cannot say which pages are gone, or ''."""
        crawl = await self._state.crawl(self._crawl.id)
        waiting = await self._state.waiting(self._crawl.id)
        if self.deferred:
            return self.deferred
        if waiting or (crawl.phase == "links" and self._wants_sitemaps()):
            return "a limit was reached"
        return crawl.incomplete

    async def stop(self) -> None:
        """Cancel visits in flight. Twice is safe."""
        tasks = [flight.task for flight in self._flights]
        self._flights.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one round ---------------------------------------------------------------------------------------------------

    async def _drain(self) -> AsyncIterator[Document]:
        while not self._over():
            await self._take_off()
            if not self._flights:
                return
            for found, settled in await self._land():
                if (document := await self._outcome(found, settled)) is not None:
                    yield document

    async def _take_off(self) -> None:
        """Keep the window full of visits."""
        free = self._window - len(self._flights)
        if self._flights and free < self._window // 2:
            return
        for entry in await self._state.queue(self._crawl.id, self._last_taken, free):
            self._last_taken = entry.ord
            self._flights.append(Flight(entry, asyncio.create_task(self._visitor.visit(entry))))

    async def _land(self) -> list[tuple[Found, Settled]]:
        """Wait for the oldest visit and settle it with those behind it that are back, too."""
        await asyncio.wait([self._flights[0].task])
        found: list[Found] = []
        taken = 0
        while self._flights and self._flights[0].task.done() and taken < MAX_BATCH:
            flight = self._flights.popleft()
            taken += 1
            try:
                visited = flight.task.result()
            except DeferredError as error:
                self.deferred = str(error)
                break
            if flight.entry.ord == 0:
                check_start(visited)
            found += visited
        settled = await self._state.settle(self._crawl.id, [one.visit for one in found], self._bounds())
        self._count(settled)
        await self._check_outage(found, settled)
        return list(zip(found, settled, strict=False))

    def _bounds(self) -> Bounds:
        limit = self._settings.page_limit
        return Bounds(
            room=None if limit is None else max(0, limit - self._indexed),
            max_depth=self._settings.max_depth,
            alike_pages=self._settings.limits.alike_pages,
            rules=self._visitor.rules,
        )

    async def _check_outage(self, found: Sequence[Found], settled: Sequence[Settled]) -> None:
        """Give the crawl up for now when page after page fails; those pages go back into the queue."""
        for one, result in zip(found, settled, strict=False):
            if one.transient:
                self._failing.append(result)
            elif result.outcome not in (None, "skipped", "bounded"):
                self._failing.clear()
        if len(self._failing) >= OUTAGE_FAILURES:
            last = self._failing[-1].visit
            await self._state.requeue_urls(self._crawl.id, [one.visit.url for one in self._failing])
            raise RetryableError(
                f"{plain_url(last.url).host} stopped answering ({last.reason}); the crawl goes on from here later",
                OUTAGE_RETRY_S,
            )

    def _over(self) -> bool:
        limits, limit = self._settings.limits, self._settings.page_limit
        if self.deferred or (limit is not None and self._indexed >= limit):
            return True
        budget = limits.fetches if limit is None else limit * limits.fetches_per_page + 50
        return self._client.requests >= budget

    def _wants_sitemaps(self) -> bool:
        return self._settings.sitemaps and self._settings.max_depth is None

    def _count(self, settled: Sequence[Settled]) -> None:
        progress = self._progress
        for one in settled:
            progress.fetched += one.outcome is not None
            progress.unchanged += one.outcome == "unchanged"
            progress.failed += one.outcome == "failed"
            self._indexed += one.outcome in ("document", "unchanged")
        progress.indexed = self._indexed
        progress.pages_per_s = progress.fetched / max(1e-3, time.monotonic() - self._started)

    # --- documents ---------------------------------------------------------------------------------------------------

    async def _replay(self) -> AsyncIterator[Document]:
        """Name again what an interrupted run settled; what did not reach the index is put back into the queue."""
        after = -1
        while entries := await self._state.settled(self._crawl.id, after, REPLAY_BATCH):
            after = entries[-1].ord
            lost: list[int] = []
            for entry in entries:
                version = await self._known.version(entry.url)
                if entry.outcome in ("document", "unchanged"):
                    if version == entry.version:
                        yield self._unchanged(entry.url, entry.version, entry.title)
                    else:
                        lost.append(entry.ord)
                elif entry.outcome == "failed" and entry.version:
                    yield self._unchanged(entry.url, entry.version, entry.title)
                elif version is not None and entry.outcome != "failed":
                    yield gone(entry.url)
            if lost:
                await self._state.requeue(self._crawl.id, lost)
                self._indexed -= len(lost)

    async def _outcome(self, found: Found, settled: Settled) -> Document | None:
        """Return what a settled visit means for the index, or None for nothing."""
        visit = settled.visit
        if settled.outcome in ("document", "unchanged"):
            return self._document_of(found, settled)
        if settled.outcome is None or not settled.was:
            return None
        if settled.outcome == "failed":
            return self._unchanged(visit.url, settled.was, visit.title)
        return gone(visit.url) if await self._known.version(visit.url) is not None else None

    def _document_of(self, found: Found, settled: Settled) -> Document:
        visit = found.visit
        if settled.outcome == "unchanged":
            return self._unchanged(visit.url, visit.version, visit.title)
        if settled.outcome == "failed":
            return self._unchanged(visit.url, visit.version, visit.title)
        if settled.outcome != "document":
            return gone(visit.url)
        return Document(
            key=visit.url,
            version=visit.version,
            body=HeldBody(found.data),
            chunk_prefix=chunk_prefix(visit.url),
            name=name_of(visit.url, found.suffix),
            media_type="text/markdown" if found.page else None,
            metadata=metadata_of(visit.url, found.page, visit.title),
            changed_at=moment(visit.modified),
            anchors=tuple(found.page.anchors) if found.page else (),
        )

    def _unchanged(self, url: str, version: str, title: str) -> Document:
        async def read() -> bytes:
            return await self._read_again(url)

        return Document(
            key=url,
            version=version,
            body=LazyBody(read),
            chunk_prefix=chunk_prefix(url),
            name=name_of(url, ".md"),
            media_type="text/markdown",
            metadata=metadata_of(url, None, title),
        )

    async def _read_again(self, url: str) -> bytes:
        try:
            found = await self._visitor.visit(Entry(-1, 0, url, 0))
        except DeferredError as error:
            raise RetryableError(str(error), error.seconds) from error
        for one in found:
            if one.visit.url == url and one.visit.outcome == "document":
                return one.data
        raise RetryableError(f"{url} could not be read again ({found[-1].visit.reason or found[-1].visit.outcome})")


def check_start(visited: Sequence[Found]) -> None:
    """Raise what a starting page that gave nothing means: nothing else can be said about the site."""
    last = visited[-1] if len(visited) == 1 else visited[0]
    visit = last.visit
    if visit.outcome == "failed":
        kind = RetryableError if last.transient or visit.spoils else PermanentError
        raise kind(f"starting_url {visit.url} could not be fetched: {visit.reason}")
    if visit.outcome in ("gone", "bounded") or (
        visit.outcome == "skipped" and not visit.links and visit.status in (0, 301, 302, 303, 307, 308)
    ):
        raise PermanentError(f"starting_url {visit.url} cannot be crawled: {visit.reason}")


def gone(url: str) -> Document:
    """Return the document that says that a page's chunks must go."""
    return Document(key=url, version="", body=None, chunk_prefix=chunk_prefix(url))


def name_of(url: str, suffix: str) -> str:
    """Return a file name for people whose suffix decides the format."""
    last = plain_url(url).path.rstrip("/").rpartition("/")[2] or "index"
    if last.lower().endswith(suffix):
        return last
    stem = last.rpartition(".")[0] if "." in last[1:] else last
    return stem + suffix


def metadata_of(url: str, page: Page | None, title: str) -> Metadata:
    """Return what every chunk of the page carries."""
    values: dict[str, Scalar] = {"url": url, "title": title}
    if page is not None:
        values |= {"language": page.language, "published": page.published}
    return {name: value for name, value in values.items() if value}


def moment(text: str) -> datetime | None:
    """Read a Last-Modified header; None where it is none."""
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
