"""The result of a visit, and protocols of the two helpers that a visit uses: a page reader and a browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from syncd.model.warnings import DocumentWarning
from syncd.sources.web.crawl_types import Visit
from syncd.sources.web.extract import HtmlPage
from syncd.sources.web.urls import Url


@dataclass(frozen=True, slots=True)
class VisitResult:
    """A visit and, for a document read in it, its content."""

    visit: Visit
    page: HtmlPage | None = None
    data: bytes = b""
    transient: bool = False
    """It failed in a way that may be the whole site's."""
    warnings: tuple[DocumentWarning, ...] = ()
    """What was guessed about the content."""


class PageExtractor(Protocol):
    """Reads HTML pages, in a process of its own."""

    async def extract(self, data: bytes, url: str, content_type: str, max_links: int) -> HtmlPage:
        """Return what the page holds. Raises PermanentError when it cannot be read."""
        ...


class Browser(Protocol):
    """Loads pages as people's browsers do."""

    async def render(self, url: Url) -> bytes:
        """Return the page's HTML, UTF-8, once its scripts have run. Raises PermanentError."""
        ...
