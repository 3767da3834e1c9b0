"""What all parts of one crawl share."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.model import Known
from syncd.sources.web.crawl_scope import CrawlScope
from syncd.sources.web.crawl_store import CrawlStore
from syncd.sources.web.crawl_types import Crawl
from syncd.sources.web.settings import WebLimits, WebSettings


@dataclass(frozen=True, slots=True)
class CrawlContext:
    """The crawl of one run: its request, its stored state, and what the index holds."""

    settings: WebSettings
    scope: CrawlScope
    store: CrawlStore
    known: Known
    crawl: Crawl

    @property
    def limits(self) -> WebLimits:
        """Return the limits of the source."""
        return self.settings.limits
