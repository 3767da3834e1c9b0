"""Plain values about pages and crawls, exchanged by the store and the web source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

VisitOutcome = Literal["document", "unchanged", "alias", "duplicate", "gone", "failed", "unread", "skipped", "bounded"]
"""`unread`: failed, with unknown links, so that the crawl cannot tell which pages are gone."""
Phase = Literal["links", "sitemaps", "done"]


@dataclass(frozen=True, slots=True)
class Crawl:
    """The state of one crawl of a source into a collection."""

    id: int
    phase: Phase
    indexed: int
    incomplete: str
    """Why this crawl cannot tell which pages are gone, or ''."""
    config_hash: str
    """Hash of the settings that decide what visits yield."""
    started_at: float
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class PageDocument:
    """A page's document after the last visit; `version` is '' if the page was not a document."""

    version: str = ""
    title: str = ""
    suffix: str = ""
    """Of the document's file name: the format."""
    facts: str = "{}"
    """What else its metadata says (language, publication date, …), as a JSON object."""


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One page in a crawl's queue, with what earlier visits learned about it."""

    ord: int
    page_id: int
    url: str
    depth: int
    status: int = 0
    etag: str = ""
    modified: str = ""
    body_hash: str = ""
    kept: PageDocument = PageDocument()
    alias_of: str = ""
    has_links: bool = False
    config_hash: str = ""
    failures: int = 0
    read_at: float = 0.0
    size_bytes: int = 0
    chain: int = 0
    parent_url: str | None = None
    parent_chain: int | None = None
    outcome: VisitOutcome | None = None
    reason: str = ""
    refused: str = "[]"
    """Links of the page that may not be followed, as JSON."""
    claimed_at: float = 0.0
    """When the page last changed according to a sitemap; 0 if no sitemap says."""

    @property
    def version(self) -> str:
        """Return the version of the page's document, '' if it was not one."""
        return self.kept.version


@dataclass(frozen=True, slots=True)
class Visit:
    """The outcome for one page. `links` None keeps those of the last visit."""

    url: str
    outcome: VisitOutcome
    depth: int
    status: int = 0
    reason: str = ""
    etag: str = ""
    modified: str = ""
    body_hash: str = ""
    version: str = ""
    title: str = ""
    suffix: str = ""
    facts: str = "{}"
    size_bytes: int = 0
    """Of the text; 0 where there is none."""
    alias_of: str = ""
    links: Sequence[str] | None = None
    pattern: str | None = None
    facets: tuple[str, ...] = ()
    """Keys of its parameters with their values, where it has several."""
    chain: int = 0
    whole_read: bool = False
    """The body was read in full, rather than confirmed by a 304."""
    links_cut: bool = False
    """`links` are only the first of them."""
    refused: Sequence[tuple[str, str]] = ()
    """Links that may not be followed, with why; kept as `links` are."""


@dataclass(frozen=True, slots=True)
class SettledVisit:
    """How a visit was recorded. `outcome` None: the page had been visited in this crawl before, nothing changed."""

    visit: Visit
    outcome: VisitOutcome | None
    duplicate_of: str = ""
    was: PageDocument = PageDocument()
    """What the page was before this visit."""
    not_followed: Sequence[tuple[str, str]] = ()
    """Its links that the crawl does not follow, with why."""


@dataclass(frozen=True, slots=True)
class CrawlBounds:
    """What `settle` holds visits to."""

    max_documents: int | None = None
    """How many may still be indexed."""
    max_depth: int | None = None
    alike_pages: int = 10_000
    facet_pages: int = 100
    config_hash: str = ""


@dataclass(frozen=True, slots=True)
class SettledBatch:
    """How a batch of visits was recorded."""

    visits: Sequence[SettledVisit]
    """In order; those beyond the limit of documents are missing, and stay in the queue."""
    queued: int
    """How many pages were added to the queue."""
