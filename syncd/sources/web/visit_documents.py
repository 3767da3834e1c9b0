"""Turns settled visits into documents: of this run, of an interrupted one, and of pages requested by address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence

from syncd.errors import RetryableError
from syncd.model import Document
from syncd.sources.web import documents
from syncd.sources.web.client import DeferredError
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.crawl_types import QueueEntry, SettledVisit, VisitOutcome
from syncd.sources.web.left_out import LISTED_LINKS, LinkList
from syncd.sources.web.visit_result import VisitResult
from syncd.sources.web.visitor import Visitor

REPLAY_BATCH = 200


class VisitDocuments:
    """What visits of one crawl mean for the index."""

    def __init__(self, context: CrawlContext, visitor: Visitor) -> None:
        self._store = context.store
        self._known = context.known
        self._crawl_id = context.crawl.id
        self._visitor = visitor
        self._links = LinkList()

    async def document_of(self, found: VisitResult, settled: SettledVisit) -> Document | None:
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
                return documents.failed_page(visit.url, visit.reason)
            case outcome:
                return await self._without(outcome, visit.url, visit.reason)

    async def _without(self, outcome: VisitOutcome, url: str, reason: str) -> Document | None:
        """Return what becomes of an address that gave no document."""
        is_known = await self._known.version(url) is not None
        if outcome == "bounded":
            # The earlier document is deleted only once the whole site has been seen.
            return None if is_known else documents.left_out(url, reason)
        if is_known:
            return documents.gone_page(url)
        return documents.left_out(url, reason) if outcome in ("skipped", "gone") else None

    async def not_followed(self, reasons: Iterable[tuple[str, str]]) -> AsyncIterator[Document]:
        """Yield links that are left out, each once a run; nothing for those whose documents are there."""
        for url, reason in self._links.new(reasons):
            if await self._known.version(url) is None:
                yield documents.left_out(url, reason)

    async def beyond(self, limit: str) -> AsyncIterator[Document]:
        """Yield what still waits in the queue when a limit ends the crawl."""
        waiting = await self._store.queue(self._crawl_id, -1, LISTED_LINKS)
        async for document in self.not_followed((entry.url, f"beyond {limit}: not asked for") for entry in waiting):
            yield document

    async def replayed(self) -> AsyncIterator[Document]:
        """Yield again what an interrupted run settled; what did not reach the index is put back into the queue.

        So is what failed, where nothing waits there: somebody asks for all of what a crawl that was through has seen.
        """
        was_through = not await self._store.queued(self._crawl_id)
        after = -1
        while entries := await self._store.settled(self._crawl_id, after, REPLAY_BATCH):
            after = entries[-1].ord
            lost: list[str] = []
            for entry in entries:
                version = await self._known.version(entry.url)
                is_lost = entry.outcome in ("document", "unchanged") and version != entry.version
                if is_lost or (was_through and entry.outcome in ("failed", "unread")):
                    lost.append(entry.url)
                elif entry.outcome in ("document", "unchanged"):
                    yield documents.unchanged_document(entry.url, entry.kept, self._refetch)
                elif entry.outcome in ("failed", "unread"):
                    yield documents.failed_page(entry.url, entry.reason)
                elif entry.outcome and (document := await self._without(entry.outcome, entry.url, entry.reason)):
                    yield document
                async for document in self.not_followed(json.loads(entry.refused)):
                    yield document
            await self._store.requeue(self._crawl_id, lost)

    async def only(self, keys: Sequence[str]) -> AsyncIterator[Document]:
        """Yield the current documents of these pages; the queue is not changed."""
        for key in keys:
            try:
                visited = await self._visitor.visit(QueueEntry(-1, 0, key, 0))
            except DeferredError as error:
                yield documents.failed_page(key, str(error), may_pass=True)
                continue
            for found in visited:
                visit = found.visit
                if visit.url != key:
                    continue
                if visit.outcome in ("failed", "unread"):
                    yield documents.failed_page(key, visit.reason, may_pass=found.transient)
                else:
                    yield await documents.fetched(found) if visit.outcome == "document" else documents.gone_page(key)

    async def _refetch(self, url: str) -> Document:
        """Return a page's current document, ignoring what the last visit learned. Raises RetryableError."""
        try:
            found = await self._visitor.visit(QueueEntry(-1, 0, url, 0))
        except DeferredError as error:
            # Nobody holds a document for as long as that.
            return documents.failed_page(url, str(error))
        for one in found:
            if one.visit.url == url and one.visit.outcome == "document":
                return await documents.fetched(one)
        last = found[-1].visit
        raise RetryableError(f"{url} could not be fetched again: {last.reason or last.outcome}")
