"""Builds the documents of a crawl: fetched pages and files, unchanged ones without bytes, gone and failed ones."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from syncd.errors import OvertakenError, PermanentError, PutOffError, Skipped
from syncd.model import Document, DocumentWarning, Scalar, chunk_prefix
from syncd.runtime.headers import http_date
from syncd.sources.bodies import NoBody, put_away
from syncd.sources.web.crawl_scope import plain_url
from syncd.sources.web.crawl_types import PageDocument
from syncd.sources.web.left_out import SCRIPT_MADE
from syncd.sources.web.visit_result import VisitResult

PAGE_SUFFIX = ".md"


async def fetched(found: VisitResult) -> Document:
    """Return the document that a visit read. Waits for the disk if it is large. Raises RetryableError if the disk is full."""
    visit = found.visit
    return Document(
        key=visit.url,
        version=visit.version,
        body=await put_away(found.data),
        chunk_prefix=chunk_prefix(visit.url),
        name=name_of(visit.url, visit.suffix),
        display_name=visit.url,
        media_type="text/markdown" if found.page else None,
        metadata=metadata_of(visit.url, visit.title, visit.facts),
        changed_at=http_date(visit.modified),
        anchors=tuple(found.page.anchors) if found.page else (),
        warnings=found.warnings,
    )


def unchanged_document(url: str, kept: PageDocument, refetched: Callable[[str], Awaitable[Document]]) -> Document:
    """Return the document of an unchanged page; opening its body fails, since the page would have to be refetched."""

    async def again() -> Document:
        return await refetched(url)

    return Document(
        key=url,
        version=kept.version,
        body=NoBody(OvertakenError(f"{url} has not changed and was not downloaded; it must be fetched again")),
        chunk_prefix=chunk_prefix(url),
        name=name_of(url, kept.suffix),
        display_name=url,
        metadata=metadata_of(url, kept.title, kept.facts),
        again=again,
    )


def gone_page(url: str) -> Document:
    """Return the deletion of a page's chunks."""
    return Document(key=url, version="", body=None, chunk_prefix=chunk_prefix(url))


def failed_page(url: str, reason: str, *, may_pass: bool = False) -> Document:
    """Return a document that is recorded as failed; chunks of the last successful read stay. `may_pass`: it is asked for again later."""
    return Document(
        key=url,
        version=f"failed: {reason}",
        body=NoBody((PutOffError if may_pass else PermanentError)(reason)),
        chunk_prefix=chunk_prefix(url),
        name=name_of(url, PAGE_SUFFIX),
        display_name=url,
    )


def left_out(url: str, reason: str) -> Document:
    """Return a document that is listed as left out; what an earlier version said of it is deleted."""
    return Document(
        key=url,
        version=f"left out: {reason}",
        body=NoBody(Skipped(reason)),
        chunk_prefix=chunk_prefix(url),
        name=name_of(url, PAGE_SUFFIX),
        display_name=url,
        warnings=(DocumentWarning("script_made", reason),) if reason == SCRIPT_MADE else (),
    )


def name_of(url: str, suffix: str) -> str:
    """Return a display name whose suffix decides the format."""
    last = plain_url(url).path.rstrip("/").rpartition("/")[2] or "index"
    if last.lower().endswith(suffix):
        return last
    stem = last.rpartition(".")[0] if "." in last[1:] else last
    return stem + suffix


def metadata_of(url: str, title: str, facts: str) -> dict[str, Scalar]:
    """Return what every chunk of the page carries."""
    values: dict[str, Scalar] = {"url": url, **json.loads(facts)}
    return {**values, "title": title} if title else values
