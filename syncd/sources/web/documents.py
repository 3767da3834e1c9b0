"""Documents of a crawl: pages and files as the pipeline takes them, unchanged ones without their bytes, gone ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from email.utils import parsedate_to_datetime

from syncd.model import Document, Scalar, chunk_prefix
from syncd.sources.web.admission import plain_url
from syncd.sources.web.body import HeldBody, LazyBody
from syncd.sources.web.extract import Page
from syncd.sources.web.found import Found


def fetched(found: Found) -> Document:
    """Return the document that a visit read."""
    visit = found.visit
    return Document(
        key=visit.url,
        version=visit.version,
        body=HeldBody(found.data),
        chunk_prefix=chunk_prefix(visit.url),
        name=name_of(visit.url, found.suffix),
        media_type="text/markdown" if found.page else None,
        metadata=metadata_of(visit.url, visit.title, found.page),
        changed_at=moment(visit.modified),
        anchors=tuple(found.page.anchors) if found.page else (),
    )


def standing(url: str, version: str, title: str, read: Callable[[str], Awaitable[bytes]]) -> Document:
    """Return a document that is what it was; only who opens it has it fetched, by `read`."""
    return Document(
        key=url,
        version=version,
        body=LazyBody(lambda: read(url)),
        chunk_prefix=chunk_prefix(url),
        name=name_of(url, ".md"),
        media_type="text/markdown",
        metadata=metadata_of(url, title, None),
    )


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


def metadata_of(url: str, title: str, page: Page | None) -> dict[str, Scalar]:
    """Return what every chunk of the page carries; what the page does not state is left out."""
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
