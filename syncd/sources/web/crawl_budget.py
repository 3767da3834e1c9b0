"""How many more requests a crawl may make and pages it may index."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.sources.web.client import PoliteClient
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.crawl_types import CrawlBounds, SettledVisit

SPARE_REQUESTS = 50
"""Extra requests for robots.txt, sitemaps and redirects in a crawl with a small page limit."""


class CrawlBudget:
    """Counts the documents and requests of one crawl and enforces their limits."""

    def __init__(self, context: CrawlContext, client: PoliteClient) -> None:
        self._settings = context.settings
        self._client = client
        self._config_hash = context.crawl.config_hash
        self._indexed = context.crawl.indexed

    @property
    def indexed(self) -> int:
        """How many documents the crawl has so far."""
        return self._indexed

    @property
    def max_requests(self) -> int:
        """Return how many requests the crawl may make."""
        limits, page_limit = self._settings.limits, self._settings.page_limit
        return limits.fetches if page_limit is None else page_limit * limits.fetches_per_page + SPARE_REQUESTS

    @property
    def is_full(self) -> bool:
        """Return whether the configured number of pages is indexed."""
        return self._settings.page_limit is not None and self.indexed >= self._settings.page_limit

    @property
    def is_spent(self) -> bool:
        """Return whether the requests are used up before the crawl is full."""
        return not self.is_full and self._client.requests >= self.max_requests

    @property
    def limit(self) -> str:
        """Return the limit that is reached, or ''; of no pages nobody wants a list."""
        if self.is_full and self._settings.page_limit:
            return f"page_limit = {self._settings.page_limit}"
        return f"the {self.max_requests} requests of a crawl" if self.is_spent else ""

    def resume(self, indexed: int) -> None:
        """Go on from so many documents."""
        self._indexed = indexed

    def count(self, settled: Sequence[SettledVisit]) -> None:
        """Add the documents of visits that were settled."""
        self._indexed += sum(one.outcome in ("document", "unchanged") for one in settled)

    def bounds(self) -> CrawlBounds:
        """Return the limits of the next batch of visits."""
        page_limit = self._settings.page_limit
        return CrawlBounds(
            max_documents=None if page_limit is None else max(0, page_limit - self.indexed),
            max_depth=self._settings.max_depth,
            alike_pages=self._settings.limits.alike_pages,
            facet_pages=self._settings.limits.facet_pages,
            config_hash=self._config_hash,
        )
