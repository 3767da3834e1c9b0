"""Whether a crawl saw the whole site; only then may pages it did not find be deleted."""

from __future__ import annotations

from syncd.sources.web.crawl_budget import CrawlBudget
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.deferrals import Deferrals


class CrawlCoverage:
    """What one crawl did not see, and why."""

    def __init__(self, context: CrawlContext, budget: CrawlBudget, deferrals: Deferrals) -> None:
        self._settings = context.settings
        self._store = context.store
        self._crawl_id = context.crawl.id
        self._budget = budget
        self._deferrals = deferrals

    async def is_limited(self) -> bool:
        """Return whether a limit ended this crawl before it saw all pages, so that it cannot tell which are gone."""
        crawl = await self._store.crawl(self._crawl_id)
        waiting = crawl.phase == "links" and self._settings.reads_sitemaps
        return waiting or await self._store.queued(crawl.id) > 0

    async def gaps(self) -> str:
        """Return why this crawl is incomplete, or ''; a configured limit does not count."""
        crawl, limits = await self._store.crawl(self._crawl_id), self._settings.limits
        reasons = [self._deferrals.reason, crawl.incomplete]
        if self._budget.is_spent and await self.is_limited():
            reasons.append(f"the crawl used up its {self._budget.max_requests} requests")
        if unread := await self._store.unread(crawl.id):
            reasons.append(f"pages that could not be read: {unread}")
        if cut := await self._store.cut(crawl.id):
            reasons.append(
                f"pages with more than {limits.links_per_page} links, of which only the first were followed: {cut}"
            )
        if alike := await self._store.too_many_alike(crawl.id, limits.alike_pages):
            reasons.append(f"groups of similar URLs of which only the first {limits.alike_pages} were read: {alike}")
        return "; ".join(reason for reason in reasons if reason)
