"""One visit: fetches a queue entry, and returns the outcome for its page and for the pages it led to."""

from __future__ import annotations

from dataclasses import replace

from syncd.errors import PermanentError, RetryableError
from syncd.sources.web.answer_reader import AnswerReader, carried_over
from syncd.sources.web.client import DeferredError, FetchFailed
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.crawl_scope import plain_url
from syncd.sources.web.crawl_types import QueueEntry, Visit
from syncd.sources.web.fetch import Response
from syncd.sources.web.page_fetcher import AlreadyVisited, PageFetcher, RedirectResult, Refused
from syncd.sources.web.urls import Url, facets, is_calendar, url_pattern
from syncd.sources.web.visit_result import VisitResult

MAX_CANONICAL_HOPS = 3
SIMILAR_LENGTH = 0.3
"""Sites that wrongly name their home page as canonical often have one title on all pages, but different lengths."""
GIVE_UP_FAILURES = 3
"""A page that failed in this many crawls and was never read no longer makes a crawl incomplete."""


class Visitor:
    """Visits entries of one crawl; concurrent calls are safe."""

    def __init__(self, context: CrawlContext, pages: PageFetcher, answers: AnswerReader) -> None:
        self._limits = context.limits
        self._pages = pages
        self._answers = answers
        self._scope = context.scope
        self._store = context.store
        self._crawl_id = context.crawl.id

    async def visit(self, entry: QueueEntry, hops: int = 0) -> list[VisitResult]:
        """Return the outcomes for `entry` and for pages visited on the way, in the order in which they must be settled.

        Waits for the host's rate limiter. Raises DeferredError, and what `check_start` raises.
        """
        url = plain_url(entry.url)
        blank = blank_visit(entry, url)
        is_start = entry.ord == 0
        if reason := await self._trap_reason(blank):
            return [VisitResult(replace(blank, outcome="bounded", reason=reason))]
        if twin := await self._store.twin(self._crawl_id, entry.url):
            return [VisitResult(replace(blank, outcome="alias", alias_of=twin, links=[]))]
        if await self._pages.is_fresh(entry):
            return [VisitResult(carried_over(entry, replace(blank, status=entry.status)))]
        redirect = await self._pages.fetch(entry, url)
        if isinstance(redirect.answer, AlreadyVisited):
            return aliases(blank, redirect)
        if isinstance(redirect.answer, Refused | FetchFailed):
            without = without_page(entry, blank, redirect, redirect.answer)
            return [check_start(without[0]), *without[1:]] if is_start else without
        if redirect.passed:
            entry = await self._pages.entry_at(redirect.url, entry.depth)
        found, canonical = await self._of_answer(
            entry, replace(blank, url=redirect.url.text), redirect.url, redirect.answer
        )
        if is_start:
            check_start(found)
        return [*await self._at_canonical(canonical, redirect.url, found, hops), *aliases(blank, redirect)]

    async def reaches_start(self) -> bool:
        """Ask for the starting page, and return whether the site has an answer. Waits for the host's rate limiter."""
        try:
            answer = await self._pages.ask(self._scope.start, {})
        except DeferredError:
            return False
        return not isinstance(answer, FetchFailed) and answer.status < 500

    async def _trap_reason(self, blank: Visit) -> str:
        limits, pattern = self._limits, blank.pattern
        links = (
            min(limits.chain_links, limits.calendar_links) if pattern and is_calendar(pattern) else limits.chain_links
        )
        if blank.chain > links:
            return f"an endless chain of similar URLs: more than {links} in a row"
        if pattern and await self._store.met(self._crawl_id, [pattern]) >= limits.alike_pages:
            return f"more than {limits.alike_pages} similar URLs"
        if blank.facets and await self._store.met(self._crawl_id, blank.facets) >= limits.facet_pages:
            return f"another combination of parameters of which each was met {limits.facet_pages} times"
        return ""

    async def _of_answer(self, entry: QueueEntry, blank: Visit, url: Url, answer: Response) -> tuple[VisitResult, str]:
        """Return what results from a final response, depending on its status, and the address that it calls canonical, or ''."""
        visit = replace(blank, status=answer.status, links=[])
        match answer.status:
            case 200:
                is_still_valid = await self._pages.is_still_valid(entry)
                return await self._answers.read(entry, url, visit, answer, is_still_valid=is_still_valid)
            case 304 if entry.version:
                return VisitResult(carried_over(entry, visit)), ""
            case 404 | 410:
                return VisitResult(await self._gone(entry, url, visit)), ""
            case _:
                return VisitResult(failed_visit(visit, f"status {answer.status}")), ""

    async def _gone(self, entry: QueueEntry, url: Url, visit: Visit) -> Visit:
        """Request an indexed page again after a 404; only a second 404 means that it is gone."""
        if entry.version and visit.status == 404:
            again = await self._pages.ask(url, {})
            if isinstance(again, FetchFailed) or again.status not in (404, 410):
                return failed_visit(visit, "status 404, but not when requested again")
        linked = f"; linked from {entry.parent_url}" if entry.parent_url else ""
        return replace(visit, outcome="gone", reason=f"status {visit.status}{linked}")

    async def _at_canonical(self, canonical: str, url: Url, found: VisitResult, hops: int) -> list[VisitResult]:
        """Visit the canonical page instead, if there is one and it is the same page; wrong claims are ignored."""
        if found.visit.outcome != "document" or not canonical or canonical == url.text or hops >= MAX_CANONICAL_HOPS:
            return [found]
        if not self._scope.admitted([canonical]):
            return [found]
        before: list[VisitResult] = []
        if await self._store.visited(self._crawl_id, canonical) is None:
            target = await self._pages.entry_at(plain_url(canonical), found.visit.depth)
            before = await self.visit(target, hops + 1)
        target_visit = await self._canonical_visit(canonical, before)
        if target_visit is None or not same_page(found.visit, target_visit):
            return [*before, found]
        return [*before, VisitResult(replace(found.visit, outcome="alias", version="", alias_of=target_visit.url))]

    async def _canonical_visit(self, canonical: str, found: list[VisitResult]) -> Visit | None:
        """Return a visit of the indexed page that `canonical` stands for, or None if there is none."""
        for one in found:
            if one.visit.outcome in ("document", "unchanged"):
                return one.visit
        page = await self._store.page(canonical)
        if page is not None and page.alias_of:
            page = await self._store.page(page.alias_of)
        if page is None or not page.version:
            return None
        kept = page.kept
        return Visit(
            page.url, "unchanged", page.depth, version=kept.version, title=kept.title, size_bytes=page.size_bytes
        )


