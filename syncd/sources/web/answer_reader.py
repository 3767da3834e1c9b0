"""Turns a 200 response into a visit: unchanged, a page, a document, or the reason why it is none of these."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256

from anyio import to_thread

from syncd.errors import PermanentError
from syncd.model.warnings import DocumentWarning
from syncd.sources.web.crawl_context import CrawlContext
from syncd.sources.web.crawl_types import QueueEntry, Visit
from syncd.sources.web.extract import HtmlPage, resolved
from syncd.sources.web.fetch import Response
from syncd.sources.web.head import header_canonical, header_directives
from syncd.sources.web.left_out import SCRIPT_MADE, judged
from syncd.sources.web.media import TEXT_SUFFIXES, kind_of
from syncd.sources.web.softerror import SoftErrors
from syncd.sources.web.text_body import as_utf8, guess_of
from syncd.sources.web.urls import Url
from syncd.sources.web.visit_result import Browser, PageExtractor, VisitResult

THIN = DocumentWarning("script_made", "it has little text beside its scripts: render = 'auto' may read more of it")
NOT_INCLUDED = "matches none of include_path_regexes"


class AnswerReader:
    """Reads responses for one crawl; concurrent calls are safe."""

    def __init__(
        self, context: CrawlContext, extractor: PageExtractor, soft_errors: SoftErrors, browser: Browser | None = None
    ) -> None:
        self._scope = context.scope
        self._extractor = extractor
        self._soft_errors = soft_errors
        self._max_links = context.limits.links_per_page
        self._rendering = context.settings.render
        self._browser = browser

    async def read(
        self, entry: QueueEntry, url: Url, blank: Visit, answer: Response, *, is_still_valid: bool
    ) -> tuple[VisitResult, str]:
        """Return what the response contains, and the canonical address it names or ''.

        `is_still_valid`: what the last visit learned still applies if the bytes are the same.
        """
        if answer.unread or not answer.body:
            return VisitResult(replace(blank, reason=answer.unread or "empty")), ""
        visit = replace(
            blank,
            etag=answer.headers.get("ETag", ""),
            modified=answer.headers.get("Last-Modified", ""),
            body_hash=sha256(answer.body).hexdigest(),
            whole_read=True,
        )
        robots_directives = header_directives(answer.headers.getall("X-Robots-Tag", []))
        if is_still_valid and visit.body_hash == entry.body_hash and not robots_directives:
            return VisitResult(replace(carried_over(entry, visit), etag=visit.etag, modified=visit.modified)), ""
        kind, detail = kind_of(answer.claim, answer.body)
        if kind == "nothing":
            return VisitResult(replace(visit, reason=detail)), ""
        if kind == "document":
            return await self._document(url, visit, answer, detail, robots_directives), ""
        try:
            page, visit = await self._page(url, visit, answer)
        except PermanentError as error:
            # The page exists; its last content stays indexed until it can be read again.
            return VisitResult(replace(visit, outcome="failed", reason=str(error), links=None)), ""
        canonical = page.canonical or resolved(header_canonical(answer.headers.getall("Link", [])), url.text)
        visit = replace(visit, title=page.title, suffix=".md", facts=facts_of(page, canonical))
        return await self._judged(url, visit, page, robots_directives), canonical

    async def _document(
        self, url: Url, visit: Visit, answer: Response, suffix: str, robots_directives: frozenset[str]
    ) -> VisitResult:
        """Return a body that the parse pipeline reads."""
        if "noindex" in robots_directives:
            return VisitResult(replace(visit, reason="X-Robots-Tag: noindex"))
        if self._scope.path_refusal(url):
            return VisitResult(replace(visit, reason=NOT_INCLUDED))
        body, warnings = answer.body, ()
        if suffix in TEXT_SUFFIXES:
            content_type = answer.headers.get("Content-Type", "")
            body, warnings = await to_thread.run_sync(as_utf8, body, content_type, suffix)
        visit = replace(visit, outcome="document", version=visit.body_hash, suffix=suffix)
        return VisitResult(visit, None, body, warnings=warnings)

    async def _page(self, url: Url, visit: Visit, answer: Response) -> tuple[HtmlPage, Visit]:
        """Read a page, in a browser if the source asks for that."""
        content_type = answer.headers.get("Content-Type", "")
        page = await self._extractor.extract(answer.body, url.text, content_type, self._max_links)
        if self._browser is None or not (self._rendering == "always" or page.scripted):
            return page, visit
        html = await self._browser.render(url)
        page = await self._extractor.extract(html, url.text, "text/html; charset=utf-8", self._max_links)
        # The shell's validators and bytes say nothing about what its scripts load.
        return page, replace(visit, etag="", modified="", body_hash="")

    async def _judged(self, url: Url, visit: Visit, page: HtmlPage, robots_directives: frozenset[str]) -> VisitResult:
        """Return the page as a document, or why it is not indexed."""
        is_nofollow = page.nofollow or "nofollow" in robots_directives
        links, refused = ([], []) if is_nofollow else judged(self._scope, page.links)
        visit = replace(visit, links=links, links_cut=page.links_cut, refused=refused)
        if page.refresh and page.refresh != url.text:
            target = self._scope.admitted([page.refresh])
            return VisitResult(replace(visit, outcome="alias", alias_of=page.refresh, links=[*target, *links]))
        if page.noindex or "noindex" in robots_directives:
            return VisitResult(replace(visit, reason="robots meta tag: noindex"))
        if page.script_made and self._browser is None:
            return VisitResult(replace(visit, reason=SCRIPT_MADE))
        if not page.markdown:
            return VisitResult(replace(visit, reason="no text content"))
        if await self._soft_errors.is_error(url, page):
            return VisitResult(
                replace(visit, outcome="gone", reason="soft 404: the page says that it does not exist", links=[])
            )
        if self._scope.path_refusal(url):
            return VisitResult(replace(visit, reason=NOT_INCLUDED))
        data = page.markdown.encode()
        version = sha256(data).hexdigest()
        warnings = (guess_of(page.encoding_guess),) if page.encoding_guess else ()
        if page.scripted and self._browser is None:
            warnings = (*warnings, THIN)
        visit = replace(visit, outcome="document", version=version, size_bytes=len(data))
        return VisitResult(visit, page, data, warnings=warnings)


def facts_of(page: HtmlPage, canonical: str) -> str:
    """Return what the page states about itself, for its chunks' metadata."""
    values = {"language": page.language, "published": page.published, "canonical_url": canonical}
    return json.dumps({name: value for name, value in values.items() if value})


def carried_over(entry: QueueEntry, visit: Visit) -> Visit:
    """Carry over what the last visit learned."""
    return replace(
        visit,
        outcome="unchanged",
        etag=entry.etag,
        modified=entry.modified,
        body_hash=entry.body_hash,
        version=entry.kept.version,
        title=entry.kept.title,
        suffix=entry.kept.suffix,
        facts=entry.kept.facts,
        size_bytes=entry.size_bytes,
        links=None,
    )