def blank_visit(entry: QueueEntry, url: Url) -> Visit:
    """Return a visit that has not found anything yet."""
    chain, pattern = chain_of(entry, url), url_pattern(url)
    return Visit(entry.url, "skipped", entry.depth, pattern=pattern, facets=facets(url), chain=chain)


def chain_of(entry: QueueEntry, url: Url) -> int:
    """Return the length of the chain of pages leading here whose addresses differ only in digits."""
    pattern = url_pattern(url)
    if pattern is None or not entry.parent_url or url_pattern(plain_url(entry.parent_url)) != pattern:
        return 0
    return (entry.parent_chain or 0) + 1


def aliases(blank: Visit, redirect: RedirectResult) -> list[VisitResult]:
    """Record the addresses that redirected to `redirect.url`."""
    target = redirect.url.text
    return [
        VisitResult(replace(blank, url=url.text, outcome="alias", alias_of=target, links=[])) for url in redirect.passed
    ]


def without_page(
    entry: QueueEntry, blank: Visit, redirect: RedirectResult, answer: Refused | FetchFailed
) -> list[VisitResult]:
    """Record an address, or a chain of redirects, that gave no page."""
    if isinstance(answer, Refused) and not answer.for_now:
        addresses = redirect.passed or (redirect.url,)
        return [VisitResult(replace(blank, url=url.text, reason=answer.reason, links=[])) for url in addresses]
    lasting = isinstance(answer, FetchFailed) and answer.lasting
    status = answer.status if isinstance(answer, FetchFailed) else 0
    visit = failed_visit(replace(blank, status=status), answer.reason)
    if not lasting and not entry.has_links and entry.failures + 1 < GIVE_UP_FAILURES:
        # Its links are unknown, so no page can be considered unlinked.
        visit = replace(visit, outcome="unread")
    return [VisitResult(visit, transient=not lasting)]


def check_start(found: VisitResult) -> VisitResult:
    """Return what was found at the starting page, which a crawl needs. Raises RetryableError or PermanentError if it could not be used."""
    visit = found.visit
    if visit.outcome in ("failed", "unread"):
        kind = RetryableError if found.transient else PermanentError
        raise kind(f"starting_url {visit.url} could not be fetched: {visit.reason}")
    if visit.outcome == "gone" or (visit.outcome == "skipped" and visit.status != 200):
        raise PermanentError(f"starting_url {visit.url} cannot be crawled: {visit.reason}")
    return found


def unanswered(entry: QueueEntry, reason: str) -> VisitResult:
    """Return the result for a queued address that its host has deferred in run after run."""
    url = plain_url(entry.url)
    blank = blank_visit(entry, url)
    answer = FetchFailed(reason)
    return without_page(entry, blank, RedirectResult(url, answer), answer)[0]


def failed_visit(visit: Visit, reason: str) -> Visit:
    """Return a failed visit, which does not mean that the page is gone."""
    return replace(visit, outcome="failed", reason=reason, links=None)


def same_page(one: Visit, other: Visit) -> bool:
    """Return whether a canonical link is credible: the same text, or the same title over text of similar length."""
    if one.version == other.version:
        return True
    alike = abs(one.size_bytes - other.size_bytes) <= SIMILAR_LENGTH * max(one.size_bytes, other.size_bytes)
    return alike and bool(one.title) and one.title.casefold() == other.title.casefold()
